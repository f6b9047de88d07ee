"""The rules of nes-road: its C source (`games/nes_road/`), function by function, in Python.

Numbers are as in C: bytes are kept below 256 and words below 65,536 where the game may exceed them. A test plays both
with the same buttons and compares memory and pictures, bit by bit.
"""

from __future__ import annotations

import struct

TITLE, RACE, OVER = range(3)
PAD_A, PAD_B, PAD_LEFT, PAD_RIGHT = 0x80, 0x40, 0x02, 0x01
NUM_CARS, NUM_ROWS, CAR_Y = 4, 60, 184
FRAMES_PER_SECOND, FIRST_SECONDS = 60, 30
TOP, GRASS_TOP, PULL, PULL_FAST, DRAG, BRAKE, GRASS_DRAG = 0x0400, 0x0120, 9, 5, 3, 26, 22  # car.c
TURN, MOST_LATERAL, SPIN_FRAMES, UNHURT_FRAMES, VERGE = 44, 0x0260, 48, 90, 22
GRASS, BUSH, ASPHALT, LEFT_KERB, RIGHT_KERB, DARK, LINE = 0x00, 0x02, 0x03, 0x08, 0x18, 0x08, 0x28  # track.c
NEAREST, STAGE_METRES = 20, 1000
BENDS, SECONDS_MORE = (-3, -2, -1, 0, 0, 1, 2, 3), (15, 13, 11, 9, 7, 5)
CAR, WEAVER, LORRY, MARGIN = 0, 1, 2, 10  # traffic.c
FACTS, LEFT, RIGHT = 0x0300, 0x0328, 0x0364  # addresses, as facts.c
LAYOUT = struct.Struct("<BHHHBBBBBBBh4B4B4h4H")


