/* NES-ROAD: a race against the clock on a winding road with traffic. Its parts share this page. */

typedef unsigned char byte;
typedef unsigned int word;

/* The console: console.s */
extern byte row_high, row_low, scroll, control, mask, repaint;
#pragma zpsym("row_high")
#pragma zpsym("row_low")
#pragma zpsym("scroll")
#pragma zpsym("control")
#pragma zpsym("mask")
#pragma zpsym("repaint")
extern byte row_tiles[32], palette[32], sprites[256];
void wait_frame(void);
void screen_off(void);
void __fastcall__ write_vram(byte value);
byte read_pad(void);
#define PAD_A 0x80
#define PAD_B 0x40
#define PAD_START 0x10
#define PAD_LEFT 0x02
#define PAD_RIGHT 0x01

/* What may be read and written from outside, in this order: facts.c */
#define TITLE 0
#define RACE 1
#define OVER 2
#define NUM_CARS 4
#define NUM_ROWS 60
extern byte state;
extern word seed;
extern word metres;
extern word speed;             /* 1/256 pixel a picture */
extern byte car_x;             /* middle of the player's car */
extern byte seconds;           /* left on the clock */
extern byte stage;
extern byte crashes;
extern byte top_row;           /* row of tiles at the top of the picture, 0 to 59 */
extern byte fine;              /* its lines that are above the picture, 0 to 7 */
extern byte spin;              /* pictures until a crash is over */
extern int lateral;            /* 1/256 pixel a picture, to the right */
extern byte car_on[NUM_CARS];  /* traffic */
extern byte cars_x[NUM_CARS];
extern int cars_y[NUM_CARS];
extern word cars_speed[NUM_CARS];
extern byte road_left[NUM_ROWS], road_right[NUM_ROWS];  /* edges by row of tiles */

#define CAR_Y 184              /* middle of the player's car */

/* The player's car: car.c */
extern byte braking, unhurt;
void start_car(void);
void drive(byte pad);

/* The road: track.c */
#define ASPHALT 0x03           /* its tile */
extern byte step;              /* pixels that the road moved in this picture */
extern byte digits[5];         /* of the metres */
void start_road(void);
void move_road(void);
byte __fastcall__ row_at(byte y);
byte random(void);

/* Others on the road: traffic.c */
#define CAR 0
#define WEAVER 1
#define LORRY 2
extern byte kinds[NUM_CARS];
void start_traffic(void);
void spawn(void);
void move_traffic(void);

/* What is seen and heard: show.c */
void start_show(void);
void show(void);
void hear(void);
void paint(void);
