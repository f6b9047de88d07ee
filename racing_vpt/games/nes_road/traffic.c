/* Traffic: cars that keep their lane, cars that weave, and lorries, all slower than the player may be. */

#include "road.h"

#define MARGIN 10               /* pixels from a car's middle to the edge of the road */

byte kinds[NUM_CARS];
static byte offsets[NUM_CARS];  /* pixels from the left edge */
static byte fractions[NUM_CARS];
static byte directions[NUM_CARS];
static byte wait, clock, watched;

void start_traffic(void)
{
    byte i;
    for (i = 0; i < NUM_CARS; ++i) {
        car_on[i] = 0;
        fractions[i] = 0;
    }
    wait = 20;
    clock = watched = 0;
}

/* Called for every new row of road: now and then with a car on it. */
void spawn(void)
{
    byte i, drawn, lane;
    if (--wait) {
        return;
    }
    drawn = random();
    lane = random() & 63;       /* drawn in any case, so that the road is the same whatever the traffic does */
    wait = (stage < 4 ? 16 - (stage << 1) : 8) + (drawn & 7);
    for (i = 0; i < NUM_CARS && car_on[i]; ++i) {
    }
    if (i == NUM_CARS) {
        return;
    }
    car_on[i] = 1;
    cars_y[i] = -12;
    offsets[i] = MARGIN + 4 + lane;
    drawn >>= 3;
    kinds[i] = drawn & 7 ? (drawn & 1 && stage ? WEAVER : CAR) : LORRY;
    cars_speed[i] = kinds[i] == LORRY ? 0x00E0 : 0x0120 + ((word)(drawn & 3) << 5);
    cars_x[i] = road_left[top_row] + offsets[i];
    directions[i] = drawn & 4;
}

static void keep_to_road(byte i)
{
    byte row, goal, right, y;
    y = cars_y[i] < 0 ? 0 : cars_y[i] > 231 ? 231 : (byte)cars_y[i];
    row = row_at(y);
    right = road_right[row] - MARGIN;
    if (kinds[i] == WEAVER && clock & 1) {
        if (directions[i]) {
            ++offsets[i];
        } else {
            --offsets[i];
        }
        if (offsets[i] < MARGIN + 2) {
            directions[i] = 1;
        }
    }
    goal = road_left[row] + offsets[i];
    if (goal > right) {
        goal = right;
        directions[i] = 0;
        if (kinds[i] == WEAVER) {
            offsets[i] = right - road_left[row];
        }
    }
    if (cars_x[i] < goal) {
        ++cars_x[i];
        if (cars_x[i] < goal) {
            ++cars_x[i];
        }
    } else if (cars_x[i] > goal) {
        --cars_x[i];
        if (cars_x[i] > goal) {
            --cars_x[i];
        }
    }
}

/* A car that comes up behind a slower one slows down. One pair is looked at in each picture. */
static void keep_distance(void)
{
    byte i = watched & 3, other = (watched >> 2) & 3, apart;
    int gap;
    ++watched;
    if (i == other || !car_on[i] || !car_on[other]) {
        return;
    }
    gap = cars_y[i] - cars_y[other];
    apart = cars_x[i] > cars_x[other] ? cars_x[i] - cars_x[other] : cars_x[other] - cars_x[i];
    if (gap > 0 && gap < 32 && apart < 18 && cars_speed[i] > cars_speed[other]) {
        cars_speed[i] = cars_speed[other];
    }
}

void move_traffic(void)
{
    byte i;
    word way;
    ++clock;
    for (i = 0; i < NUM_CARS; ++i) {
        if (!car_on[i]) {
            continue;
        }
        way = cars_speed[i] + fractions[i];
        fractions[i] = (byte)way;
        cars_y[i] += step - (byte)(way >> 8);
        if (cars_y[i] > 250 || cars_y[i] < -40) {
            car_on[i] = 0;
            continue;
        }
        keep_to_road(i);
    }
    keep_distance();
}
