"""The loop that steps environments with an agent, to score, film or record it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

import gymnasium
import numpy as np

from racing_vpt.agents.perturbation import Disturbance, Perturbation
from racing_vpt.agents.solo import NeedsEnvironment, Seedable, SoloAgent
from racing_vpt.envs.actions import observation_of
from racing_vpt.envs.offers import step_controls
from racing_vpt.types import Agent, Controls, Frame, FrameRecord


class EpisodeWriter(Protocol):
    """Stores an episode, such as `RecordingWriter` and `EpisodeFilm`. The score is added to `meta` before `close`."""

    meta: dict[str, object]

    def add(self, frame: Frame, record: FrameRecord) -> None:
        """Add a frame uint8 [H, W, 3] and the record of the step taken from it."""

    def close(self) -> None:
        """Finish and keep the episode."""

    def abort(self) -> None:
        """Discard the unfinished episode."""


@dataclass(frozen=True)
class EpisodeResult:
    """Result of an episode.

    Args:
        seed: seed of the track.
        score: sum of the environment's raw rewards.
        frames: number of environment steps.
        lap_finished: whether every tile was touched.
        tiles_visited: number of tiles touched.
        tiles: number of tiles of the track.
        perturbed_frames: number of frames whose executed controls differ from the intended ones.
    """

    seed: int
    score: float
    frames: int
    lap_finished: bool
    tiles_visited: int
    tiles: int
    perturbed_frames: int = 0


class RunningEpisode:
    """An environment and the episode in progress in it."""

    def __init__(
        self,
        env: gymnasium.Env,
        seed: int,
        perturbation: Perturbation | None,
        max_frames: int | None,
    ) -> None:
        self.env, self.seed, self.max_frames = env, seed, max_frames
        self.writer: EpisodeWriter | None = None
        self.disturbance = Disturbance(perturbation, seed) if perturbation else None
        self.frame: Frame = env.reset(seed=seed)[0]
        self.frames_per_second = float(env.metadata.get("render_fps", 50))
        self.frames = self.perturbed_frames = 0
        self.score = 0.0
        self.done = self.lap_finished = False

    def step(self, intended: Controls) -> None:
        """Execute the controls, perturbed if so configured, and pass the frame to the writer."""
        intended = in_one_gear(intended, self.env.game.control_names)  # type: ignore[attr-defined]
        disturbed = self.disturbance.apply(intended) if self.disturbance else None
        executed = intended if disturbed is None else disturbed
        core = self.env.unwrapped
        observation = observation_of(self.env) if self.writer and hasattr(core, "car") else {}
        try:
            frame, reward, terminated, truncated, info = step_controls(self.env, executed)  # such as NaN in controls
        except ValueError as error:
            raise ValueError(f"seed {self.seed}, frame {self.frames}: {error}") from error
        if self.writer:
            record = FrameRecord(
                frame=self.frames,
                timestamp=self.frames / self.frames_per_second,
                action=executed,
                observation=observation,
                reward=float(reward),
                first=self.frames == 0,
                perturbed=disturbed is not None,
                intended=None if disturbed is None else intended,
            )
            self.writer.add(self.frame, record)
        self.frame = frame
        self.frames += 1
        self.perturbed_frames += disturbed is not None
        self.score += float(reward)
        self.lap_finished = bool(info.get("lap_finished", False))
        self.done = terminated or truncated or self.frames == self.max_frames

    def result(self) -> EpisodeResult:
        core = self.env.unwrapped
        tiles_visited = int(getattr(core, "tile_visited_count", 0))
        tiles = len(getattr(core, "track", ()))
        return EpisodeResult(
            self.seed, self.score, self.frames, self.lap_finished, tiles_visited, tiles, self.perturbed_frames
        )


def run_episodes(
    envs: Sequence[gymnasium.Env],
    agent: Agent,
    seeds: Iterable[int],
    *,
    open_writer: Callable[[int], EpisodeWriter | None] | None = None,
    perturbation: Perturbation | None = None,
    max_frames: int | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> Iterator[EpisodeResult]:
    """Drive episodes in several environments at once; an environment that is done takes the next seed.

    The agent gets the frames of all N environments in one call, which is several times faster for a network on a CPU.
    When there are no seeds left, rows that are done keep their last frame.

    Args:
        envs: environments from `make_env`; they stay open.
        agent: the driver; it is reset, seeded with each episode's seed, and attached to its environment if it can be.
        seeds: seeds of the episodes, taken one by one.
        open_writer: returns the writer for a seed's episode, or None; closed at the end, aborted if cut off.
        perturbation: perturbation of the executed controls.
        max_frames: maximum length of an episode in frames; None: the environment's own.
        on_step: called after each frame with the episode's seed and its number of frames so far.

    Yields:
        The result of each episode as it ends, not in the order of the seeds.
    """
    queue = iter(seeds)
    rows: list[RunningEpisode | None] = []
    agent.reset()

    def start(index: int) -> RunningEpisode | None:
        seed = next(queue, None)
        if seed is None:
            return None
        episode = RunningEpisode(envs[index], seed, perturbation, max_frames)
        driver = agent.row(index) if isinstance(agent, SoloAgent) else agent
        if isinstance(driver, SoloAgent):
            driver.reset()
        if isinstance(driver, Seedable):
            driver.seed(seed)
        if isinstance(driver, NeedsEnvironment):
            driver.attach(envs[index])
        return episode

    def write(episode: RunningEpisode) -> None:
        if open_writer:  # last, so that an error before leaves no file behind
            episode.writer = open_writer(episode.seed)

    try:
        for index in range(len(envs)):
            if (episode := start(index)) is None:
                break  # fewer seeds than environments
            rows.append(episode)
            write(episode)
        frames = np.stack([episode.frame for episode in rows if episode]) if rows else np.empty(0)
        first = np.ones(len(rows), bool)
        while any(rows):
            controls = agent.act_batch(frames, first)
            first[:] = False
            for index, episode in enumerate(rows):
                if episode is None:
                    continue
                episode.step(controls[index])
                frames[index] = episode.frame
                if on_step:
                    on_step(episode.seed, episode.frames)
                if not episode.done:
                    continue
                result = episode.result()
                if episode.writer:
                    episode.writer.meta.update(asdict(result))
                    episode.writer.close()
                    episode.writer = None
                yield result
                rows[index] = following = start(index)
                if following:
                    write(following)
                    frames[index], first[index] = following.frame, True
    finally:
        for episode in rows:
            if episode and episode.writer:
                episode.writer.abort()


def in_one_gear(controls: Controls, known: Sequence[str]) -> Controls:
    """Controls with `gear_change` 0 in CarRacing, whose car has one gear, so that recordings never show a change."""
    return {**controls, "gear_change": 0.0} if {"steering", "gear_change"} <= {*known} else controls
