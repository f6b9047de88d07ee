"""Sum tree for sampling in proportion to changing priorities; each node is the sum of 128 below it.

Schaul et al. 2016 (arXiv:1511.05952), appendix B.2.1. The tree is wide because each call of numpy is expensive: a
million priorities have three levels. Sums are recomputed from the level below, so that rounding errors do not
accumulate.
"""

from __future__ import annotations

import numpy as np

WIDTH = 128


class SumTree:
    """Priorities float64 of slots, initially 0: never sampled.

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
        """Priorities float64 [size]; changed by `set` only."""
        return self._levels[0].reshape(-1)[: self.size]

    @property
    def total(self) -> float:
        """Sum of the priorities."""
        return float(self._levels[-1].sum())

    def set(self, slots: np.ndarray, priorities: np.ndarray | float) -> None:
        """Set priorities >= 0 of slots int64 [B]; of a repeated slot, the last counts."""
        at = slots
        self._levels[0].reshape(-1)[at] = priorities
        for below, level in zip(self._levels, self._levels[1:], strict=False):
            at = at // WIDTH
            level.reshape(-1)[at] = below[at].sum(-1)

    def fill(self, priorities: np.ndarray) -> None:
        """Set the priorities of all slots, float64 [size]."""
        self.leaves[:] = priorities
        for below, level in zip(self._levels, self._levels[1:], strict=False):
            level.reshape(-1)[: len(below)] = below.sum(-1)

    def draw(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """Slots int64 [count] in rising order, one from each of `count` equal parts of the total (stratified)."""
        points = (np.arange(count) + generator.random(count)) * (self.total / count)
        at = np.zeros(count, np.int64)
        for level in reversed(self._levels):
            ends = level[at].cumsum(1)  # (B, WIDTH)
            points = np.minimum(
                points, np.nextafter(ends[:, -1], 0)
            )  # rounding of sums differs from that of their parts
            child = (ends <= points[:, None]).sum(1)
            begins = np.where(child > 0, np.take_along_axis(ends, np.maximum(child - 1, 0)[:, None], 1)[:, 0], 0.0)
            points, at = points - begins, at * WIDTH + child
        return at
