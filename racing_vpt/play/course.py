"""Where a player drives, a step at a time: in an environment or in a world model. An agent follows all the while."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Protocol

import gymnasium
from torch import Tensor

from racing_vpt.agents.solo import NeedsEnvironment, Seedable
from racing_vpt.envs.actions import observation_of
from racing_vpt.envs.offers import check_driver
from racing_vpt.games.game import Game
from racing_vpt.play.imagination import Imagination, Reconstruction
from racing_vpt.play.sharp_view import sharp_view
from racing_vpt.rollout.episodes import EpisodeResult, EpisodeWriter, RunningEpisode
from racing_vpt.types import Agent, Controls, Frame

GEAR = "gear_change"  # recordings of cars have it; CarRacing's car has one gear, so that it is always 0


class Driver(Protocol):
    """An agent in an environment whose place a person may take at any frame."""

    def begin(self, env: gymnasium.Env, seed: int) -> None:
        """A new episode, which has just been reset."""

    def act(self, frame: Frame) -> Controls:
        """What it would do; asked at every frame, so that its memory goes on."""

    def told(self, controls: Controls) -> None:
        """What was done: its own controls, or a person's."""


class Dreamer(Protocol):
    """An agent in a world model whose place a person may take at any step."""

    def begin_dream(self, before: Tensor) -> None:
        """A new dream, before which observations [T, ...] were seen; T may be 0."""

    def answer(self, observation: Tensor, picture: Tensor) -> Controls:
        """What it would do on seeing observation [1, ...], which looks like picture float32 [1, 3, H, W]."""

    def remember(self, controls: Controls) -> None:
        """What was done: its own controls, or a person's."""


@dataclass
class FollowingAgent:
    """Any agent as a driver. It sees every frame, whoever drives, so that its memory goes on."""

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


class Course(Protocol):
    """What a player needs of an environment or a world model."""

    kind: str  # `drive` or `dream`: the first part of a recording's name
    title: str  # of the panel
    world: str  # what is driven in, for people
    where: str  # the same, after "you drive", where it is not plain
    meta: dict[str, object]  # the same for a recording's meta file
    frames_per_second: float
    stride: int  # frames of the environment that a step stands for
    game: Game
    controls: tuple[str, ...]
    has_agent: bool
    frame: Frame  # what is seen now, uint8 [H, W, 3]
    observation: dict[str, float | None]  # what is known of the car now
    score: float
    age: int  # steps of this episode
    done: bool
    lap_finished: bool

    def begin(self, seed: int) -> None:
        """A new episode; ValueError where the agent cannot drive here."""

    def suggest(self) -> Controls | None:
        """What the agent would do now, to be asked once a step; None: there is no agent."""

    def step(self, controls: Controls) -> float:
        """Do it; the reward."""

    def view(self) -> Frame | None:
        """A sharper picture of this moment, uint8 [H, W, 3], where there is one."""

    def beside(self) -> list[tuple[str, Frame]]:
        """Pictures to be shown beside the frame, each with its name."""

    def close(self) -> None:
        """Nothing is driven any more."""


class EnvCourse:
    """An environment with an agent.

    Args:
        env: made by `make_env`.
        name: of the environment.
        driver: the agent; None: a person drives.
        reconstruction: what a model makes of the frames, shown beside them.
        open_writer: opens who keeps the episode of a seed, such as a film; None: nobody.
        max_frames: longest episode in frames; None: the environment's own limit.
        game: whose keys count, with the environment's controls; None: the environment's game.
    """

    kind, stride, where = "drive", 1, ""

    def __init__(
        self,
        env: gymnasium.Env,
        name: str,
        driver: Driver | None,
        reconstruction: Reconstruction | None = None,
        open_writer: Callable[[int], EpisodeWriter | None] | None = None,
        max_frames: int | None = None,
        game: Game | None = None,
    ) -> None:
        if game is not None:
            check_driver(game.control_names, game.name, env)
        self.env, self.title, self.driver, self.reconstruction = env, name, driver, reconstruction
        self.world = name
        self.open_writer, self.max_frames = open_writer, max_frames
        self.meta: dict[str, object] = {"environment": name}
        self.has_agent = driver is not None
        self.frames_per_second = float(env.metadata.get("render_fps", 50))
        self.game: Game = game or env.game  # type: ignore[attr-defined]
        self.controls = tuple(name for name in self.game.control_names if name != GEAR)

    def begin(self, seed: int) -> None:
        self.episode = RunningEpisode(self.env, seed, None, self.max_frames)
        if self.driver:
            self.driver.begin(self.env, seed)
        if self.open_writer:
            self.episode.writer = self.open_writer(seed)
        self.score, self.age, self.done, self.lap_finished = 0.0, 0, False, False
        self.look()

    def suggest(self) -> Controls | None:
        return self.driver.act(self.frame) if self.driver else None

    def step(self, controls: Controls) -> float:
        before = self.episode.score
        self.episode.step(controls)
        if self.driver:
            self.driver.told(controls)
        self.score, self.age = self.episode.score, self.episode.frames
        self.done, self.lap_finished = self.episode.done, self.episode.lap_finished
        self.look()
        if self.done and self.episode.writer:
            self.episode.writer.meta.update(asdict(self.result()))
            self.episode.writer.close()
            self.episode.writer = None
        return self.score - before

    def result(self) -> EpisodeResult:
        """What the episode came to so far."""
        return self.episode.result()

    def view(self) -> Frame | None:
        return sharp_view(self.env)

    def beside(self) -> list[tuple[str, Frame]]:
        return self.reconstruction(self.frame) if self.reconstruction else []

    def close(self) -> None:
        if self.episode.writer:
            self.episode.writer.abort()
        self.env.close()

    def look(self) -> None:
        """What is seen and known now."""
        self.frame = self.episode.frame
        self.observation = observation_of(self.env) if hasattr(self.env.unwrapped, "car") else {}


class DreamCourse:
    """A world model, with or without an agent.

    Args:
        imagination: the world model.
        name: of the world model, such as `zoo:iris-carracing`.
        dreamer: the agent.
    """

    kind, title, lap_finished = "dream", "dream", False

    def __init__(self, imagination: Imagination, name: str, dreamer: Dreamer | None = None) -> None:
        self.imagination, self.dreamer = imagination, dreamer
        self.observation: dict[str, float | None] = {}
        self.world = f"the dream of {name}"
        self.where = f" in {self.world}" if dreamer is None else ", in its dream"
        self.meta: dict[str, object] = {"environment": None, "dream": {"world_model": name, "tau": imagination.tau}}
        self.stride, self.has_agent = imagination.frames.stride, dreamer is not None
        self.frames_per_second = imagination.frames.frames_per_second / self.stride
        self.game, self.controls = imagination.game, imagination.controls

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

    def view(self) -> Frame | None:
        return None

    def beside(self) -> list[tuple[str, Frame]]:
        return []

    def close(self) -> None:
        pass


def recorded(controls: Controls, game: Game) -> Controls:
    """The controls as a recording of the game has them: those that are not driven by are 0."""
    return {**controls, **{name: 0.0 for name in game.control_names if name not in controls}}
