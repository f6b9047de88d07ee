"""Agreement of labels with the truth: perfect labels score 1, and each figure equals the result by hand."""

from __future__ import annotations

import numpy as np
import pytest

from racing_vpt.models.agreement import (
    calibration,
    lags,
    macro_f1,
    onsets,
    rank_correlation,
    regression,
    risk_coverage,
    stretches,
)


def waves(count: int = 3, frames: int = 100) -> list[np.ndarray]:
    """Controls of several episodes."""
    return [np.sin(np.arange(frames) / 7 + episode) for episode in range(count)]


def alone(labels: list[float] | np.ndarray, true: list[float] | np.ndarray) -> list[list[tuple]]:
    """A single episode of one stretch."""
    return [[(np.asarray(labels), np.asarray(true))]]


def test_stretches_end_where_a_frame_is_missing() -> None:
    assert [*stretches(np.array([3, 4, 7, 8, 9, 12]))] == [slice(0, 2), slice(2, 5), slice(5, 6)]
    assert not [*stretches(np.zeros(0, int))]


def test_perfect_labels_score_one_with_no_doubt() -> None:
    perfect = [[(wave, wave)] for wave in waves()]
    for value in regression(perfect).intervals().values():
        assert value == pytest.approx((1, 1, 1))
    assert lags(perfect).intervals() == {"lag": (0, 0, 0)}
    pressed = [[(wave > 0, wave > 0)] for wave in waves()]
    assert onsets(pressed, 0).intervals() == {"onset_f1_0": (1, 1, 1)}
    assert macro_f1([[(each.astype(int), each.astype(int))] for [(each, _)] in pressed], 2).values() == {"f1": 1}


def test_r2_pearson_and_scale_by_hand() -> None:
    found = regression(alone([0.0, 2.0, 4.0, 6.0], [0.0, 1.0, 2.0, 3.0])).values()
    assert found["r2"] == pytest.approx(1 - 14 / 5)
    assert found["pearson"] == pytest.approx(1)
    assert found["scale"] == pytest.approx(2)


def test_the_mean_of_the_truth_has_an_r2_of_zero_and_no_correlation() -> None:
    wave = waves()[0]
    found = regression(alone(np.full_like(wave, wave.mean()), wave)).values()
    assert found["r2"] == pytest.approx(0)
    assert "pearson" not in found


@pytest.mark.parametrize("shift", [-4, -1, 2, 3])
def test_shifted_labels_are_found_by_their_lag(shift: int) -> None:
    assert lags([[(np.roll(wave, shift), wave)] for wave in waves()]).intervals()["lag"] == (shift, shift, shift)


def test_labels_that_never_change_have_no_lag() -> None:
    assert not lags(alone(np.ones(100), waves()[0])).values()


def test_macro_f1_by_hand_leaves_out_classes_that_never_occur() -> None:
    found = macro_f1(alone([0, 0, 1, 1], [0, 1, 1, 1]), 3).values()["f1"]
    assert found == pytest.approx((2 * 1 / (2 + 1) + 2 * 2 / (2 + 3)) / 2)


def test_onsets_count_once_each_and_within_their_collar() -> None:
    true, written = np.zeros(50, bool), np.zeros(50, bool)
    true[20:30], true[40:45] = True, True
    written[22:24], written[25:30] = True, True  # two presses for one, none for the other
    assert onsets(alone(written, true), 0).values() == {"onset_f1_0": 0}
    assert onsets(alone(written, true), 2).values() == {"onset_f1_2": pytest.approx(2 * 1 / 4)}
    assert not onsets(alone(np.zeros(9, bool), np.zeros(9, bool)), 2).values()


def test_calibration_error_by_hand() -> None:
    found = calibration(alone([0.81, 0.81, 0.99, 0.99], np.array([True, False, True, True]))).values()
    assert found["ece"] == pytest.approx((2 * 0.31 + 2 * 0.01) / 4)


def test_risk_falls_with_coverage_and_abstained_frames_count_as_wrong() -> None:
    confidence = np.linspace(1, 0, 100)
    error, right = np.arange(100.0), np.arange(100) < 50
    found = risk_coverage([confidence[:60], confidence[60:]], [error[:60], error[60:]], [right[:60], right[60:]])
    values = found.values()
    assert values["error_100"] == pytest.approx(49.5)
    assert values["error_5"] == pytest.approx(2)
    assert values["accuracy_25"] == pytest.approx(0.25)
    assert values["accuracy_75"] == values["accuracy_100"] == pytest.approx(0.5)


def test_rank_correlation_is_one_where_doubt_orders_the_errors() -> None:
    doubt = [np.array([0.9, 0.5]), np.array([0.1])]
    assert rank_correlation(doubt, [np.array([1.0, 20.0]), np.array([300.0])]).values()["rank_correlation"] == 1
    assert rank_correlation(doubt, [np.array([3.0, 2.0]), np.array([1.0])]).values()["rank_correlation"] == -1


def test_an_interval_covers_what_other_episodes_would_give() -> None:
    random = np.random.default_rng(0)
    wave = [each + random.normal(size=100) * 0.2 * (episode % 4) for episode, each in enumerate(waves(24))]
    value, low, high = regression([[(a, b)] for a, b in zip(wave, waves(24), strict=True)]).intervals()["r2"]
    assert low < value < high
    assert high - low == pytest.approx(2 * 1.96 * 0.28 / 24**0.5, rel=0.15)  # 0.28: deviation of an episode's 1 - R2
