"""What the picture of Atari's Enduro shows: the car, the edges of the road and the other cars, by day, night and fog.

The road and all beside it are one colour, whose shade is the time of the day. Edges and one's own car are grey; other
cars are coloured, at night their two rear lights. In fog only the near part of the road is seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from racing_vpt.types import Frame

TOP, BOTTOM, LEFT = 52, 154, 8  # rows of the road in the picture, and its first column
HORIZON = 50  # row at which the road's edges meet
OWN = 192  # grey of one's own car, and of the nearest part of the edges
CAR_TOP, CAR_WIDTH, CAR_HEIGHT = 132, 16, 11  # first row in which it may be, and its size
FIT = 16  # rows above the car from whose edges those beside it are extrapolated
SLOWEST_ROW, FASTEST_ROW = 144, 136  # of the car's upper end: it moves up as it becomes faster


@dataclass(frozen=True)
class Sight:
    """What is in a picture. Places on the road are from 0, its left edge, to 1. Depths: 1 at the lowest row.

    Args:
        place: of the car.
        depth: of the car.
        speed: as the height of the car in the picture shows it, 0 (slowest) to 1, in eighths.
        cars: of each pixel of other cars, its place [N].
        depths: of those [N].
    """

    place: float
    depth: float
    speed: float
    cars: np.ndarray
    depths: np.ndarray


def look(frame: Frame) -> Sight | None:
    """What a frame uint8 [210, 160, 3] shows; None where the road or the car is not found."""
    road = frame[TOP:BOTTOM, LEFT:]
    red, green, blue = road[..., 0], road[..., 1], road[..., 2]
    background = road[8, 0]
    drawn = (red != background[0]) | (green != background[1]) | (blue != background[2])
    grey = (red == green) & (green == blue)
    edges, others = drawn & grey, drawn & ~grey
    own = grey[CAR_TOP - TOP :] & (red[CAR_TOP - TOP :] == OWN)
    column = int(np.convolve(own.sum(0), np.ones(CAR_WIDTH), "valid").argmax())
    rows = np.flatnonzero(own[:, column : column + CAR_WIDTH].sum(1) >= 4)
    if len(rows) < 4:
        return None
    top = CAR_TOP - TOP + int(rows[0])
    left, right = edges[:top].argmax(1), road.shape[1] - 1 - edges[:top, ::-1].argmax(1)
    width = right - left
    seen = np.flatnonzero(edges[:top].any(1) & (width > 0.5 * (np.arange(top) + TOP - HORIZON)))  # else one is hidden
    near = seen[seen >= top - FIT]
    if len(near) < 3:
        return None
    middle = top + CAR_HEIGHT / 2
    here_left, here_right = (extrapolated(near, edge[near], middle) for edge in (left, right))
    y, x = np.nonzero(others[: int(middle) + CAR_HEIGHT])
    known = np.append(seen, middle)
    lefts = np.interp(y, known, np.append(left[seen], here_left))
    rights = np.interp(y, known, np.append(right[seen], here_right))
    depths = (BOTTOM - HORIZON) / (np.append(y, middle) + TOP - HORIZON)
    return Sight(
        place=(column + CAR_WIDTH / 2 - 0.5 - here_left) / (here_right - here_left),
        depth=float(depths[-1]),
        speed=float(np.clip((SLOWEST_ROW - TOP - top) / (SLOWEST_ROW - FASTEST_ROW), 0, 1)),
        cars=(x - lefts) / np.maximum(rights - lefts, 1),
        depths=depths[:-1],
    )


def extrapolated(rows: np.ndarray, columns: np.ndarray, row: float) -> float:
    """Column at a row of the straight line through columns [N] at rows [N], by least squares."""
    away = rows - rows.mean()
    return float(columns.mean() + (away @ columns) / max(away @ away, 1e-9) * (row - rows.mean()))
