"""Agents that ignore the frame: Brownian motion in the space of controls, and uniform random controls."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import gymnasium
import numpy as np

from racing_vpt.agents.solo import SoloAgent
from racing_vpt.envs.actions import AXES
from racing_vpt.envs.offers import check_driver
from racing_vpt.games.game import Game
from racing_vpt.types import Controls, Frame

if TYPE_CHECKING:
    from racing_vpt.games.controls import ControlScheme

NAMES = tuple(name for name, _, _ in AXES)
LOW, HIGH = (np.array(ends) for ends in ([low for _, low, _ in AXES], [high for _, _, high in AXES]))


class RandomAgent(SoloAgent):
    """Uniform random controls in each frame: values on a car's axes, or classes of another game.

    Args:
        seed: seed of the random controls.
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.scheme: ControlScheme | None = None
        self.seed(seed)

    def attach(self, env: gymnasium.Env) -> None:
        game: Game = env.game  # type: ignore[attr-defined]
        self.scheme = None if game.name == "carracing" else game.scheme()

    def seed(self, seed: int) -> None:
        self.random = np.random.default_rng([seed, 3])

    def act(self, frame: Frame) -> Controls:
        if self.scheme is None:
            return dict(zip(NAMES, self.random.uniform(LOW, HIGH).tolist(), strict=True))
        import torch  # here, because CarRacing's drivers need none of it, and it takes seconds to load

        drawn = {name: torch.tensor(self.random.integers(n)) for name, n in self.scheme.num_classes.items()}
        return {name: float(value) for name, value in self.scheme.decode(drawn).items()}


class BrownianAgent(RandomAgent):
    """Random walk of the controls: a uniform start, then steps of variance `dt` per frame, clipped to the range.

    The random driver that collected World Models' data (Ha & Schmidhuber 2018, arXiv:1803.10122) drew independent
    actions; re-implementations use this one, because it gets further.

    Args:
        seed: seed of the random walk.
        dt: seconds per frame.
    """

    def __init__(self, seed: int = 0, dt: float = 1 / 50) -> None:
        self.dt = dt
        super().__init__(seed)
        self.reset()

    def attach(self, env: gymnasium.Env) -> None:
        check_driver(NAMES, "carracing", env)

    def reset(self) -> None:
        self.state: np.ndarray | None = None

    def act(self, frame: Frame) -> Controls:
        if self.state is None:
            self.state = self.random.uniform(LOW, HIGH)
        else:
            self.state = np.clip(self.state + math.sqrt(self.dt) * self.random.standard_normal(3), LOW, HIGH)
        return dict(zip(NAMES, self.state.tolist(), strict=True))
