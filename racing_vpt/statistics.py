"""95% intervals of means; of paired differences, for a paired comparison."""

from __future__ import annotations

import numpy as np

RESAMPLES = 10_000
NORMAL = 1.96  # standard errors on either side of the mean: 95%
SEED = 0  # of the resampling, so that the same scores always give the same interval


def bootstrap_interval(returns: np.ndarray) -> tuple[float, float]:
    """The 95% interval of the mean by the BCa bootstrap with a fixed seed; if all scores are equal, that score."""
    from scipy.stats import bootstrap

    if len(returns) < 2 or np.ptp(returns) == 0:
        return float(returns.mean()), float(returns.mean())
    random = np.random.default_rng(SEED)
    interval = bootstrap((returns,), np.mean, n_resamples=RESAMPLES, rng=random).confidence_interval
    return float(interval.low), float(interval.high)


def normal_interval(mean: float, deviation: float, count: int) -> tuple[float, float]:
    """The 95% interval of the mean of many values by the normal approximation; `deviation` is their standard deviation.

    For metrics logged at each validation, where resampling would take longer than the measurement.
    """
    return mean - NORMAL * deviation / count**0.5, mean + NORMAL * deviation / count**0.5
