"""Racing line of a closed track, and the speed along it.

The line has the smallest summed squared second differences inside the road, tile by tile: little curvature (Heilmeier
et al. 2020, "Minimum curvature trajectory planning") and, because they shrink with its length, a short path. The pace
is the speed that the lateral grip of the tyres allows, reduced by a backward pass so that braking suffices. Lengths are
in the environment's units (the road is 13.3 wide), speeds in units per second.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

ROAD_HALF_WIDTH = 40 / 6  # CarRacing's TRACK_WIDTH
SPACING = 1.0  # between samples of a line
ADMM_PENALTY = 0.02
ADMM_STEPS = 250


@dataclass(frozen=True)
class RacingLine:
    """A closed line sampled every `spacing`: points float64 [S, 2], curvature [S] (positive turns left), pace [S]."""

    points: np.ndarray
    curvature: np.ndarray
    pace: np.ndarray
    spacing: float

    def nearest(self, x: float, y: float, around: int | None, back: int = 8, ahead: int = 60) -> int:
        """Index of the sample nearest to a point, searched near sample `around`, as a track may come close to itself.

        None: searched on the whole line.
        """
        count = len(self.points)
        indices = np.arange(count) if around is None else np.arange(around - back, around + ahead) % count
        gap = self.points[indices] - (x, y)
        return int(indices[np.argmin(np.einsum("sd,sd->s", gap, gap))])

    def distance(self, x: float, y: float, sample: int) -> float:
        return float(np.hypot(*(self.points[sample] - (x, y))))

    def ahead(self, sample: int, length: float) -> np.ndarray:
        """The point float64 [2] that is `length` further along the line."""
        return self.points[(sample + round(length / self.spacing)) % len(self.points)]

    def heading(self, sample: int) -> float:
        """Direction of the line at a sample, in radians from the x axis."""
        along = self.points[(sample + 1) % len(self.points)] - self.points[sample - 1]
        return float(np.arctan2(along[1], along[0]))


def racing_line(
    track: np.ndarray, half_width: float, bias: float, lateral_limit: float, braking: float, top_speed: float
) -> RacingLine:
    """Racing line with minimal second differences, and its pace.

    Args:
        track: float64 [N, 4], the tiles in order as (alpha, beta, x, y); beta is the direction across the road.
        half_width: share of the road's half-width that may be used, 0 (its middle) to 1 (its edges).
        bias: shift of the line, as a share of the road's half-width, positive to the right.
        lateral_limit: lateral acceleration of the pace, units/s^2.
        braking: deceleration of the pace, units/s^2.
        top_speed: largest speed, units/s.
    """
    across = np.stack([np.cos(track[:, 1]), np.sin(track[:, 1])], -1)  # [N, 2], to the right
    middle = track[:, 2:4] + across * bias * ROAD_HALF_WIDTH
    bound = half_width * ROAD_HALF_WIDTH
    points = resample(middle + across * least_bending(middle, across, bound)[:, None])
    bend = curvature(points)
    length = np.hypot(*(np.roll(points, -1, 0) - points).T).sum()
    spacing = float(length / len(points))
    return RacingLine(points, bend, pace(bend, spacing, lateral_limit, braking, top_speed), spacing)


def least_bending(middle: np.ndarray, across: np.ndarray, bound: float) -> np.ndarray:
    """Offsets float64 [N] within +-bound along `across` [N, 2] from `middle` [N, 2]: boxed least squares, by ADMM."""
    count = len(middle)
    second = np.roll(np.eye(count), 1, 0) + np.roll(np.eye(count), -1, 0) - 2 * np.eye(count)  # circular differences
    gram = sum((second * across[:, axis]).T @ (second * across[:, axis]) for axis in (0, 1))
    pull = -sum((second * across[:, axis]).T @ (second @ middle[:, axis]) for axis in (0, 1))
    inverse = np.linalg.inv(gram + ADMM_PENALTY * np.eye(count))
    boxed, dual = np.zeros(count), np.zeros(count)
    for _ in range(ADMM_STEPS):
        free = inverse @ (pull + ADMM_PENALTY * (boxed - dual))
        boxed = np.clip(free + dual, -bound, bound)
        dual += free - boxed
    return boxed


def resample(points: np.ndarray) -> np.ndarray:
    """A closed line [N, 2] sampled evenly, about every SPACING: [S, 2]."""
    closed = np.concatenate([points, points[:1]])
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
    even = np.linspace(0, along[-1], max(8, round(along[-1] / SPACING)), endpoint=False)
    return np.stack([np.interp(even, along, closed[:, axis]) for axis in (0, 1)], -1)


def curvature(points: np.ndarray, reach: int = 4, smooth: int = 5) -> np.ndarray:
    """Curvature float64 [S] of a closed even line [S, 2]: turn over `reach` samples each way, smoothed."""
    before, after = points - np.roll(points, reach, 0), np.roll(points, -reach, 0) - points
    cross = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    turn = np.arctan2(cross, np.einsum("sd,sd->s", before, after))
    bend = turn / (0.5 * (np.hypot(*before.T) + np.hypot(*after.T)))
    padded = np.concatenate([bend[-(smooth // 2) :], bend, bend[: smooth // 2]])
    return np.convolve(padded, np.ones(smooth) / smooth, mode="valid")


def pace(bend: np.ndarray, spacing: float, lateral_limit: float, braking: float, top_speed: float) -> np.ndarray:
    """Speed float64 [S] for curvature [S]: limited by grip in corners, and by braking before them.

    Tyres share their grip between turning and braking (a friction ellipse), so that a bend leaves less `braking`.
    """
    speed = np.minimum(top_speed, np.sqrt(lateral_limit / np.maximum(np.abs(bend), 1e-6))).tolist()
    turning = (np.abs(bend) / lateral_limit).tolist()
    for sample in reversed(range(-len(speed), len(speed))):  # twice around, because the line is closed
        following = speed[(sample + 1) % len(speed)]
        left = math.sqrt(max(0.0, 1 - (following**2 * turning[sample]) ** 2))
        speed[sample] = min(speed[sample], math.sqrt(following**2 + 2 * braking * left * spacing))
    return np.array(speed)
