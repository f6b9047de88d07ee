"""Prioritised replay: sampling of a ring's steps by priority, and importance weights.

Schaul et al. 2016, section 3.3 (arXiv:1511.05952), the proportional variant.
"""

from __future__ import annotations

import numpy as np

from racing_vpt.replay.ring import Ring
from racing_vpt.replay.sum_tree import SumTree
from racing_vpt.types import LaneStep

SMALLEST_ERROR = 1e-3  # added to each TD error, so that every transition can be sampled; DQfD's epsilon


class Drawn:
    """A ring with priorities of its slots.

    Args:
        ring: the steps.
        alpha: exponent of the priorities; None: uniform sampling.
    """

    def __init__(self, ring: Ring, alpha: float | None) -> None:
        self.ring, self.alpha = ring, alpha
        self.tree = None if alpha is None else SumTree(ring.size)
        self.highest = 1.0  # largest priority so far, given to new transitions

    def add(self, step: LaneStep) -> None:
        """Append a row."""
        born, died = self.ring.add(step)
        if self.tree is not None:
            self.tree.set(np.concatenate([died, born]), np.repeat([0.0, self.highest], [len(died), len(born)]))

    def forget_episodes(self, lanes: np.ndarray) -> None:
        """As `Ring.forget_episodes`."""
        gone = self.ring.forget_episodes(lanes)
        if self.tree is not None:
            self.tree.set(gone, 0.0)

    def draw(self, count: int, beta: float, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Slots int64 [count] and their importance weights float64 [count], without division by the largest."""
        if self.tree is None or count == 0:
            return self.ring.draw(count, generator), np.ones(count)
        slots = self.tree.draw(count, generator)
        return slots, (self.ring.count * self.tree.leaves[slots] / self.tree.total) ** -beta

    def update(self, slots: np.ndarray, td_error: np.ndarray) -> None:
        """Set priorities of slots by their errors; slots that can no longer be sampled are ignored."""
        if self.tree is None or self.alpha is None:
            return
        there = self.ring.span[slots] > 0
        priorities = (np.abs(td_error[there]) + SMALLEST_ERROR) ** self.alpha
        self.tree.set(slots[there], priorities)
        self.highest = max(self.highest, float(priorities.max(initial=0)))
