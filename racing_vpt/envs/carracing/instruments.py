"""The bottom 12 rows of CarRacing's picture: score, speed, wheel speeds, steering and gyroscope.

The stock environment draws them on a 1000x800 surface and averages it down to 96x96. Here the share of each observation
pixel that a bar covers is computed or looked up; the score is drawn in the same font and cached.
"""

from functools import cache, lru_cache

import numpy as np
import pygame
from einops import rearrange

SURFACE_WIDTH, SURFACE_HEIGHT = 1000, 800
OBSERVATION_SIZE = 96
STRIP_ROWS = 12
STRIP_TOP = 700  # in rows of the surface
UNIT_X, UNIT_Y = 25, 20  # a fortieth of the surface: the unit of the layout
SHRINKING_LOSS = 2  # pygame's smoothscale rounds down in each direction: a surface of 102 becomes a picture of 100
BASE = SURFACE_HEIGHT - UNIT_Y  # base row of vertical bars
AXIS_ROWS = (SURFACE_HEIGHT - 4 * UNIT_Y, SURFACE_HEIGHT - 2 * UNIT_Y)  # rows of the horizontal bars
# Parts of the strip: first column and last column, exclusive.
SCORE_COLUMNS, SPEED_COLUMNS, WHEEL_COLUMNS, AXIS_COLUMNS = (0, 12), (12, 15), (16, 27), (28, 96)
WHEEL_BARS = ((175, 199), (200, 224), (225, 249), (250, 275))  # each covers the previous one's last column
WHITE, GREEN, RED, BLUE, VIOLET = (255, 255, 255), (0, 255, 0), (255, 0, 0), (0, 0, 255), (51, 0, 255)
WHEEL_COLORS = (BLUE, BLUE, VIOLET, VIOLET)
VISIBLE = 1e-4  # smaller values are not drawn


def coverage(low: int, high: int, length: int, num_cells: int) -> np.ndarray:
    """Share of each of `num_cells` equal cells of `length` pixels that is covered by pixels low..high, inclusive.

    Returns:
        float64 [num_cells], 0..1.
    """
    edges = np.arange(num_cells + 1) * (length / num_cells)
    covered = np.minimum(high + 1, edges[1:]) - np.maximum(low, edges[:-1])
    return np.maximum(covered, 0) * (num_cells / length)


@lru_cache(maxsize=4096)
def score_digits(text: str) -> np.ndarray:
    """The score as in the stock picture, for the first 12 columns of the strip; uint8 [12, 12, 3]."""
    pygame.font.init()
    font = pygame.font.Font(pygame.font.get_default_font(), 42)
    rendered = font.render(text, True, (255, 255, 255), (0, 0, 0))
    rectangle = rendered.get_rect()
    rectangle.center = (60, SURFACE_HEIGHT - SURFACE_HEIGHT * 2.5 / 40.0 - STRIP_TOP)  # type: ignore[assignment]
    surface = pygame.Surface((125, 100))
    surface.blit(rendered, rectangle)
    shrunk = pygame.transform.smoothscale(surface, (12, STRIP_ROWS))
    return rearrange(pygame.surfarray.array3d(shrunk), "w h c -> h w c")


@cache
def bar(columns: tuple[int, int], across: tuple[int, int], down: tuple[int, int], color: tuple[int, ...]) -> np.ndarray:
    """A bar on part of the strip.

    Args:
        columns: first and last column of the part, the last exclusive.
        across: left and right end of the bar, inclusive and in either order, in columns of the surface.
        down: upper and lower end, inclusive and in either order, in rows of the surface.
        color: RGB, 0..255.

    Returns:
        uint8 [12, columns, 3].
    """
    left, right = sorted(min(max(x, 0), SURFACE_WIDTH - 1) for x in across)
    top, bottom = sorted(min(max(y, STRIP_TOP), SURFACE_HEIGHT - 1) - STRIP_TOP for y in down)
    width = coverage(left, right, SURFACE_WIDTH, OBSERVATION_SIZE)[slice(*columns)]
    height = coverage(top, bottom, SURFACE_HEIGHT - STRIP_TOP, STRIP_ROWS)
    shown = np.maximum(np.array(color) - SHRINKING_LOSS, 0)
    return np.rint(np.einsum("h,w,c->hwc", height, width, shown)).astype(np.uint8)


def draw_instruments(
    strip: np.ndarray, score: float, speed: float, wheel_omegas: list[float], steering: float, yaw_rate: float
) -> None:
    """Draw all instruments.

    Args:
        strip: uint8 [12, 96, 3], overwritten.
        score: the return so far.
        speed: speed of the car, track units per second.
        wheel_omegas: speeds of the four wheels, radians per second.
        steering: angle of the front left joint in radians, positive to the left.
        yaw_rate: yaw rate of the car, radians per second.
    """
    strip[:] = 0
    strip[:, : SCORE_COLUMNS[1]] = score_digits(f"{score:04.0f}")
    if speed > VISIBLE:
        strip[:, slice(*SPEED_COLUMNS)] = bar(
            SPEED_COLUMNS, (125, 150), (int(BASE - 0.02 * UNIT_Y * speed), BASE), WHITE
        )
    wheels = strip[:, slice(*WHEEL_COLUMNS)]
    for omega, across, color in zip(wheel_omegas, WHEEL_BARS, WHEEL_COLORS, strict=True):
        if abs(omega) > VISIBLE:
            wheels += bar(WHEEL_COLUMNS, across, (int(BASE - 0.01 * UNIT_Y * omega), BASE), color)
    # In a fast spin the two may overlap: here their colours add up, there the gyroscope hides the steering.
    right_half = strip[:, slice(*AXIS_COLUMNS)]
    if abs(steering) > VISIBLE:
        right_half += bar(AXIS_COLUMNS, (500, int((20 - 10.0 * steering) * UNIT_X)), AXIS_ROWS, GREEN)
    if abs(yaw_rate) > VISIBLE:
        right_half += bar(AXIS_COLUMNS, (750, int((30 - 0.8 * yaw_rate) * UNIT_X)), AXIS_ROWS, RED)
