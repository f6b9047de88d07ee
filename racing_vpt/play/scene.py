"""Where a player drives, a step at a time: on the road, or in a dream. An agent watches all the while."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import gymnasium
from torch import Tensor

from racing_vpt.agents.solo import NeedsEnvironment, Seedable
from racing_vpt.games.controls import control_scheme
from racing_vpt.play.imagination import Imagination, Reconstruction
from racing_vpt.rollout.episodes import Episode
from racing_vpt.types import Agent, Controls, Frame


class Driver(Protocol):
    """An agent on the road that may be relieved at any frame."""

    def begin(self, env: gymnasium.Env, seed: int) -> None:
        """A new episode, which has just been reset."""

    def act(self, frame: Frame) -> Controls:
        """What it would do; asked at every frame, so that its memory goes on."""

    def told(self, controls: Controls) -> None:
        """What was done instead, or the same."""


class Dreamer(Protocol):
    """An agent in a dream that may be relieved at any step."""

    def begin_dream(self, before: Tensor) -> None:
        """A new dream, before which observations [T, ...] were seen; T may be 0."""

    def answer(self, observation: Tensor, picture: Tensor) -> Controls:
        """What it would do on seeing observation [1, ...], which looks like picture float32 [1, 3, H, W]."""

    def remember(self, controls: Controls) -> None:
        """What was done instead, or the same."""


@dataclass
class WatchingAgent:
    """Any agent as a driver. A memory of frames alone goes on while somebody else drives."""

    agent: Agent

    def begin(self, env: gymnasium.Env, seed: int) -> None:
        self.agent.reset()
        if isinstance(self.agent, Seedable):
            self.agent.seed(seed)
        if isinstance(self.agent, NeedsEnvironment):
            self.agent.attach(env)

    def act(self, frame: Frame) -> Controls:
        return self.agent.act(frame)

    def told(self, controls: Controls) -> None:
        pass


class Scene(Protocol):
    """What a player needs of either."""

    kind: str
    world: str  # what is driven in, for people
    frames_per_second: float
    stride: int  # frames of the environment that a step stands for
    controls: tuple[str, ...]
    has_agent: bool
    frame: Frame  # what is seen now, uint8 [H, W, 3]
    score: float
    age: int  # steps of this episode
    done: bool

    def begin(self, seed: int) -> None:
        """A new episode; ValueError where the agent cannot drive here."""

    def suggest(self) -> Controls | None:
        """What the agent would do now, to be asked once a step; None: there is no agent."""

    def step(self, controls: Controls) -> float:
        """Do it; the reward."""

    def beside(self) -> list[tuple[str, Frame]]:
        """Pictures to be shown beside the frame, each with its name."""


class RoadScene:
    """An environment with an agent.

    Args:
        env: made by `make_env`.
        name: of the environment, for people.
        driver: the agent; None: a person drives.
        reconstruction: what a model makes of the frames, shown beside them.
    """

    kind, stride = "road", 1

    def __init__(
        self, env: gymnasium.Env, name: str, driver: Driver | None, reconstruction: Reconstruction | None = None
    ) -> None:
        self.env, self.world, self.driver, self.reconstruction = env, name, driver, reconstruction
        self.has_agent = driver is not None
        self.frames_per_second = float(env.metadata.get("render_fps", 50))
        scheme = control_scheme(env.control_scheme)  # type: ignore[attr-defined]
        self.controls = tuple(name for name in scheme.controls if name != "gear_change")  # there is one gear

    def begin(self, seed: int) -> None:
        self.episode = Episode(self.env, seed, None, None)
        if self.driver:
            self.driver.begin(self.env, seed)
        self.frame, self.score, self.age, self.done = self.episode.frame, 0.0, 0, False

    def suggest(self) -> Controls | None:
        return self.driver.act(self.frame) if self.driver else None

    def step(self, controls: Controls) -> float:
        before = self.episode.score
        self.episode.step(controls)
        if self.driver:
            self.driver.told(controls)
        self.frame, self.done = self.episode.frame, self.episode.done
        self.score, self.age = self.episode.score, self.episode.frames
        return self.score - before

    def beside(self) -> list[tuple[str, Frame]]:
        return self.reconstruction(self.frame) if self.reconstruction else []


class DreamScene:
    """A world model, with or without an agent.

    Args:
        imagination: the world model.
        name: of the world model, for people.
        dreamer: the agent.
    """

    kind = "dream"

    def __init__(self, imagination: Imagination, name: str, dreamer: Dreamer | None = None) -> None:
        self.imagination, self.world, self.dreamer = imagination, name, dreamer
        self.stride, self.has_agent = imagination.frames.stride, dreamer is not None
        self.frames_per_second = imagination.frames.frames_per_second / self.stride
        self.controls = imagination.controls

    def begin(self, seed: int) -> None:
        self.frame = self.imagination.begin(seed)
        if self.dreamer:
            self.dreamer.begin_dream(self.imagination.before)
        self.score, self.age, self.done = 0.0, 0, False

    def suggest(self) -> Controls | None:
        seen = self.imagination
        return self.dreamer.answer(seen.observation, seen.picture) if self.dreamer else None

    def step(self, controls: Controls) -> float:
        if self.dreamer:
            self.dreamer.remember(controls)
        self.frame, reward, self.done = self.imagination.step(controls)
        self.score, self.age = self.score + reward, self.age + 1
        return reward

    def beside(self) -> list[tuple[str, Frame]]:
        return []
