"""Agents that look at nothing: Brownian motion in the space of controls, and uniform chance."""

from __future__ import annotations

import math

import numpy as np

from racing_vpt.agents.solo import SoloAgent
from racing_vpt.controls import CARRACING_CONTROLS
from racing_vpt.types import Controls, Frame

LOW, HIGH = np.array([-1.0, 0.0, 0.0]), np.array([1.0, 1.0, 1.0])


class RandomAgent(SoloAgent):
    """Draws each frame's controls uniformly.

    Args:
        seed: of its draws.
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.seed(seed)

    def seed(self, seed: int) -> None:
        self.random = np.random.default_rng([seed, 3])

    def act(self, frame: Frame) -> Controls:
        return dict(zip(CARRACING_CONTROLS, self.random.uniform(LOW, HIGH).tolist(), strict=True))


class BrownianAgent(RandomAgent):
    """Controls that wander: a uniform draw, then steps of variance `dt` a frame, clipped to the range.

    The random driver that collected World Models' data (Ha & Schmidhuber 2018, arXiv:1803.10122) was jumpy; this one
    is its re-implementations', which gets further off the start.

    Args:
        seed: of its draws.
        dt: seconds a frame.
    """

    def __init__(self, seed: int = 0, dt: float = 1 / 50) -> None:
        self.dt = dt
        super().__init__(seed)
        self.reset()

    def reset(self) -> None:
        self.state: np.ndarray | None = None

    def act(self, frame: Frame) -> Controls:
        if self.state is None:
            self.state = self.random.uniform(LOW, HIGH)
        else:
            self.state = np.clip(self.state + math.sqrt(self.dt) * self.random.standard_normal(3), LOW, HIGH)
        return dict(zip(CARRACING_CONTROLS, self.state.tolist(), strict=True))
