/* Title, race, end. */

#include <string.h>
#include "road.h"

#define FRAMES_PER_SECOND 60
#define FIRST_SECONDS 30

static word best;

static void write_text(byte row, byte column, const char *text)
{
    row_high = 0x20 + (row >> 3);
    row_low = (row << 5) + column;
    for (; *text; ++text) {
        write_vram(*text == ' ' ? ASPHALT : *text);
    }
    row_high = 0;
}

static void write_best(void)
{
    static char text[6];
    word left = best;
    byte i;
    for (i = 5; i; --i) {
        text[i - 1] = '0' + left % 10;
        left /= 10;
    }
    text[5] = 0;
    write_text(22, 16, text);
}

/* Writes a row of tiles or of colours, 32 bytes, while the screen is off. */
static void write_row(byte high, byte low, byte value)
{
    byte i;
    row_high = high;
    row_low = low;
    for (i = 0; i < 32; ++i) {
        write_vram(value);
    }
    row_high = 0;
}

static void begin(void)
{
    byte row;
    control = 0xA0;             /* interrupt, tall sprites, the upper screen of tiles */
    scroll = 0;
    start_show();
    screen_off();
    for (row = 0; row < 32; ++row) {    /* the last two choose colours: all alike */
        write_row(0x20 + (row >> 3), row << 5, row < 30 ? ASPHALT : 0);
        write_row(0x28 + (row >> 3), row << 5, 0);
    }
    paint();
}

static void title(void)
{
    state = TITLE;
    begin();
    write_text(8, 12, "NES ROAD");
    write_text(14, 11, "PUSH START");
    write_text(18, 9, "A GAS  B BRAKE");
    write_text(22, 11, "BEST");
    write_best();
    mask = 0x1E;
    while (read_pad() & PAD_START) {
        wait_frame();
    }
    for (;;) {
        wait_frame();
        if (read_pad() & PAD_START) {
            return;
        }
        ++seed;                 /* a person's moment chooses the track */
    }
}

static void race(void)
{
    byte frames = FRAMES_PER_SECOND;
    begin();
    start_road();
    start_traffic();
    start_car();
    crashes = 0;
    seconds = FIRST_SECONDS;
    mask = 0x1E;
    state = RACE;
    while (seconds) {
        drive(read_pad());
        move_road();
        move_traffic();
        if (!--frames) {
            frames = FRAMES_PER_SECOND;
            --seconds;
        }
        show();
        hear();
        wait_frame();
    }
}

static void over(void)
{
    byte frames = 0;
    state = OVER;
    if (metres > best) {
        best = metres;
    }
    while (frames < 120 || !(read_pad() & PAD_START)) {
        if (frames < 120) {
            ++frames;
        }
        show();
        hear();
        wait_frame();
    }
}

void main(void)
{
    control = 0xA0;
    *(byte *)0x2000 = control;  /* the interrupt of each picture begins */
    for (;;) {
        title();
        race();
        over();
    }
}
