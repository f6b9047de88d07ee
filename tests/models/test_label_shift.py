"""The lag of controls, found in the distributions of a model that is right, half right, or sees nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from racing_vpt.games.read import load_game
from racing_vpt.models.label_shift import FEWEST_BLOCKS, Shift, shift_fits, shift_of

SCHEME = load_game("carracing").scheme(kind="idm")
STOPS = {"steering": 0.4}


def driven(frames: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """Controls that are held for some frames each, as a person does."""
    random = np.random.default_rng(seed)
    holds = np.repeat(np.arange(frames), random.integers(3, 20, frames))[:frames]
    steering, pedal = random.uniform(-1, 1, frames)[holds], random.integers(-1, 2, frames)[holds]
    return {
        "steering": torch.tensor(steering, dtype=torch.float32),
        "throttle": torch.tensor(pedal > 0).float(),
        "brake": torch.tensor(pedal < 0).float(),
        "gear_change": torch.zeros(frames),
    }


def said(controls: dict[str, torch.Tensor], right: float) -> dict[str, torch.Tensor]:
    """Distributions that give the true class this probability and share the rest among all."""
    classes = SCHEME.encode(controls)
    return {
        name: right * torch.nn.functional.one_hot(classes[name], count).float() + (1 - right) / count
        for name, count in SCHEME.num_classes.items()
    }


def found(late: int, right: float, seconds: int = 12, truth: int = 0, seed: int = 0) -> Shift:
    controls = driven(50 * seconds + 24, seed)
    recorded = {name: torch.roll(values, late) for name, values in controls.items()}
    return shift_of([shift_fits(SCHEME, said(driven(50 * seconds + 24, truth), right), recorded, STOPS, 50)])


@pytest.mark.parametrize("late", [-8, -1, 0, 3, 8])
@pytest.mark.parametrize("right", [0.9, 0.15])
def test_shifted_controls_are_found_exactly(late: int, right: float) -> None:
    shift = found(late, right)
    assert not shift.unclear
    assert shift.frames == pytest.approx(late, abs=0.5)
    assert shift.low <= shift.frames <= shift.high


@pytest.mark.parametrize("seed", range(1, 9))
def test_of_another_drive_it_cannot_tell(seed: int) -> None:
    assert found(0, 0.9, truth=seed).unclear.startswith(("the model's labels fit", "the best fit is at"))


def test_short_or_constant_controls_and_shifts_beyond_the_search_are_not_told() -> None:
    assert "too short" in found(0, 0.9, seconds=FEWEST_BLOCKS - 1).unclear
    assert "where the search ends" in found(14, 0.9).unclear
    still = {name: torch.zeros(700) for name in SCHEME.controls}
    assert "never change" in shift_of([shift_fits(SCHEME, said(still, 0.9), still, STOPS, 50)]).unclear
    assert "too short" in shift_of([]).unclear


def test_the_sentence_says_the_direction_the_frames_and_the_time() -> None:
    assert Shift(2.0, 1.8, 2.2, "").sentence(50) == (
        "these controls lag the picture by 2.0 frames (40 ms; 95%: +1.8 to +2.2)"
    )
    assert "lead the picture by 3.1 frames (103 ms" in Shift(-3.1, -3.4, -2.9, "").sentence(30)
    assert "fit the picture, to within a frame" in Shift(0.8, 0.5, 1.1, "").sentence(50)
    assert Shift(0.3, -9.0, 9.0, "it is dark").sentence(50).startswith("cannot tell")
