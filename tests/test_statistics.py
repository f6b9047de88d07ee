"""Intervals of means: bootstrap and normal."""

from __future__ import annotations

import numpy as np
import pytest

from racing_vpt.statistics import bootstrap_interval, interquartile_mean, interval_over_seeds, normal_interval


def test_both_intervals_agree_for_many_normal_values() -> None:
    values = np.random.default_rng(0).normal(5, 2, 2000)
    normal = normal_interval(float(values.mean()), float(values.std(ddof=1)), len(values))
    assert bootstrap_interval(values) == pytest.approx(normal, abs=0.01)


def test_the_middle_half_does_not_see_a_lost_track() -> None:
    returns = np.full(100, 930.0)
    returns[:10] = -20
    assert interquartile_mean(returns) == 930
    assert interquartile_mean(np.arange(8.0)) == pytest.approx(3.5)


def test_one_training_seed_has_the_interval_of_its_tracks() -> None:
    returns = np.random.default_rng(1).normal(900, 30, (1, 40))
    assert interval_over_seeds(returns) == bootstrap_interval(returns[0])
    assert interval_over_seeds(returns, returns - 5) == pytest.approx((5, 5))


def test_training_seeds_that_differ_widen_the_interval() -> None:
    tracks = np.random.default_rng(2).normal(0, 10, 50)
    low, high = interval_over_seeds(np.stack([tracks + level for level in (880, 900, 920)]))
    assert low < 890 < 910 < high
    low, high = interval_over_seeds(np.stack([tracks + 900] * 3))
    assert high - low < 8  # that of the tracks alone: 4 standard errors of 10 / 50**0.5


def test_tracks_that_two_methods_share_cancel() -> None:
    random = np.random.default_rng(3)
    tracks = random.normal(900, 50, 60)
    better, worse = (
        np.stack([tracks + random.normal(level, 2, 60) for level in levels]) for levels in ((9, 11), (0, 1))
    )
    low, high = interval_over_seeds(better, worse)
    assert 7 < low < 9.5 < high < 12


def test_intervals_over_many_seeds_hold_as_often_as_they_say() -> None:
    random, held = np.random.default_rng(4), 0
    for _ in range(40):
        returns = 900 + random.normal(0, 10, (12, 1)) + random.normal(0, 10, (1, 60)) + random.normal(0, 5, (12, 60))
        low, high = interval_over_seeds(returns)
        held += low <= 900 <= high
    assert 33 <= held <= 40
