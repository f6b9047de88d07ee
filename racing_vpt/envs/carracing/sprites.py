"""The car as small translucent pictures at observation size.

The camera turns with the car, so that the hull is always at the same place and only the wheels change: their steering
angle, and the white mark that shows their rotation. Each part is drawn as in the stock environment on a patch of a
1000x800 surface and averaged to observation pixels, once per (rounded) angle and phase. Parts do not overlap on the
surface (wheels are cut where the hull hides them), so that their averages add up exactly.
"""

import math
from functools import cache, lru_cache

import cv2
import numpy as np
import pygame
from gymnasium.envs.box2d import car_dynamics as car

from racing_vpt.envs.carracing.instruments import SHRINKING_LOSS

# The patch of the observation that holds the car, and the block of 24x12 pixels around it on the stock's surface, where
# the y axis still points up.
ROWS, COLUMNS = slice(66, 78), slice(44, 52)
PATCH_LEFT, PATCH_BOTTOM, PATCH_WIDTH, PATCH_HEIGHT = 375, 150, 250, 100
# Radians to which a wheel's angle and phase are rounded: 0.04 is 0.02 pixels at the end of a wheel. While the camera
# is far away, coarser steps suffice and keep the number of pictures small.
ANGLE_STEP, PHASE_STEP = 0.04, 2 * math.pi / 32
FAR_ZOOM = 12.0
FAR_ANGLE_STEP, FAR_PHASE_STEP = 0.2, 2 * math.pi / 8
MAX_SPRITES = 8192  # 12 MB; about 1,400 at full zoom, 80 at each of the first 50 frames
Color = tuple[int, int, int]
HULL_COLOR: Color = (204, 0, 0)
PALETTE = [(0, 255, 0), HULL_COLOR, car.WHEEL_COLOR, car.WHEEL_WHITE]  # index 0: no part of the car
WHITE_ARC = 1.2  # radians of a wheel's circumference that are marked


def draw_car(picture: np.ndarray, zoom: float, wheels: list[tuple[float, float]]) -> None:
    """Draw the car.

    Args:
        picture: uint8 [rows, 96, 3], changed in place.
        zoom: pixels of the stock surface per track unit.
        wheels: angle of the joint (radians, positive to the left) and phase (radians) of each wheel.
    """
    far = zoom < FAR_ZOOM
    angle_step, phase_step = (FAR_ANGLE_STEP, FAR_PHASE_STEP) if far else (ANGLE_STEP, PHASE_STEP)
    layer = hull_sprite(zoom)
    for index, (angle, phase) in enumerate(wheels):
        phase %= 2 * math.pi
        layer = layer + wheel_sprite(
            zoom, index, round(angle / angle_step) * angle_step, round(phase / phase_step) * phase_step
        )
    patch = picture[ROWS, COLUMNS]
    patch[:] = patch * (1 - layer[:, :, 3:]) + layer[:, :, :3] + 0.5


@cache
def hull_sprite(zoom: float) -> np.ndarray:
    """The hull; float32 [12, 8, 4], RGB (0..255, premultiplied) and opacity (0..1)."""
    surface = _empty_surface()
    _draw_hull(surface, zoom)
    return _average(surface, HULL_COLOR)


@lru_cache(maxsize=MAX_SPRITES)
def wheel_sprite(zoom: float, index: int, angle: float, phase: float) -> np.ndarray:
    """The visible part of a wheel; as `hull_sprite`."""
    surface = _empty_surface()
    x, y = (car.SIZE * value for value in car.WHEELPOS[index])
    half_width, radius = car.WHEEL_W * car.SIZE, car.WHEEL_R * car.SIZE
    cos, sin = math.cos(angle), math.sin(angle)

    def draw_between(back: float, front: float, color: Color) -> None:
        corners = ((-half_width, front), (half_width, front), (half_width, back), (-half_width, back))
        _draw(surface, [(x + cos * u - sin * v, y + sin * u + cos * v) for u, v in corners], color, zoom)

    draw_between(-radius, radius, car.WHEEL_COLOR)
    mark = white_mark(phase)
    if mark is not None:
        draw_between(mark[0] * radius, mark[1] * radius, car.WHEEL_WHITE)
    _draw_hull(surface, zoom)
    return _average(surface, car.WHEEL_COLOR, car.WHEEL_WHITE)


def white_mark(phase: float) -> tuple[float, float] | None:
    """Start and end of the white mark seen from above, in radii along the wheel; None if it is underneath."""
    ends = []
    if math.sin(phase) > 0 and math.sin(phase + WHITE_ARC) > 0:
        return None
    for angle in (phase, phase + WHITE_ARC):
        height = math.cos(angle)
        ends.append(math.copysign(1.0, height) if math.sin(angle) > 0 else height)
    return ends[0], ends[1]


def _empty_surface() -> pygame.Surface:
    surface = pygame.Surface((PATCH_WIDTH, PATCH_HEIGHT), depth=8)
    surface.set_palette(PALETTE)
    return surface


def _draw_hull(surface: pygame.Surface, zoom: float) -> None:
    for polygon in (car.HULL_POLY1, car.HULL_POLY2, car.HULL_POLY3, car.HULL_POLY4):
        _draw(surface, [(x * car.SIZE, y * car.SIZE) for x, y in polygon], HULL_COLOR, zoom)


def _draw(surface: pygame.Surface, corners: list[tuple[float, float]], color: Color, zoom: float) -> None:
    points = [(x * zoom + 500 - PATCH_LEFT, y * zoom + 200 - PATCH_BOTTOM) for x, y in corners]
    pygame.draw.polygon(surface, color, points)


def _average(surface: pygame.Surface, *colors: Color) -> np.ndarray:
    """Average pixels of these colours to observation pixels; float32 [12, 8, 4], top row first."""
    pixels = np.ascontiguousarray(pygame.surfarray.pixels2d(surface).T[::-1])  # (100, 250), indices into the palette
    sprite = np.zeros((12, 8, 4), np.float32)
    for color in colors:
        has_color = (pixels == PALETTE.index(color)).view(np.uint8) * np.float32(1)
        # OpenCV's area interpolation instead of a matrix product, for which BLAS would start threads in every process.
        opacity = cv2.resize(has_color, (24, 12), interpolation=cv2.INTER_AREA)[:, 8:16]
        sprite += opacity[:, :, None] * np.array([*(max(value - SHRINKING_LOSS, 0) for value in color), 1], np.float32)
    return sprite