class RoadGame:
    """A race from its first picture to the end of its time.

    Args:
        seed: of the track, 0 to 65535.
    """

    noise: int  # state of the random numbers
    left: int  # edge of the newest row
    width: int
    goal: int  # width to come
    bend: int  # pixels to the right a row
    bend_goal: int
    bend_rows: int
    shade_rows: int
    stage: int

    def __init__(self, seed: int) -> None:
        self.memory = bytearray(2048)  # of the console; `write_facts` fills in what is read from outside
        self.seed, self.state = seed, RACE
        self.rows: list[tuple[int, list[int]]] = []  # rows of tiles to draw: place 0 to 59, 32 tiles
        self.crashes, self.seconds, self.frames = 0, FIRST_SECONDS, FRAMES_PER_SECOND
        self.start_road()
        self.start_traffic()
        self.start_car()
        self.start_show()
        self.write_facts()

    def update(self, pad: int) -> None:
        """One picture's worth of the game, with the buttons of `PAD_*`."""
        if self.state == RACE and not self.seconds:
            self.state = OVER
        if self.state == RACE:
            self.drive(pad)
            self.move_road()
            self.move_traffic()
            self.frames -= 1
            if not self.frames:
                self.frames = FRAMES_PER_SECOND
                self.seconds -= 1
        self.count_speed()

    def write_facts(self) -> None:
        """Bring the memory from $0300 on up to date."""
        LAYOUT.pack_into(
            self.memory, FACTS, self.state, self.seed, self.metres, self.speed, self.car_x, self.seconds, self.stage,
            self.crashes, self.top_row, self.fine, self.spin, self.lateral, *self.car_on, *self.cars_x, *self.cars_y,
            *self.cars_speed,
        )  # fmt: skip

    # ------------------------------------------------------------------ car.c

    def start_car(self) -> None:
        left, right = self.edges(self.row_at(CAR_Y))
        self.speed = self.lateral = self.car_fraction = self.spin = self.unhurt = 0
        self.braking = False
        self.car_x = (left + right) >> 1

    def crash(self) -> None:
        self.crashes += 1
        self.spin, self.braking, self.lateral = SPIN_FRAMES, False, 0

    def drive(self, pad: int) -> None:
        if self.unhurt:
            self.unhurt -= 1
        if self.spin:
            self.speed = self.speed - 40 if self.speed > 40 else 0
            self.spin -= 1
            if not self.spin:
                self.start_car()
                self.unhurt = UNHURT_FRAMES
            return
        self.pedals(pad)
        self.steer(pad & (PAD_LEFT | PAD_RIGHT))
        self.touch_ground()
        if not self.spin:
            self.touch_traffic()

    def pedals(self, pad: int) -> None:
        self.braking = False
        if pad & PAD_B:
            self.braking = True
            self.speed = self.speed - BRAKE if self.speed > BRAKE else 0
        elif pad & PAD_A:
            self.speed = min(TOP, self.speed + (PULL if self.speed < 0x0240 else PULL_FAST))
        else:
            self.speed = self.speed - DRAG if self.speed > DRAG else 0

    def steer(self, pad: int) -> None:
        most = min(self.speed, MOST_LATERAL)
        if pad == PAD_LEFT:
            self.lateral -= TURN
        elif pad == PAD_RIGHT:
            self.lateral += TURN
        elif self.lateral > TURN:
            self.lateral -= TURN
        elif self.lateral < -TURN:
            self.lateral += TURN
        else:
            self.lateral = 0
        self.lateral = max(-most, min(most, self.lateral))
        place = ((self.car_x << 8 | self.car_fraction) + self.lateral) & 0xFFFF
        self.car_fraction = place & 0xFF
        self.car_x = max(8, min(247, place >> 8))

    def touch_ground(self) -> None:
        left, right = self.edges(self.row_at(CAR_Y))
        if self.car_x >= left + 4 and self.car_x + 4 <= right:
            return
        if self.speed > GRASS_TOP:
            self.speed -= GRASS_DRAG
        if not self.unhurt and (self.car_x + VERGE < left or self.car_x > right + VERGE):
            self.crash()

    def touch_traffic(self) -> None:
        if self.unhurt:
            return
        for i in range(NUM_CARS):
            near = self.car_on[i] and abs(self.cars_y[i] - CAR_Y) <= 14
            if near and abs(self.cars_x[i] - self.car_x) < 12:
                self.crash()
                return

    # ------------------------------------------------------------------ track.c

    def random(self) -> int:
        noise = self.noise
        noise ^= (noise << 7) & 0xFFFF
        noise ^= noise >> 9
        noise ^= (noise << 8) & 0xFFFF
        self.noise = noise
        return noise & 0xFF

    def row_at(self, y: int) -> int:
        row = self.top_row + ((y + self.fine) >> 3)
        return row - NUM_ROWS if row >= NUM_ROWS else row

    def edges(self, row: int) -> tuple[int, int]:
        return self.memory[LEFT + row], self.memory[RIGHT + row]

    def choose(self) -> None:
        narrow, wide = (76 - 4 * self.stage, 136 - 8 * self.stage) if self.stage < 4 else (60, 104)
        drawn = self.random()
        self.bend_goal = BENDS[drawn & 7]
        self.bend_rows = 6 + ((drawn >> 3) & 15)
        drawn = self.random()
        if drawn & 1:
            self.goal = min(wide, narrow + (drawn >> 2))

    def next_edges(self) -> None:
        if not self.bend_rows:
            self.choose()
        self.bend_rows -= 1
        self.bend += (self.bend < self.bend_goal) - (self.bend > self.bend_goal)
        self.width += (self.width < self.goal) - (self.width > self.goal)
        self.left = (self.left + self.bend) & 0xFF
        if self.left < NEAREST:
            self.left = NEAREST
            self.bend, self.bend_goal, self.bend_rows = 0, 2, 10
        elif self.left + self.width > 255 - NEAREST:
            self.left = 255 - NEAREST - self.width
            self.bend, self.bend_goal, self.bend_rows = 0, -2, 10

    def next_row(self, row: int) -> None:
        self.next_edges()
        left, right = self.left, self.left + self.width
        self.memory[LEFT + row], self.memory[RIGHT + row] = left, right
        first, last = left >> 3, right >> 3
        self.shade_rows = (self.shade_rows + 1) & 0xFF
        shade = DARK if self.shade_rows & 2 else 0
        tiles = [GRASS + ((self.shade_rows >> 2) & 1)] * 32
        tiles[first + 1 : last] = [ASPHALT + (self.shade_rows & 1)] * (last - first - 1)
        tiles[first] = LEFT_KERB + shade + (left & 7)
        tiles[last] = RIGHT_KERB + shade + (right & 7)
        if self.shade_rows & 4:
            third = self.width // 3 if self.width > 84 else self.width >> 1
            for x in (left + third, right - third):
                tiles[x >> 3] = LINE + (x & 7)
        x = self.random() & 63
        if x < 32 and not first <= x <= last:
            tiles[x] = BUSH
        self.rows.append((row, tiles))

    def start_road(self) -> None:
        self.noise = self.seed or 0x5EED
        for _ in range(8):
            self.random()
        self.width = self.goal = 112
        self.left, self.bend_rows = 72, 24
        self.bend = self.bend_goal = self.way_fraction = self.pixels = self.fine = self.metres = 0
        self.stage = self.shade_rows = self.top_row = self.step = 0
        self.stage_metres = STAGE_METRES
        for row in (*range(29, -1, -1), NUM_ROWS - 1):
            self.next_row(row)

    def count_metre(self) -> None:
        self.metres += 1
        self.stage_metres -= 1
        if not self.stage_metres:
            self.stage_metres = STAGE_METRES
            self.seconds += SECONDS_MORE[min(self.stage, 5)]
            self.stage += 1

    def move_road(self) -> None:
        way = self.speed + self.way_fraction
        self.way_fraction, self.step = way & 0xFF, way >> 8
        self.pixels += self.step
        while self.pixels >= 4:
            self.pixels -= 4
            self.count_metre()
        if self.step <= self.fine:
            self.fine -= self.step
        else:
            self.fine += 8 - self.step
            self.top_row = (self.top_row or NUM_ROWS) - 1
            self.next_row((self.top_row or NUM_ROWS) - 1)
            self.spawn()

    # ------------------------------------------------------------------ traffic.c

    def start_traffic(self) -> None:
        self.car_on, self.cars_x, self.cars_y = [0] * NUM_CARS, [0] * NUM_CARS, [0] * NUM_CARS
        self.cars_speed, self.kinds, self.offsets = [0] * NUM_CARS, [0] * NUM_CARS, [0] * NUM_CARS
        self.fractions, self.directions = [0] * NUM_CARS, [0] * NUM_CARS
        self.wait, self.clock, self.watched = 20, 0, 0

    def spawn(self) -> None:
        self.wait -= 1
        if self.wait:
            return
        drawn = self.random()
        lane = self.random() & 63
        self.wait = (16 - 2 * self.stage if self.stage < 4 else 8) + (drawn & 7)
        if 0 not in self.car_on:
            return
        i = self.car_on.index(0)
        self.car_on[i], self.cars_y[i], self.offsets[i] = 1, -12, MARGIN + 4 + lane
        drawn >>= 3
        self.kinds[i] = (WEAVER if drawn & 1 and self.stage else CAR) if drawn & 7 else LORRY
        self.cars_speed[i] = 0x00E0 if self.kinds[i] == LORRY else 0x0120 + ((drawn & 3) << 5)
        self.cars_x[i] = (self.memory[LEFT + self.top_row] + self.offsets[i]) & 0xFF
        self.directions[i] = drawn & 4

    def keep_to_road(self, i: int) -> None:
        left, right = self.edges(self.row_at(max(0, min(231, self.cars_y[i]))))
        right -= MARGIN
        weaves = self.kinds[i] == WEAVER
        if weaves and self.clock & 1:
            self.offsets[i] = (self.offsets[i] + (1 if self.directions[i] else -1)) & 0xFF
            if self.offsets[i] < MARGIN + 2:
                self.directions[i] = 1
        goal = (left + self.offsets[i]) & 0xFF
        if goal > right:
            goal = right
            self.directions[i] = 0
            if weaves:
                self.offsets[i] = right - left
        self.cars_x[i] += max(-2, min(2, goal - self.cars_x[i]))

    def keep_distance(self) -> None:
        i, other = self.watched & 3, (self.watched >> 2) & 3
        self.watched = (self.watched + 1) & 0xFF
        if i == other or not self.car_on[i] or not self.car_on[other]:
            return
        gap, apart = self.cars_y[i] - self.cars_y[other], abs(self.cars_x[i] - self.cars_x[other])
        if 0 < gap < 32 and apart < 18 and self.cars_speed[i] > self.cars_speed[other]:
            self.cars_speed[i] = self.cars_speed[other]

    def move_traffic(self) -> None:
        self.clock = (self.clock + 1) & 0xFF
        for i in range(NUM_CARS):
            if not self.car_on[i]:
                continue
            way = self.cars_speed[i] + self.fractions[i]
            self.fractions[i] = way & 0xFF
            self.cars_y[i] += self.step - (way >> 8)
            if not -40 <= self.cars_y[i] <= 250:
                self.car_on[i] = 0
                continue
            self.keep_to_road(i)
        self.keep_distance()

    # ------------------------------------------------------------------ show.c

    def start_show(self) -> None:
        self.kmh_wait = self.kmh = 0

    def count_speed(self) -> None:
        if self.kmh_wait:
            self.kmh_wait -= 1
            return
        self.kmh_wait = 7
        self.kmh = ((self.speed >> 4) * 54) >> 4
