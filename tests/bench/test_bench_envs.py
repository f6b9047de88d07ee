"""The benchmark of environments, on a few frames."""

import numpy as np

from racing_vpt.bench.envs import MAX_EPISODE, difference_by_region, record_drives, replay
from racing_vpt.envs.make import FAST_ID
from racing_vpt.seeds import FIRST_TRAINING_SEED


def test_the_expert_drives_as_many_frames_as_asked_and_a_replay_shows_each() -> None:
    drives = record_drives(MAX_EPISODE + 20)
    assert [drive.seed for drive in drives] == [FIRST_TRAINING_SEED, FIRST_TRAINING_SEED + 1]
    assert [drive.actions.shape for drive in drives] == [(MAX_EPISODE, 3), (20, 3)]
    assert replay(FAST_ID, drives[1]).frames.shape == (20, 96, 96, 3)


def test_differences_are_measured_by_region() -> None:
    difference = np.zeros((100, 96, 96))
    difference[:50, :84] = 1  # while the camera comes nearer, above the instruments
    figures = difference_by_region([difference])
    assert figures["difference"] == 0.5 * 84 / 96
    assert figures["difference_zoom_phase"] == 84 / 96
    assert figures["difference_road"] == 0.5
    assert figures["difference_instruments"] == 0
