"""Progress of a lap, and the tiles that it missed: a missed tile means that the lap cannot be finished."""

from __future__ import annotations

import gymnasium
import numpy as np

BEHIND = 4  # tiles behind the furthest one at which a tile counts as missed; the car is 1.5 tiles long
GIVEN_UP = 8  # decisions without a new tile after which the last tiles count as missed too


class LapProgress:
    """Tracks the progress of one episode of CarRacing.

    Args:
        env: environment after its reset. In one without tiles none are ever missed.
    """

    def __init__(self, env: gymnasium.Env) -> None:
        self.core = env.unwrapped
        road = getattr(self.core, "road", None)
        self.road = road if isinstance(road, list) else None  # of other games it is something else
        self.furthest = self.tiles = self.missed = self.since = 0
        if self.road is not None:
            self.known, self.untouched = np.zeros(len(self.road), bool), list(range(len(self.road)))
            self.at_start = self.touched().copy()
            self.tiles = int(self.at_start.sum())

    def touched(self) -> np.ndarray:
        """Whether each tile was touched, bool [tiles], in the order of the track; the same array each time."""
        assert self.road is not None
        if new := [number for number in self.untouched if self.road[number].road_visited]:
            self.known[new] = True
            self.untouched = np.flatnonzero(~self.known).tolist()
        return self.known

    def advance(self) -> bool:
        """Update after a decision; returns whether one or more tiles were missed in it."""
        if self.road is None:
            return False
        if (
            getattr(self.core, "tile_visited_count", None) == self.tiles
        ):  # looking at every tile takes as long as a frame
            self.since += 1
            return False
        touched = self.touched()
        tiles, missed = int(touched.sum()), self.missed
        self.since = 0 if tiles > self.tiles else self.since + 1
        self.tiles = tiles
        ahead = slice(self.furthest + 1, self.furthest + len(touched) // 2)  # the others are behind the car
        new = np.flatnonzero((touched & ~self.at_start)[ahead])
        self.furthest += int(new[-1]) + 1 if len(new) else 0
        self.missed = int((~touched[: max(0, self.furthest - BEHIND + 1)]).sum())
        return self.missed > missed

    @property
    def over(self) -> bool:
        """Whether no tile is left ahead, so that no further reward is possible."""
        if self.road is None or self.since < GIVEN_UP:
            return False
        return bool(self.touched()[self.furthest + 1 :].all())
