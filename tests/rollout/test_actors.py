"""Lanes in processes: states equal the environment's, episodes follow one another, and deaths are handled."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import numpy as np
import pytest

from racing_vpt.agents.action_expert import ActionExpert
from racing_vpt.agents.load import load_agent
from racing_vpt.envs.make import FAST_ID, make_env
from racing_vpt.frames import prepare
from racing_vpt.rollout.actors import Actors
from racing_vpt.rollout.lanes import LaneSpec
from racing_vpt.types import FrameSpec

SPEC = FrameSpec(height=84, width=84, fit="crop", crop_bottom=0.125, grey=True, stride=4)
TABLE = np.array([[0, 0, 0], [0.6, 0, 0], [-0.6, 0, 0], [0, 0.2, 0], [0, 0, 0.8]])
GAS = np.array([3, 3])


@pytest.fixture
def opened() -> Iterator[list[Actors]]:
    """Actors that are closed in the end."""
    all_of_them: list[Actors] = []
    yield all_of_them
    for actors in all_of_them:
        actors.close()


def test_lanes_report_the_state_of_the_environment(opened: list[Actors]) -> None:
    """Two lanes in two processes, through an end by the limit of frames and into the next track."""
    actors = Actors(LaneSpec(TABLE, SPEC, first_seed=10_000, max_frames=30), 2, 2)
    opened.append(actors)
    now = actors.start()
    envs = [make_env(FAST_ID, frame_skip=4, max_episode_steps=30) for _ in range(2)]
    pictures = [env.reset(seed=10_000 + row)[0] for row, env in enumerate(envs)]
    assert now.first.all()
    ended = np.zeros(2, bool)
    for step in range(12):
        for row in range(2):
            assert np.array_equal(now.frames[row], prepare(pictures[row], SPEC)[..., 0])
        actions = np.array([step % 5, 3])
        actors.act(actions)
        now, broken = actors.collect()
        assert not broken.any()
        assert np.array_equal(now.valid, ~ended)  # the action after an end is ignored
        assert np.array_equal(now.first, ended)
        for row, env in enumerate(envs):
            if ended[row]:
                pictures[row], reward, done = env.reset(seed=10_002 + row)[0], 0.0, (False, False)
            else:
                pictures[row], earned, *done, _ = env.step(TABLE[actions[row]])
                reward = float(earned)
            assert now.rewards[row] == pytest.approx(reward, abs=1e-5)
            assert (now.terminated[row], now.truncated[row]) == tuple(done)
        ended = now.terminated | now.truncated
    assert now.episodes.tolist() == [2, 2]
    assert now.elapsed.tolist() == [12, 12]  # 30 frames are 8 decisions, one passes with the reset, 3 follow


def test_a_teacher_gives_its_choice_at_each_decision(opened: list[Actors]) -> None:
    """One lane does what it is told and gets on; the other stands, and is told to drive."""
    teacher = load_agent("expert:five")
    assert isinstance(teacher, ActionExpert)
    actors = Actors(LaneSpec(TABLE, SPEC, max_frames=160, teacher=teacher), 2, 1)
    opened.append(actors)
    now, earned, told = actors.start(), np.zeros(2), []
    while not (now.terminated | now.truncated).any():
        assert (now.shown >= 0).all()
        told.append(now.shown)
        actors.act(np.array([now.shown[0], 0]))
        now, _ = actors.collect()
        earned += now.rewards
    assert (now.shown == -1).all()  # at an end nothing is to be done
    assert earned[0] > 60
    assert earned[1] < 0
    assert len(set(np.stack(told)[10:, 1].tolist())) == 1  # the same, as long as it does not move


def test_an_episode_without_progress_is_cut_off_not_terminated(opened: list[Actors]) -> None:
    actors = Actors(LaneSpec(TABLE, SPEC, patience=20), 2, 1)
    opened.append(actors)
    actors.start()
    for _ in range(6):
        actors.act(np.array([0, 3]))  # one stands still, one drives off
        now, _ = actors.collect()
        if now.truncated[0]:
            break
    assert now.cut_off[0]
    assert not now.terminated[0]
    assert not now.truncated[1]


def test_a_process_that_dies_is_replaced_and_its_lanes_are_named(opened: list[Actors]) -> None:
    actors = Actors(LaneSpec(TABLE, SPEC), 2, 2)
    opened.append(actors)
    actors.start()
    os.kill(actors.pids()[0], signal.SIGKILL)
    actors.act(GAS)
    now, broken = actors.collect()
    assert broken.tolist() == [True, False]
    assert now.valid.tolist() == [False, True]
    assert now.first.tolist() == [True, False]
    assert now.episodes.tolist() == [2, 1]  # the next track
    actors.act(GAS)
    now, broken = actors.collect()
    assert now.valid.all()
    assert not broken.any()


def test_a_process_that_dies_again_and_again_is_given_up(opened: list[Actors]) -> None:
    actors = Actors(LaneSpec(TABLE, SPEC, env="no-such-game-v0"), 1, 1)
    opened.append(actors)
    with pytest.raises(ValueError, match="no-such-game"):
        actors.start()  # what goes wrong in a process is said here
    actors.close()
    actors.deaths = [2]
    actors.lane_spec = LaneSpec(TABLE, SPEC)
    actors.start()
    actors.deaths = [2]
    os.kill(actors.pids()[0], signal.SIGKILL)
    actors.act(np.array([0]))
    with pytest.raises(RuntimeError, match="died 3 times"):
        actors.collect()


def test_a_continued_run_drives_other_tracks(opened: list[Actors]) -> None:
    actors = Actors(LaneSpec(TABLE, SPEC), 2, 1, episodes=np.array([3, 5]))
    opened.append(actors)
    now = actors.start()
    env = make_env(FAST_ID)
    for row, seed in enumerate((10_006, 10_011)):
        assert np.array_equal(now.frames[row], prepare(env.reset(seed=seed)[0], SPEC)[..., 0])


def test_more_workers_than_lanes_are_refused() -> None:
    with pytest.raises(ValueError, match="must be 1 to 2"):
        Actors(LaneSpec(TABLE, SPEC), 2, 3)
