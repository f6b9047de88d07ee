/* Sprites, colours and sound. */

#include <string.h>
#include "road.h"

#define STRAIGHT 0x00           /* sprites of 8x16: the first of two, in the second half of art.s */
#define TURNED 0x04
#define ACROSS 0x08
#define LORRY_TILES 0x0C
#define LIGHT 0x10
#define DIGIT 0x12
#define LETTER 0x26
#define FLIPPED 0x40
#define UPSIDE_DOWN 0x80
#define LEANS 0x0090            /* lateral speed from which the car is drawn turned */

static const byte colours[5][4] = {     /* grass, asphalt, lines, shade: a set for each stage */
    {0x29, 0x00, 0x30, 0x19},
    {0x37, 0x10, 0x30, 0x17},
    {0x27, 0x00, 0x38, 0x06},
    {0x0C, 0x2D, 0x32, 0x01},
    {0x31, 0x00, 0x30, 0x11},
};
static const byte sprite_colours[16] = {
    0x0F, 0x11, 0x0F, 0x31,     /* the player: blue */
    0x0F, 0x16, 0x0F, 0x36,     /* red */
    0x0F, 0x38, 0x0F, 0x27,     /* yellow */
    0x0F, 0x30, 0x0F, 0x16,     /* digits, brake lights */
};
static const byte spinning[4] = {STRAIGHT, ACROSS, STRAIGHT, ACROSS};
static const byte spinning_how[4] = {0, 0, UPSIDE_DOWN, FLIPPED};
static byte place;              /* in sprites */
static byte kmh[3], kmh_wait, engine_high, beep;

/* Writes the colours of the stage with the next picture. */
void paint(void)
{
    memcpy(palette, colours[stage % 5], 4);
    memcpy(palette + 16, sprite_colours, 16);
    palette[16] = palette[0];   /* the same byte in the PPU */
    repaint = 1;
    beep = 24;
}

void start_show(void)
{
    memset(sprites, 0xFF, 255);
    *(byte *)0x4015 = 0x0F;
    *(byte *)0x4001 = 0x08;     /* no sweep */
    *(byte *)0x4005 = 0x08;
    *(byte *)0x4000 = 0x30;
    *(byte *)0x4004 = 0x30;
    *(byte *)0x400C = 0x30;
    engine_high = 0xFF;
    kmh_wait = 0;
    kmh[0] = kmh[1] = kmh[2] = 0;
    beep = 0;
}

static void sprite(byte x, byte y, byte tile, byte how)
{
    sprites[place] = y;
    sprites[place + 1] = tile | 1;
    sprites[place + 2] = how;
    sprites[place + 3] = x;
    place += 4;
}

/* A picture of 16x16 around a place. */
static void two_sprites(byte x, byte y, byte tile, byte how)
{
    x -= 8;
    y -= 9;
    if (how & FLIPPED) {
        sprite(x, y, tile + 2, how);
        sprite(x + 8, y, tile, how);
    } else {
        sprite(x, y, tile, how);
        sprite(x + 8, y, tile + 2, how);
    }
}

static void show_player(void)
{
    byte how;
    if (spin) {
        how = (spin >> 2) & 3;
        two_sprites(car_x, CAR_Y, spinning[how], spinning_how[how]);
        return;
    }
    if (unhurt & 4) {
        return;
    }
    if (braking) {
        sprite(car_x - 8, CAR_Y - 9, LIGHT, 3);
        sprite(car_x, CAR_Y - 9, LIGHT, 3 | FLIPPED);
    }
    if (lateral > LEANS) {
        two_sprites(car_x, CAR_Y, TURNED, FLIPPED);
    } else if (lateral < -LEANS) {
        two_sprites(car_x, CAR_Y, TURNED, 0);
    } else {
        two_sprites(car_x, CAR_Y, STRAIGHT, 0);
    }
}

static void show_traffic(void)
{
    byte i, x;
    int y;
    for (i = 0; i < NUM_CARS; ++i) {
        y = cars_y[i];
        if (!car_on[i] || y < 9 || y > 240) {   /* the PPU cannot show a sprite in part at the top */
            continue;
        }
        x = cars_x[i];
        if (kinds[i] == LORRY) {
            two_sprites(x, (byte)y, LORRY_TILES, 2);
        } else {
            two_sprites(x, (byte)y, STRAIGHT, kinds[i] == WEAVER ? 2 : 1);
        }
    }
}

static void count_speed(void)
{
    word left;
    if (kmh_wait--) {
        return;
    }
    kmh_wait = 7;
    left = ((speed >> 4) * 54) >> 4;
    kmh[0] = kmh[1] = 0;
    while (left >= 100) {
        left -= 100;
        ++kmh[0];
    }
    while (left >= 10) {
        left -= 10;
        ++kmh[1];
    }
    kmh[2] = (byte)left;
}

static void show_digits(void)
{
    byte i, tens = 0, ones = seconds;
    while (ones >= 10) {
        ones -= 10;
        ++tens;
    }
    for (i = 0; i < 5; ++i) {
        sprite(16 + (i << 3), 15, DIGIT + (digits[i] << 1), 3);
    }
    sprite(120, 15, DIGIT + (tens << 1), 3);
    sprite(128, 15, DIGIT + (ones << 1), 3);
    count_speed();
    for (i = 0; i < 3; ++i) {
        sprite(216 + (i << 3), 32, DIGIT + (kmh[i] << 1), 3);
    }
}

static void show_time_up(void)
{
    byte i;
    for (i = 0; i < 6; ++i) {
        sprite(100 + (i << 3) + (i > 3 ? 8 : 0), 96, LETTER + (i << 1), 3);
    }
}

void show(void)
{
    place = 0;
    if (state == OVER) {
        show_time_up();
    }
    show_player();
    show_traffic();
    show_digits();
    memset(sprites + place, 0xFF, 255 - place);
}

void hear(void)
{
    word period = 0x0540 - speed;
    byte high = period >> 8;
    if (state != RACE) {
        *(byte *)0x4000 = 0x30;
        *(byte *)0x4004 = 0x30;
        *(byte *)0x400C = 0x30;
        return;
    }
    *(byte *)0x4000 = 0x32;     /* the engine */
    *(byte *)0x4002 = (byte)period;
    if (high != engine_high) {  /* writing it starts the wave anew, which clicks */
        engine_high = high;
        *(byte *)0x4003 = high;
    }
    if (spin) {
        *(byte *)0x400C = 0x30 | (spin >> 2);
        *(byte *)0x400E = 0x0C;
        *(byte *)0x400F = 0;
    } else {
        *(byte *)0x400C = 0x30;
    }
    if (beep) {                 /* a stage begins */
        --beep;
        *(byte *)0x4004 = beep ? 0x76 : 0x30;
        *(byte *)0x4006 = beep > 12 ? 0xA9 : 0x70;
        if (beep == 23) {
            *(byte *)0x4007 = 0;
        }
    }
}
