"""Driving step by step in an environment or a world model, by a person or an agent."""

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

GEAR = "gear_change"  # in every recording of a car; always 0 in CarRacing, whose car has one gear


class Driver(Protocol):
    """An agent in an environment; a person may take over at any frame."""

    def begin(self, env: gymnasium.Env, seed: int) -> None:
        """Start an episode, just after the environment's reset."""

    def act(self, frame: Frame) -> Controls:
        """The agent's controls for the frame; called at every frame, to keep its memory up to date."""

    def told(self, controls: Controls) -> None:
        """Tell the agent which controls were executed: its own, or a person's."""


class Dreamer(Protocol):
    """An agent in a world model; a person may take over at any step."""

    def begin_dream(self, before: Tensor) -> None:
        """Start a dream that follows observations [T, ...]; T may be 0."""

    def answer(self, observation: Tensor, picture: Tensor) -> Controls:
        """The agent's controls for an observation [1, ...], shown as picture float32 [1, 3, H, W]."""

    def remember(self, controls: Controls) -> None:
        """Tell the agent which controls were executed: its own, or a person's."""


@dataclass
class FollowingAgent:
    """Any agent as a `Driver`. It sees every frame, even while a person drives, which keeps its memory up to date."""

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
    """Interface of an environment or a world model for `Player`."""

    kind: str  # `drive` or `dream`: prefix of recording names
    title: str  # first line of the panel
    world: str  # displayed name of the environment or world model
    where: str  # appended to "you drive" in the status line
    meta: dict[str, object]  # fields for a recording's meta file
    frames_per_second: float
    stride: int  # frames of the environment per step
    game: Game
    controls: tuple[str, ...]
    has_agent: bool
    frame: Frame  # current frame, uint8 [H, W, 3]
    observation: dict[str, float | None]  # current state of the car, as far as known
    score: float
    age: int  # steps in this episode
    done: bool
    lap_finished: bool

    def begin(self, seed: int) -> None:
        """Start an episode; ValueError if the agent cannot drive here."""

    def suggest(self) -> Controls | None:
        """The agent's controls for the current frame, called once per step; None without an agent."""

    def step(self, controls: Controls) -> float:
        """Execute controls; returns the reward."""

    def view(self) -> Frame | None:
        """A sharper picture of the current frame, uint8 [H, W, 3], if there is one."""

    def beside(self) -> list[tuple[str, Frame]]:
        """Pictures to show beside the frame, with captions."""

    def close(self) -> None:
        """End the session."""


class EnvCourse:
    """An environment with an agent.

    Args:
        env: environment from `make_env`.
        name: name of the environment.
        driver: the agent; None: a person drives.
        reconstruction: shows each frame as reconstructed by a model beside it.
        open_writer: returns the writer of a seed's episode, such as a film; None: no writer.
        max_frames: maximum length of an episode in frames; None: the environment's own.
        game: game whose keys and controls are used; None: the environment's.
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
        """Result of the episode so far."""
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
        """Record of the current frame."""
        self.frame = self.episode.frame
        self.observation = observation_of(self.env) if hasattr(self.env.unwrapped, "car") else {}


class DreamCourse:
    """A world model, with or without an agent.

    Args:
        imagination: the world model.
        name: name of the world model, such as `zoo:iris-carracing`.
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
    """Controls as in a recording of the game; those that the world model lacks are 0."""
    return {**controls, **{name: 0.0 for name in game.control_names if name not in controls}}
