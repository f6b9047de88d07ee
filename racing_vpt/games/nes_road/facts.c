/* The state of the game from address $0300 on, which nes-road.yaml and the scripted driver read.
   The compiler takes the order from road.h. */

#include "road.h"

#pragma bss-name(push, "FACTS")
byte state;
word seed;                      /* $0301: written from outside before START, it chooses the track */
word metres;                    /* $0303 */
word speed;                     /* $0305 */
byte car_x;                     /* $0307 */
byte seconds;                   /* $0308 */
byte stage;                     /* $0309 */
byte crashes;                   /* $030A */
byte top_row;                   /* $030B */
byte fine;                      /* $030C */
byte spin;                      /* $030D */
int lateral;                    /* $030E */
byte car_on[NUM_CARS];          /* $0310 */
byte cars_x[NUM_CARS];          /* $0314 */
int cars_y[NUM_CARS];           /* $0318 */
word cars_speed[NUM_CARS];      /* $0320 */
byte road_left[NUM_ROWS];       /* $0328 */
byte road_right[NUM_ROWS];      /* $0364 */
#pragma bss-name(pop)
