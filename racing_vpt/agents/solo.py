"""Base of agents that drive one environment at a time."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import Protocol, Self, runtime_checkable

import gymnasium
import numpy as np

from racing_vpt.types import Controls, Frame


@runtime_checkable
class NeedsEnvironment(Protocol):
    """An agent that reads the environment itself; the rollout attaches it after each reset."""

    def attach(self, env: gymnasium.Env) -> None:
        """Drive in this environment, which has just been reset."""


@runtime_checkable
class Seedable(Protocol):
    """An agent that draws random numbers; the rollout seeds it with the episode's seed."""

    def seed(self, seed: int) -> None:
        """Make everything that follows a function of this seed."""


class SoloAgent(ABC):
    """An agent written for one environment; for a batch, each row has a copy of it."""

    def __init__(self) -> None:
        self._rows: list[Self] = []

    def reset(self) -> None:  # noqa: B027 - optional
        """Forget the last episode."""

    @abstractmethod
    def act(self, frame: Frame) -> Controls:
        """As `Agent.act`."""

    def row(self, index: int) -> Self:
        """The copy that drives row `index` of a batch; row 0 is the agent itself."""
        while len(self._rows) < index:
            twin = copy.deepcopy(self)
            twin._rows = []
            self._rows.append(twin)
        return self if index == 0 else self._rows[index - 1]

    def act_batch(self, frames: np.ndarray, first: np.ndarray) -> list[Controls]:
        return [self.row(index).act(frame) for index, frame in enumerate(frames)]
