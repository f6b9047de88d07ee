from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from racing_vpt.agents.load import load_agent
from racing_vpt.agents.perturbation import Perturbation
from racing_vpt.data.recording import Recording, RecordingWriter
from racing_vpt.envs.make import FAST_ID, STOCK_ID, make_env
from racing_vpt.play.film import EpisodeFilm
from racing_vpt.rollout.episodes import run_episodes
from racing_vpt.types import Controls, Frame
from racing_vpt.video.decode import open_video
from tests.episodes import run_episode


@pytest.fixture(scope="module")
def envs() -> Iterator[list[gymnasium.Env]]:
    envs: list[gymnasium.Env] = [make_env(FAST_ID) for _ in range(2)]
    yield envs
    for env in envs:
        env.close()


def test_many_environments_at_once_score_as_one_after_the_other(envs: list[gymnasium.Env]) -> None:
    seeds = [10_003, 10_001, 10_002]
    for name in ("expert:wild", "brownian"):
        together = {result.seed: result for result in run_episodes(envs, load_agent(name), seeds, max_frames=60)}
        alone = {seed: run_episode(envs[0], load_agent(name), seed, max_frames=60) for seed in seeds}
        assert together == alone


def test_more_environments_than_seeds_work(envs: list[gymnasium.Env]) -> None:
    assert len(list(run_episodes(envs, load_agent("random"), [10_000], max_frames=5))) == 1
    assert list(run_episodes(envs, load_agent("random"), [], max_frames=5)) == []


def test_the_fast_environment_scores_as_the_stock_one(envs: list[gymnasium.Env]) -> None:
    stock = make_env(STOCK_ID)
    scores = [run_episode(env, load_agent("expert:calm"), 1000, max_frames=40) for env in (stock, envs[0])]
    stock.close()
    assert scores[0] == scores[1]


class Watcher:
    """Stores its input frames."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.resets = 0

    def reset(self) -> None:
        self.resets += 1

    def act(self, frame: Frame) -> Controls:
        self.frames.append(frame.copy())
        return {"steering": 0.1, "throttle": 0.5, "brake": 0.0}

    def act_batch(self, frames: np.ndarray, first: np.ndarray) -> list[Controls]:
        return [self.act(frame) for frame in frames]


def test_a_recording_holds_what_the_agent_saw_before_it_acted(envs: list[gymnasium.Env], tmp_path: Path) -> None:
    agent = Watcher()
    writer = RecordingWriter(tmp_path, "episode", frames_per_second=50, meta={}, video=False)
    result = run_episode(envs[0], agent, 10_000, writer=writer, max_frames=12)
    recording = Recording.open(tmp_path / "episode.meta.json")
    records = recording.records()
    stored = open_video(recording.video).read(range(12))
    np.testing.assert_array_equal(stored, np.stack(agent.frames))
    assert agent.resets == 1
    assert [record.first for record in records] == [True] + [False] * 11
    assert sum(record.reward or 0.0 for record in records) == pytest.approx(result.score)
    assert records[0].observation["speed"] == pytest.approx(0, abs=0.1)
    assert float(records[11].observation["speed"] or 0) > 1
    assert records[3].timestamp == pytest.approx(3 / 50)
    assert recording.meta["score"] == result.score
    assert recording.meta["frames"] == 12


def test_a_perturbed_line_says_what_was_executed_and_what_was_intended(
    envs: list[gymnasium.Env], tmp_path: Path
) -> None:
    perturbation = Perturbation(probability=0.1, min_frames=2, max_frames=5, kinds=("full_brake",))
    writer = RecordingWriter(tmp_path, "episode", frames_per_second=50, meta={})
    result = run_episode(envs[0], Watcher(), 10_000, writer=writer, perturbation=perturbation, max_frames=60)
    records = Recording.open(tmp_path / "episode.meta.json").records()
    perturbed = [record for record in records if record.perturbed]
    assert 0 < len(perturbed) == result.perturbed_frames < 60
    assert all(record.action["brake"] == 1 and record.intended["brake"] == 0 for record in perturbed if record.intended)
    assert all(record.intended is not None for record in perturbed)
    assert all(record.intended is None and record.action["brake"] == 0 for record in records if not record.perturbed)


def test_an_episode_that_is_cut_off_leaves_no_recording(envs: list[gymnasium.Env], tmp_path: Path) -> None:
    class Quitter(Watcher):
        def act(self, frame: Frame) -> Controls:
            if len(self.frames) == 5:
                raise KeyboardInterrupt
            return super().act(frame)

    writer = RecordingWriter(tmp_path, "episode", frames_per_second=50, meta={})
    with pytest.raises(KeyboardInterrupt):
        run_episode(envs[0], Quitter(), 10_000, writer=writer)
    assert list(tmp_path.iterdir()) == []


def test_a_film_shows_every_frame_enlarged(envs: list[gymnasium.Env], tmp_path: Path) -> None:
    path = tmp_path / "films" / "film.mp4"
    run_episode(envs[0], load_agent("expert"), 10_000, writer=EpisodeFilm(path, "expert 10000", scale=3), max_frames=8)
    video = open_video(path)
    assert video.num_frames == 8
    assert video.height >= 3 * 96
    assert video.width > 3 * 96
    assert list(path.parent.iterdir()) == [path]
