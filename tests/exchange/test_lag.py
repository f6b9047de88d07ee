"""The lag between controls and picture, told without a model."""

from __future__ import annotations

import numpy as np
import pytest

from racing_vpt.exchange.lag import LagMeter, lag_of, motion_of

LENGTH = 600


def drive(seed: int, late: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Motion and controls of a picture that turns as far as it is steered; the controls come `late` frames."""
    random = np.random.default_rng(seed)
    steering = np.repeat(random.uniform(-1, 1, LENGTH // 10), 10)
    wall = np.asarray(random.integers(0, 256, (64, 4000)), np.uint8)
    wall = np.repeat(wall[:, ::4], 4, 1)
    place = 2000 + np.concatenate([[0.0], 6 * steering[:-1]])
    frames = (np.repeat(wall[:, round(at) : round(at) + 64, None], 3, 2) for at in place.tolist())
    recorded = steering[np.clip(np.arange(LENGTH) - late, 0, LENGTH - 1)]
    return motion_of(frames), np.stack([recorded, np.zeros(LENGTH)], 1)


@pytest.mark.parametrize("late", [-6, 0, 4])
def test_a_shift_on_purpose_is_told_to_the_frame(late: int) -> None:
    meter = LagMeter(rate=20.0)
    for seed in range(3):
        meter.add_columns(*drive(seed, late))
    found = lag_of(meter.parts)
    assert found is not None
    assert found[0] == late
    assert found[1] <= late <= found[2]
    said = {-6: "answers 6 frames (300 ms", 0: "fit in time", 4: "come 4 frames (200 ms"}[late]
    assert said in meter.sentence()


def test_controls_of_another_drive_or_too_few_frames_tell_nothing() -> None:
    meter = LagMeter(rate=20.0)
    for seed in range(3):
        meter.add_columns(drive(seed)[0], drive(seed + 10)[1])
    assert lag_of(meter.parts) is None
    assert "cannot be told" in meter.sentence()
    short = LagMeter(rate=20.0)
    motion, controls = drive(0)
    short.add_columns(motion[:200], controls[:200])
    assert lag_of(short.parts) is None
    assert LagMeter().sentence() == ""
