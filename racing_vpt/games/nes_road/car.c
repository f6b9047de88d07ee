/* The player's car: throttle on A, brake on B, steering, grass and crashes. */

#include "road.h"

#define TOP 0x0400              /* four pixels a picture: 216 km/h */
#define GRASS_TOP 0x0120
#define PULL 9                  /* of the throttle, 1/256 pixel a picture; less when fast */
#define PULL_FAST 5
#define DRAG 3
#define BRAKE 26
#define GRASS_DRAG 22
#define TURN 44                 /* of the lateral speed */
#define MOST_LATERAL 0x0260
#define SPIN_FRAMES 48
#define UNHURT_FRAMES 90        /* after a crash */
#define VERGE 22                /* pixels beside the road that do not wreck the car */

byte braking, unhurt;
static byte fraction;           /* of car_x */

void start_car(void)
{
    byte row = row_at(CAR_Y);
    speed = 0;
    lateral = 0;
    fraction = 0;
    spin = 0;
    unhurt = 0;
    car_x = (byte)(((word)road_left[row] + road_right[row]) >> 1);
}

static void crash(void)
{
    ++crashes;
    spin = SPIN_FRAMES;
    braking = 0;
    lateral = 0;
}

static void pedals(byte pad)
{
    braking = 0;
    if (pad & PAD_B) {
        braking = 1;
        speed = speed > BRAKE ? speed - BRAKE : 0;
    } else if (pad & PAD_A) {
        speed += speed < 0x0240 ? PULL : PULL_FAST;
        if (speed > TOP) {
            speed = TOP;
        }
    } else {
        speed = speed > DRAG ? speed - DRAG : 0;
    }
}

static void steer(byte pad)
{
    int most = speed < MOST_LATERAL ? (int)speed : MOST_LATERAL;
    word place;
    pad &= PAD_LEFT | PAD_RIGHT;
    if (pad == PAD_LEFT) {
        lateral -= TURN;
    } else if (pad == PAD_RIGHT) {
        lateral += TURN;
    } else if (lateral > TURN) {
        lateral -= TURN;
    } else if (lateral < -TURN) {
        lateral += TURN;
    } else {
        lateral = 0;
    }
    if (lateral > most) {
        lateral = most;
    } else if (lateral < -most) {
        lateral = -most;
    }
    place = ((word)car_x << 8 | fraction) + lateral;
    car_x = place >> 8;
    fraction = (byte)place;
    if (car_x < 8) {
        car_x = 8;
    } else if (car_x > 247) {
        car_x = 247;
    }
}

static void touch_ground(void)
{
    byte row = row_at(CAR_Y);
    byte left = road_left[row], right = road_right[row];
    if (car_x >= left + 4 && car_x + 4 <= right) {
        return;
    }
    if (speed > GRASS_TOP) {
        speed -= GRASS_DRAG;
    }
    if (!unhurt && (car_x + VERGE < left || car_x > right + VERGE)) {
        crash();
    }
}

static void touch_traffic(void)
{
    byte i, apart;
    int y;
    if (unhurt) {
        return;
    }
    for (i = 0; i < NUM_CARS; ++i) {
        if (!car_on[i]) {
            continue;
        }
        y = cars_y[i];
        if (y < CAR_Y - 14 || y > CAR_Y + 14) {
            continue;
        }
        apart = cars_x[i] > car_x ? cars_x[i] - car_x : car_x - cars_x[i];
        if (apart < 12) {
            crash();
            return;
        }
    }
}

void drive(byte pad)
{
    if (unhurt) {
        --unhurt;
    }
    if (spin) {
        speed = speed > 40 ? speed - 40 : 0;
        if (!--spin) {
            start_car();
            unhurt = UNHURT_FRAMES;
        }
        return;
    }
    pedals(pad);
    steer(pad);
    touch_ground();
    if (!spin) {
        touch_traffic();
    }
}
