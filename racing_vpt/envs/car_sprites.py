"""The car as small translucent pictures at observation size.

The camera turns with the car, so that its hull is always at the same place and only the wheels change: their steering
angle and the white mark that shows them rolling. Each part is drawn as the stock draws it, on a patch of its 1000x800
surface, and averaged to observation pixels, once for each angle and phase (rounded). Parts do not overlap on the
surface (wheels are cut where the hull hides them), so that their averages add up exactly.
"""

import math
from functools import cache, lru_cache

import numpy as np
import pygame
from gymnasium.envs.box2d import car_dynamics as car

from racing_vpt.envs.instruments import SHRINKING_LOSS, coverage

# The patch of the observation that holds the car, and the block of 24x12 pixels around it on the stock's surface, where
# the y axis still points up.
ROWS, COLUMNS = slice(66, 78), slice(44, 52)
PATCH_LEFT, PATCH_BOTTOM, PATCH_WIDTH, PATCH_HEIGHT = 375, 150, 250, 100
# Radians to which a wheel's angle and phase are rounded: 0.04 is 0.02 pixels at a wheel's end. While the camera is
# still far, coarser steps do, and keep the number of pictures small.
ANGLE_STEP, PHASE_STEP = 0.04, 2 * math.pi / 32
FAR_ZOOM = 12.0
FAR_ANGLE_STEP, FAR_PHASE_STEP = 0.2, 2 * math.pi / 8
MAX_SPRITES = 8192  # 12 MB; about 1,400 at full zoom, 80 at each of the first 50 frames
HULL_COLOR = (204, 0, 0)
WHITE_ARC = 1.2  # radians of a wheel's circumference that are marked


def draw_car(picture: np.ndarray, zoom: float, wheels: list[tuple[float, float]]) -> None:
    """Draws the car.

    Args:
        picture: uint8 [rows, 96, 3], changed in place.
        zoom: pixels of the stock surface per track unit.
        wheels: of each wheel the joint's angle (radians, positive to the left) and its phase (radians).
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
    surface = pygame.Surface((PATCH_WIDTH, PATCH_HEIGHT))
    _draw_hull(surface, zoom)
    pixels = pygame.surfarray.array3d(surface)  # (width, height, 3)
    return _average(pixels, np.any(pixels, axis=-1, keepdims=True))


@lru_cache(maxsize=MAX_SPRITES)
def wheel_sprite(zoom: float, index: int, angle: float, phase: float) -> np.ndarray:
    """A wheel, without what the hull hides; as `hull_sprite`."""
    surface = pygame.Surface((PATCH_WIDTH, PATCH_HEIGHT))
    surface.fill((255, 255, 255))
    x, y = (car.SIZE * value for value in car.WHEELPOS[index])
    half_width, radius = car.WHEEL_W * car.SIZE, car.WHEEL_R * car.SIZE

    def draw_between(back: float, front: float, color: tuple[int, int, int]) -> None:
        corners = ((-half_width, front), (half_width, front), (half_width, back), (-half_width, back))
        cos, sin = math.cos(angle), math.sin(angle)
        _draw(surface, [(x + cos * u - sin * v, y + sin * u + cos * v) for u, v in corners], color, zoom)

    draw_between(-radius, radius, car.WHEEL_COLOR)
    mark = white_mark(phase)
    if mark is not None:
        draw_between(mark[0] * radius, mark[1] * radius, car.WHEEL_WHITE)
    wheel = pygame.surfarray.array3d(surface)
    _draw_hull(surface, zoom)
    pixels = pygame.surfarray.array3d(surface)
    hidden_or_beside = np.any(pixels != wheel, axis=-1, keepdims=True) | np.all(wheel == 255, axis=-1, keepdims=True)
    return _average(pixels, ~hidden_or_beside)


def white_mark(phase: float) -> tuple[float, float] | None:
    """From where to where, in radii along the wheel, the white mark is seen from above; None if it is underneath."""
    ends = []
    if math.sin(phase) > 0 and math.sin(phase + WHITE_ARC) > 0:
        return None
    for angle in (phase, phase + WHITE_ARC):
        height = math.cos(angle)
        ends.append(math.copysign(1.0, height) if math.sin(angle) > 0 else height)
    return ends[0], ends[1]


def _draw_hull(surface: pygame.Surface, zoom: float) -> None:
    for polygon in (car.HULL_POLY1, car.HULL_POLY2, car.HULL_POLY3, car.HULL_POLY4):
        _draw(surface, [(x * car.SIZE, y * car.SIZE) for x, y in polygon], HULL_COLOR, zoom)


def _draw(
    surface: pygame.Surface, corners: list[tuple[float, float]], color: tuple[int, int, int], zoom: float
) -> None:
    points = [(x * zoom + 500 - PATCH_LEFT, y * zoom + 200 - PATCH_BOTTOM) for x, y in corners]
    pygame.draw.polygon(surface, color, points)


def _average(pixels: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Averages a patch to observation pixels.

    Args:
        pixels: uint8 [250, 100, 3], x first and y upwards, as pygame has them.
        visible: bool [250, 100, 1].

    Returns:
        float32 [12, 8, 4], top row first: premultiplied RGB and opacity.
    """
    shown = np.maximum(pixels.astype(np.float32) - SHRINKING_LOSS, 0) * visible
    layers = np.concatenate([shown, visible], -1)[:, ::-1]
    down = _averaging(PATCH_HEIGHT, 12)
    across = _averaging(PATCH_WIDTH, 24)[8:16]
    return np.einsum("yh,xw,whc->yxc", down, across, layers, optimize=True)


@cache
def _averaging(length: int, num_cells: int) -> np.ndarray:
    """The matrix that averages pixels to cells; float32 [num_cells, length]."""
    columns = [coverage(pixel, pixel, length, num_cells) for pixel in range(length)]
    return np.stack(columns, 1).astype(np.float32)
