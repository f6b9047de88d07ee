"""How far a lap has come, and which tiles it left behind: one that is missed costs the lap, however it goes on."""

from __future__ import annotations

import gymnasium
import numpy as np

BEHIND = 4  # tiles from the furthest one at which a tile is left behind; the car is one and a half long
GIVEN_UP = 8  # decisions without a new tile after which the last ones count as missed too


class LapProgress:
    """Follows one episode of CarRacing.

    Args:
        env: reset, so that there is a track. One without tiles never misses any.
    """

    def __init__(self, env: gymnasium.Env) -> None:
        self.road = getattr(env.unwrapped, "road", None)
        self.furthest = self.tiles = self.missed = self.since = 0
        if self.road is not None:
            self.at_start = self.touched()
            self.tiles = int(self.at_start.sum())

    def touched(self) -> np.ndarray:
        """Which tiles were touched, bool [T], in their order along the track."""
        assert self.road is not None
        return np.array([tile.road_visited for tile in self.road])

    def advance(self) -> bool:
        """Look again, after a decision: whether a tile was left behind in it, or several."""
        if self.road is None:
            return False
        touched = self.touched()
        tiles, missed = int(touched.sum()), self.missed
        self.since = 0 if tiles > self.tiles else self.since + 1
        self.tiles = tiles
        ahead = slice(self.furthest + 1, self.furthest + len(touched) // 2)  # what is nearer backwards lies behind
        new = np.flatnonzero((touched & ~self.at_start)[ahead])
        self.furthest += int(new[-1]) + 1 if len(new) else 0
        self.missed = int((~touched[: max(0, self.furthest - BEHIND + 1)]).sum())
        return self.missed > missed

    @property
    def over(self) -> bool:
        """Whether no tile is left ahead: those that were missed stay so, and nothing more is paid."""
        if self.road is None or self.since < GIVEN_UP:
            return False
        return bool(self.touched()[self.furthest + 1 :].all())
