"""95% intervals: of means, of paired differences (for a paired comparison), of several training seeds, and of sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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


def interquartile_mean(returns: np.ndarray) -> float:
    """The mean of the middle half of all values, which single lost tracks do not move.

    Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice", arXiv:2108.13264.
    """
    from scipy.stats import trim_mean

    return float(trim_mean(returns, 0.25, axis=None))


def interval_over_seeds(returns: np.ndarray, less: np.ndarray | None = None) -> tuple[float, float]:
    """The 95% interval of the mean over training seeds and tracks, or of its difference to another method's mean.

    With several training seeds both seeds and tracks are drawn again (the percentile bootstrap of two crossed factors:
    Owen 2007, "The pigeonhole bootstrap"), so that the interval holds for the method and not for one lucky run. With
    few seeds it is too narrow: three values say little about a spread. With one it is `bootstrap_interval` over tracks.

    Args:
        returns: float64 [S, K], returns of S training seeds on the same K tracks.
        less: float64 [S', K], the method to compare with, on the same tracks, which are drawn together.
    """
    less = np.zeros((1, returns.shape[1])) if less is None else less
    if max(len(returns), len(less)) == 1:
        return bootstrap_interval(returns[0] - less[0])
    random, tracks = np.random.default_rng(SEED), returns.shape[1]

    def drawn(count: int) -> np.ndarray:
        return random.multinomial(count, np.full(count, 1 / count), RESAMPLES) / count  # [R, count], shares

    by_track = drawn(len(returns)) @ returns - drawn(len(less)) @ less  # [R, K]
    low, high = np.quantile((by_track * drawn(tracks)).sum(1), [0.025, 0.975])
    return float(low), float(high)


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
    return interval_of_group_means([sums], figures)


def interval_of_group_means(
    groups: Sequence[np.ndarray], figures: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `interval_of_sums`, of the mean over groups of their figures; episodes are resampled within their group.

    Args:
        groups: sums float64 [E, K] of each group, such as a driver; NaN figures of a group are left out of the mean.
        figures: maps sums [..., K] to figures [..., M], NaN where one is undefined.

    Returns:
        Figures, low and high ends, each [M]; if no group has two episodes all three are the same.
    """
    random, totals = np.random.default_rng(SEED), [sums.sum(0) for sums in groups]
    each = np.stack([figures(total) for total in totals])  # [G, M]
    values = _known_mean(each)
    if max(len(sums) for sums in groups) < 2:
        return values, values, values
    resampled, left_out = [], []
    for place, (sums, total) in enumerate(zip(groups, totals, strict=True)):
        drawn = random.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), SUM_RESAMPLES)  # [R, E]
        resampled.append(figures(drawn @ sums))
        if len(sums) > 1:
            without = np.repeat(each[None], len(sums), 0)  # [E, G, M]
            without[:, place] = figures(total - sums)
            left_out.append(_known_mean(without, 1))
    return values, *_bca_ends(values, _known_mean(np.stack(resampled)), np.concatenate(left_out))


def _known_mean(figures: np.ndarray, axis: int = 0) -> np.ndarray:
    """The mean over an axis without NaN; NaN where there is nothing else."""
    known = np.isfinite(figures)
    total = np.where(known, figures, 0).sum(axis)
    return np.where(known.any(axis), total / np.maximum(known.sum(axis), 1), np.nan)


def _bca_ends(values: np.ndarray, resampled: np.ndarray, left_out: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the intervals [M] of figures [M], from those of resampled data [R, M] and of all but one [E, M]."""
    from scipy.special import ndtr, ndtri

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
    return ends[0], ends[1]
