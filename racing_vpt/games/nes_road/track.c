/* The road: it winds, narrows and widens, row of tiles by row of tiles, a function of the seed alone. */

#include <string.h>
#include "road.h"

#define GRASS 0x00
#define BUSH 0x02
#define LEFT_KERB 0x08
#define RIGHT_KERB 0x18
#define DARK 0x08
#define LINE 0x28
#define NEAREST 20              /* pixels from the road to the border of the picture */
#define STAGE_METRES 1000

byte step, digits[5];
static word noise;              /* state of the random numbers */
static byte left, width, goal;  /* edge and width of the newest row; the width to come */
static signed char bend, bend_goal;     /* pixels to the right a row */
static byte bend_rows, shade_rows;
static byte fraction, pixels;   /* of the way: 1/256 pixel, pixels of a metre */
static word stage_metres;
static const signed char bends[8] = {-3, -2, -1, 0, 0, 1, 2, 3};
static const byte seconds_more[6] = {15, 13, 11, 9, 7, 5};

byte random(void)
{
    noise ^= noise << 7;
    noise ^= noise >> 9;
    noise ^= noise << 8;
    return (byte)noise;
}

byte __fastcall__ row_at(byte y)
{
    byte row = top_row + ((byte)(y + fine) >> 3);   /* y is at most 240 */
    return row >= NUM_ROWS ? row - NUM_ROWS : row;
}

static void choose(void)
{
    byte narrow = stage < 4 ? 76 - (stage << 2) : 60;
    byte wide = stage < 4 ? 136 - (stage << 3) : 104;
    byte drawn = random();
    bend_goal = bends[drawn & 7];
    bend_rows = 6 + ((drawn >> 3) & 15);
    drawn = random();
    if (drawn & 1) {
        goal = narrow + (drawn >> 2);
        if (goal > wide) {
            goal = wide;
        }
    }
}

static void next_edges(void)
{
    if (!bend_rows) {
        choose();
    }
    --bend_rows;
    if (bend < bend_goal) {
        ++bend;
    } else if (bend > bend_goal) {
        --bend;
    }
    if (width < goal) {
        ++width;
    } else if (width > goal) {
        --width;
    }
    left += bend;
    if (left < NEAREST) {
        left = NEAREST;
        bend_goal = 2;
        bend = 0;
        bend_rows = 10;
    } else if (left + width > 255 - NEAREST) {
        left = 255 - NEAREST - width;
        bend_goal = -2;
        bend = 0;
        bend_rows = 10;
    }
}

/* The next row above the picture, into row_tiles, for the interrupt to write. */
static void next_row(byte row)
{
    byte first, last, x, third, shade;
    next_edges();
    x = left + width;
    road_left[row] = left;
    road_right[row] = x;
    first = left >> 3;
    last = x >> 3;
    ++shade_rows;
    shade = shade_rows & 2 ? DARK : 0;
    memset(row_tiles, GRASS + ((shade_rows >> 2) & 1), 32);
    row_tiles[first] = LEFT_KERB + shade + (left & 7);
    memset(row_tiles + first + 1, ASPHALT + (shade_rows & 1), last - first - 1);
    row_tiles[last] = RIGHT_KERB + shade + (x & 7);
    if (shade_rows & 4) {
        third = width > 84 ? width / 3 : width >> 1;
        x = left + third;
        row_tiles[x >> 3] = LINE + (x & 7);
        x = left + width - third;
        row_tiles[x >> 3] = LINE + (x & 7);
    }
    x = random() & 63;          /* a bush on every second row or so, not on the road */
    if (x < 32 && (x < first || x > last)) {
        row_tiles[x] = BUSH;
    }
    if (row >= 30) {
        row_high = 0x28;
        row -= 30;
    } else {
        row_high = 0x20;
    }
    row_high += row >> 3;
    row_low = row << 5;
}

/* Draws a first picture of road; the screen is off. */
void start_road(void)
{
    byte i;
    noise = seed ? seed : 0x5EED;
    for (i = 0; i < 8; ++i) {   /* seeds that are near each other begin alike */
        random();
    }
    width = goal = 112;
    left = 72;
    bend = bend_goal = 0;
    bend_rows = 24;
    fraction = pixels = fine = 0;
    metres = 0;
    memset(digits, 0, 5);
    stage = 0;
    stage_metres = STAGE_METRES;
    shade_rows = 0;
    for (i = NUM_ROWS; i; --i) {
        if (i <= 30) {          /* below the picture there is no road yet */
            next_row(i - 1);
            wait_frame();
        }
    }
    next_row(NUM_ROWS - 1);
    wait_frame();
    top_row = 0;
}

static void count_metre(void)
{
    byte i = 4;
    ++metres;
    while (++digits[i] == 10) {
        digits[i] = 0;
        if (!i) {
            break;
        }
        --i;
    }
    if (!--stage_metres) {
        stage_metres = STAGE_METRES;
        seconds += seconds_more[stage < 5 ? stage : 5];
        ++stage;
        paint();
    }
}

void move_road(void)
{
    word way = speed + fraction;
    fraction = (byte)way;
    step = way >> 8;
    pixels += step;
    while (pixels >= 4) {
        pixels -= 4;
        count_metre();
    }
    if (step <= fine) {
        fine -= step;
    } else {
        fine += 8 - step;
        top_row = top_row ? top_row - 1 : NUM_ROWS - 1;
        next_row(top_row ? top_row - 1 : NUM_ROWS - 1);
        spawn();
    }
    if (top_row >= 30) {
        control = 0xA2;         /* interrupt, tall sprites, the lower screen of tiles */
        scroll = ((top_row - 30) << 3) + fine;
    } else {
        control = 0xA0;
        scroll = (top_row << 3) + fine;
    }
}
