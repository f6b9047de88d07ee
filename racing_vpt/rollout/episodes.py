"""The one loop that steps environments with an agent: to score it, to film it, to record it."""

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
    """Whatever keeps an episode: a `RecordingWriter`, an `EpisodeFilm`. Before `close` its `meta` is told the score."""

    meta: dict[str, object]

    def add(self, frame: Frame, record: FrameRecord) -> None:
        """Frame uint8 [H, W, 3] and what was done on seeing it."""

    def close(self) -> None:
        """The episode is over; keep it."""

    def abort(self) -> None:
        """The episode was not finished; forget it."""


@dataclass(frozen=True)
class EpisodeResult:
    """What an episode came to.

    Args:
        seed: of the track.
        score: sum of the environment's raw rewards.
        frames: environment steps.
        lap_finished: every tile was touched.
        tiles_visited: tiles touched.
        tiles: tiles of the track.
        perturbed_frames: frames in which other controls were executed than intended.
    """

    seed: int
    score: float
    frames: int
    lap_finished: bool
    tiles_visited: int
    tiles: int
    perturbed_frames: int = 0


class RunningEpisode:
    """One environment in the middle of one episode."""

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
        """Execute the controls, or what the perturbation makes of them, and hand the frame to the writer."""
        intended = _in_one_gear(intended)
        disturbed = self.disturbance.apply(intended) if self.disturbance else None
        executed = intended if disturbed is None else disturbed
        core = self.env.unwrapped
        observation = observation_of(self.env) if self.writer and hasattr(core, "car") else {}
        try:
            frame, reward, terminated, truncated, info = step_controls(self.env, executed)  # refuses NaN, for one
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

    The agent sees all N environments in one call, which a network on a CPU repays several times over. When there are
    no seeds left, rows that are done keep their last frame.

    Args:
        envs: made by `make_env`; they stay open.
        agent: drives; it is reset, seeded with each episode's seed and attached to its environment where it can be.
        seeds: one an episode, taken one by one.
        open_writer: who keeps the episode of that seed, or None; closed at its end, aborted where it is cut off.
        perturbation: disturb the executed controls.
        max_frames: end episodes after so many frames; None leaves it to the environment.
        on_step: called with an episode's seed and the frames driven of it, after each of them.

    Yields:
        A result as each episode ends, not in the order of the seeds.
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
        if open_writer:  # last, so that what goes wrong before leaves nothing behind
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


def _in_one_gear(controls: Controls) -> Controls:
    """CarRacing's car has one gear, so that whatever a policy says of gears means nothing; a recording says 0."""
    return {**controls, "gear_change": 0.0} if "steering" in controls else controls
