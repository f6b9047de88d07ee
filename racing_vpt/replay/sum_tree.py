"""Drawing in proportion to priorities, which change one by one: a tree of sums, each node over 128 below it.

Schaul et al. 2016 (arXiv:1511.05952), appendix B.2.1. A wide tree, because numpy pays by the call: a million
priorities are three levels deep. Sums are made anew from what is below, so that no rounding errors pile up.
"""

from __future__ import annotations

import numpy as np

WIDTH = 128


class SumTree:
    """Priorities, float64, of so many slots; 0 at first: never drawn.

    Args:
        size: number of slots.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._levels = [np.zeros((-(-size // WIDTH), WIDTH))]  # from the leaves up to one row
        while len(self._levels[-1]) > 1:
            self._levels.append(np.zeros((-(-len(self._levels[-1]) // WIDTH), WIDTH)))

    @property
    def leaves(self) -> np.ndarray:
        """The priorities, float64 [size]; to be changed by `set` only."""
        return self._levels[0].reshape(-1)[: self.size]

    @property
    def total(self) -> float:
        """Their sum."""
        return float(self._levels[-1].sum())

    def set(self, slots: np.ndarray, priorities: np.ndarray | float) -> None:
        """Give slots int64 [B] new priorities, at least 0; of a slot that is named twice the last counts."""
        at = slots
        self._levels[0].reshape(-1)[at] = priorities
        for below, level in zip(self._levels, self._levels[1:], strict=False):
            at = at // WIDTH
            level.reshape(-1)[at] = below[at].sum(-1)

    def fill(self, priorities: np.ndarray) -> None:
        """Give all slots new priorities, float64 [size]."""
        self.leaves[:] = priorities
        for below, level in zip(self._levels, self._levels[1:], strict=False):
            level.reshape(-1)[: len(below)] = below.sum(-1)

    def draw(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """Slots int64 [count], rising, one from each of `count` equal parts of the total (stratified)."""
        points = (np.arange(count) + generator.random(count)) * (self.total / count)
        at = np.zeros(count, np.int64)
        for level in reversed(self._levels):
            ends = level[at].cumsum(1)  # (B, WIDTH)
            points = np.minimum(points, np.nextafter(ends[:, -1], 0))  # sums are rounded otherwise than their parts
            child = (ends <= points[:, None]).sum(1)
            begins = np.where(child > 0, np.take_along_axis(ends, np.maximum(child - 1, 0)[:, None], 1)[:, 0], 0.0)
            points, at = points - begins, at * WIDTH + child
        return at
