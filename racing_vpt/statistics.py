"""95% intervals: of means, of paired differences (for a paired comparison), and of figures of sums over episodes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

RESAMPLES = 10_000
SUM_RESAMPLES = 2_000  # of figures of sums: a report has some hundred of them
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


def interval_of_sums(
    sums: np.ndarray, figures: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Figures of the sums over all episodes, and the ends of their 95% intervals when episodes are resampled.

    The BCa bootstrap (Efron 1987, "Better Bootstrap Confidence Intervals") with a fixed seed. Frames of one episode
    depend on each other, so whole episodes are drawn.

    Args:
        sums: float64 [E, K], what each episode adds.
        figures: maps sums [..., K] to figures [..., M], NaN where one is undefined.

    Returns:
        Figures, low and high ends, each [M]; of a single episode all three are the same.
    """
    from scipy.special import ndtr, ndtri

    total, count = sums.sum(0), len(sums)
    values = figures(total)
    if count < 2:
        return values, values, values
    drawn = np.random.default_rng(SEED).multinomial(count, np.full(count, 1 / count), SUM_RESAMPLES)  # [R, E]
    resampled, left_out = figures(drawn @ sums), figures(total - sums)  # [R, M], [E, M]
    ends = np.stack([values, values])  # [2, M]
    for place, value in enumerate(values):
        found = resampled[:, place][np.isfinite(resampled[:, place])]
        influence = left_out[:, place][np.isfinite(left_out[:, place])]
        if not np.isfinite(value) or not len(found) or np.ptp(found) <= 1e-12 * max(1.0, abs(value)):
            continue
        influence = influence.mean() - influence if len(influence) else np.zeros(1)
        spread = np.square(influence).sum() ** 1.5
        skew = (influence**3).sum() / (6 * spread) if spread > 0 else 0.0
        bias = ndtri(np.clip(((found < value).mean() + (found <= value).mean()) / 2, 1e-3, 1 - 1e-3))
        shifted = bias + np.array([-NORMAL, NORMAL])
        ends[:, place] = np.quantile(found, ndtr(bias + shifted / (1 - skew * shifted)))
    return values, ends[0], ends[1]
