"""The pictures of nes-road as the console draws them: tiles, and sprites of which it shows eight on a line.

Tiles and sprites are read from the ROM. The order of the sprites is that of `show.c`; the first one in front.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from racing_vpt.envs.nes_road.rules import CAR_Y, LORRY, NUM_CARS, NUM_ROWS, OVER, WEAVER, RoadGame
from racing_vpt.types import Frame

HEIGHT, WIDTH = 240, 256
HEADER_BYTES, PROGRAM_BYTES = 16, 16384
TALL, MOST_ON_A_LINE = 16, 8  # lines of a sprite; sprites that the console shows on one
STRAIGHT, TURNED, ACROSS, LORRY_TILES, LIGHT, DIGIT, LETTER = 0x00, 0x04, 0x08, 0x0C, 0x10, 0x12, 0x26
FLIPPED, UPSIDE_DOWN = 0x40, 0x80
LEANS = 0x0090
SPINNING = ((STRAIGHT, 0), (ACROSS, 0), (STRAIGHT, UPSIDE_DOWN), (ACROSS, FLIPPED))
STAGES = (  # colours of the console: grass, asphalt, lines, shade
    (0x29, 0x00, 0x30, 0x19),
    (0x37, 0x10, 0x30, 0x17),
    (0x27, 0x00, 0x38, 0x06),
    (0x0C, 0x2D, 0x32, 0x01),
    (0x31, 0x00, 0x30, 0x11),
)
SPRITES = ((0x11, 0x0F, 0x31), (0x16, 0x0F, 0x36), (0x38, 0x0F, 0x27), (0x30, 0x0F, 0x16))
RGB = {  # the console's colours as cynes shows them
    0x00: (84, 84, 84),
    0x01: (0, 30, 116),
    0x06: (84, 4, 0),
    0x0C: (0, 50, 60),
    0x0F: (0, 0, 0),
    0x10: (152, 150, 152),
    0x11: (8, 76, 196),
    0x16: (152, 34, 32),
    0x17: (120, 60, 0),
    0x19: (40, 114, 0),
    0x27: (212, 136, 32),
    0x29: (116, 196, 0),
    0x2D: (60, 60, 60),
    0x30: (236, 238, 236),
    0x31: (168, 204, 236),
    0x32: (188, 188, 236),
    0x36: (236, 180, 176),
    0x37: (228, 196, 144),
    0x38: (204, 210, 120),
}
Sprite = tuple[int, int, int, int]  # line above its first, tile, paint and flips, first column


class Picture:
    """Draws a game; keeps the tiles of its road from picture to picture.

    Args:
        rom: the image, for its tiles.
    """

    def __init__(self, rom: Path) -> None:
        tiles = np.frombuffer(rom.read_bytes(), np.uint8)[HEADER_BYTES + PROGRAM_BYTES :].reshape(512, 2, 8)
        bits = np.unpackbits(tiles, axis=-1).reshape(512, 2, 8, 8)
        self.tiles = bits[:256, 0] + 2 * bits[:256, 1]  # [256, 8, 8], colours 0 to 3
        pairs = bits[256:, 0] + 2 * bits[256:, 1]
        self.sprites = pairs.reshape(128, TALL, 8)
        self.road = np.zeros((NUM_ROWS * 8, WIDTH), np.uint8)
        self.colours = np.array([[RGB[colour] for colour in stage] for stage in STAGES], np.uint8)
        self.paints = np.array([[RGB[colour] for colour in (0x0F, *paint)] for paint in SPRITES], np.uint8)

    def lay(self, game: RoadGame) -> None:
        """Take over the rows of tiles that the game has drawn since the last picture."""
        for row, tiles in game.rows:
            self.road[8 * row : 8 * row + 8] = self.tiles[tiles].transpose(1, 0, 2).reshape(8, WIDTH)
        game.rows.clear()

    def draw(self, game: RoadGame) -> Frame:
        """The picture of the game's present state, a new uint8 [240, 256, 3]."""
        self.lay(game)
        top = 8 * game.top_row + game.fine
        seen = np.concatenate([self.road[top : top + HEIGHT], self.road[: max(0, top + HEIGHT - len(self.road))]])
        frame = self.colours[game.stage % len(STAGES)].take(seen, 0)
        on_line = np.zeros(HEIGHT, np.uint8)
        taken = np.zeros((HEIGHT, WIDTH), bool)
        for y, tile, how, x in sprites_of(game):
            first, last, right = y + 1, min(HEIGHT, y + 1 + TALL), min(WIDTH, x + 8)
            if first >= HEIGHT:
                continue
            shown = on_line[first:last] < MOST_ON_A_LINE
            on_line[first:last] += 1
            pixels = self.sprites[tile >> 1]
            if how & FLIPPED:
                pixels = pixels[:, ::-1]
            if how & UPSIDE_DOWN:
                pixels = pixels[::-1]
            pixels = pixels[: last - first, : right - x]
            drawn = (pixels > 0) & shown[:, None] & ~taken[first:last, x:right]
            frame[first:last, x:right][drawn] = self.paints[how & 3][pixels[drawn]]
            taken[first:last, x:right] |= drawn
        return frame


def two_sprites(x: int, y: int, tile: int, how: int) -> list[Sprite]:
    """A picture of 16x16 around a place."""
    left, right = (x - 8) & 0xFF, x & 0xFF
    one, two = (tile + 2, tile) if how & FLIPPED else (tile, tile + 2)
    return [(y - 9, one, how, left), (y - 9, two, how, right)]


def sprites_of(game: RoadGame) -> list[Sprite]:
    """All sprites, the first in front."""
    shown: list[Sprite] = []
    if game.state == OVER:
        shown += [(96, LETTER + 2 * i, 3, 100 + 8 * i + (8 if i > 3 else 0)) for i in range(6)]
    shown += player(game)
    for i in range(NUM_CARS):
        if game.car_on[i] and 9 <= game.cars_y[i] <= 240:
            tile = LORRY_TILES if game.kinds[i] == LORRY else STRAIGHT
            shown += two_sprites(game.cars_x[i], game.cars_y[i], tile, {LORRY: 2, WEAVER: 2}.get(game.kinds[i], 1))
    digits = [(15, int(digit), 16 + 8 * i) for i, digit in enumerate(f"{game.metres:05d}")]
    digits += [(15, int(digit), 120 + 8 * i) for i, digit in enumerate(f"{game.seconds:02d}")]
    digits += [(32, int(digit), 216 + 8 * i) for i, digit in enumerate(f"{game.kmh:03d}")]
    return shown + [(y, DIGIT + 2 * digit, 3, x) for y, digit, x in digits]


def player(game: RoadGame) -> list[Sprite]:
    """The sprites of the player's car, with its brake lights."""
    if game.spin:
        return two_sprites(game.car_x, CAR_Y, *SPINNING[(game.spin >> 2) & 3])
    if game.unhurt & 4:
        return []
    lights: list[Sprite] = []
    if game.braking:
        x = game.car_x
        lights = [(CAR_Y - 9, LIGHT, 3, (x - 8) & 0xFF), (CAR_Y - 9, LIGHT, 3 | FLIPPED, x)]
    tile, how = STRAIGHT, 0
    if abs(game.lateral) > LEANS:
        tile, how = TURNED, FLIPPED if game.lateral > 0 else 0
    return lights + two_sprites(game.car_x, CAR_Y, tile, how)
