"""Intervals of means: bootstrap and normal."""

from __future__ import annotations

import numpy as np
import pytest

from racing_vpt.statistics import bootstrap_interval, normal_interval


def test_both_intervals_agree_for_many_normal_values() -> None:
    values = np.random.default_rng(0).normal(5, 2, 2000)
    normal = normal_interval(float(values.mean()), float(values.std(ddof=1)), len(values))
    assert bootstrap_interval(values) == pytest.approx(normal, abs=0.01)
