"""Agreement of labels with the true controls, as figures of sums to which each episode adds.

Only sums are kept of an episode, so that the interval of any figure follows from drawing episodes again
(`statistics.py`). Everything here works on arrays: an episode is a list of stretches, and a stretch is a pair of labels
and true values [N] of consecutive frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from racing_vpt.statistics import interval_of_sums

Stretch = tuple[np.ndarray, np.ndarray]
Interval = tuple[float, float, float]
"""A figure, and the low and high end of its 95% interval."""
LARGEST_LAG = 4  # frames
CALIBRATION_BINS = 15  # of the confidence, in the calibration error
NUM_BANDS = 20  # of the risk-coverage curve: 5% of the frames each


@dataclass(frozen=True)
class Measured:
    """Figures by name, as a function of sums over episodes.

    Args:
        names: names of the figures.
        sums: float64 [E, K], what each episode adds.
        figures: maps sums [..., K] to figures [..., M], NaN where one is undefined.
    """

    names: tuple[str, ...]
    sums: np.ndarray
    figures: Callable[[np.ndarray], np.ndarray]

    def values(self) -> dict[str, float]:
        """The defined figures of all episodes together."""
        found = zip(self.names, self.figures(self.sums.sum(0)).tolist(), strict=True)
        return {name: value for name, value in found if np.isfinite(value)}

    def intervals(self) -> dict[str, Interval]:
        """The defined figures with their 95% intervals over episodes."""
        ends = zip(*interval_of_sums(self.sums, self.figures), strict=True)
        found = {name: tuple(float(end) for end in each) for name, each in zip(self.names, ends, strict=True)}
        return {name: each for name, each in found.items() if np.isfinite(each).all()}  # type: ignore[misc]


def stretches(frames: np.ndarray) -> Iterator[slice]:
    """The runs of consecutive numbers in frames int64 [N], rising."""
    ends = [*(np.nonzero(np.diff(frames) != 1)[0] + 1).tolist(), len(frames)]
    start = 0
    for end in ends:
        if end > start:
            yield slice(start, end)
        start = end


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Quotients; NaN where the whole is 0."""
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), np.nan)


def regression(episodes: Sequence[Sequence[Stretch]]) -> Measured:
    """`r2`, `pearson`, and `scale`: the labels' standard deviation as a multiple of that of the true values."""

    def sums(labels: np.ndarray, true: np.ndarray) -> np.ndarray:
        squares = [np.square(labels - true).sum(), np.square(labels).sum(), np.square(true).sum()]
        return np.array([len(true), labels.sum(), true.sum(), *squares, (labels * true).sum()])

    def figures(s: np.ndarray) -> np.ndarray:
        n, label, true, error, label2, true2, both = np.moveaxis(s, -1, 0)
        n = np.maximum(n, 1)
        spread, written = true2 - true**2 / n, label2 - label**2 / n
        spread, written = (np.where(x > 1e-9 * n, x, 0) for x in (spread, written))
        together = both - label * true / n
        return np.stack(
            [1 - _share(error, spread), _share(together, np.sqrt(spread * written)), np.sqrt(_share(written, spread))],
            -1,
        )

    return Measured(("r2", "pearson", "scale"), _added(episodes, sums), figures)


def macro_f1(episodes: Sequence[Sequence[Stretch]], num_classes: int) -> Measured:
    """`f1`: mean over the classes that occur, in labels or truth, of the F1 of each; classes int64 [N]."""

    def sums(labels: np.ndarray, true: np.ndarray) -> np.ndarray:
        counts = [np.bincount(x, minlength=num_classes) for x in (labels[labels == true], labels, true)]
        return np.concatenate(counts).astype(float)

    def figures(s: np.ndarray) -> np.ndarray:
        right, said, true = np.moveaxis(s.reshape(*s.shape[:-1], 3, num_classes), -2, 0)
        scores = _share(2 * right, said + true)
        occur = (~np.isnan(scores)).sum(-1)
        return _share(np.nansum(scores, -1), occur)[..., None]

    return Measured(("f1",), _added(episodes, sums), figures)


def onsets(episodes: Sequence[Sequence[Stretch]], collar: int) -> Measured:
    """`onset_f1_COLLAR`: F1 of the frames at which a press begins, bool [N]; undefined where none begins."""

    def sums(labels: np.ndarray, true: np.ndarray) -> np.ndarray:
        written, begun = begins(labels), begins(true)
        return np.array([matches(written, begun, collar), len(written) + len(begun)], float)

    return Measured((f"onset_f1_{collar}",), _added(episodes, sums), lambda s: _share(2 * s[..., :1], s[..., 1:]))


def begins(pressed: np.ndarray) -> np.ndarray:
    """Frames int64 [M] at which a press begins, of bool [N]."""
    return np.nonzero(pressed[1:] & ~pressed[:-1])[0] + 1


def matches(written: np.ndarray, true: np.ndarray, collar: int) -> int:
    """Number of onsets int64 [M] that lie within `collar` frames of a true one [K]; each is matched once."""
    free, hits = true.tolist(), 0
    for place in written.tolist():
        near = [other for other in free if abs(other - place) <= collar]
        if near:
            free.remove(min(near, key=lambda other: abs(other - place)))
            hits += 1
    return hits


def lags(episodes: Sequence[Sequence[Stretch]], most: int = LARGEST_LAG) -> Measured:
    """`lag`: frames by which the labels come late (negative: early) where their squared error is smallest."""

    def sums(labels: np.ndarray, true: np.ndarray) -> np.ndarray:
        inner = len(true) - 2 * most
        if inner < 1:
            return np.zeros(2 * most + 1)
        middle = true[most : most + inner]
        return np.array([np.square(labels[start : start + inner] - middle).sum() for start in range(2 * most + 1)])

    def figures(s: np.ndarray) -> np.ndarray:
        tells = np.ptp(s, -1) > 1e-9 * s.max(-1)
        return np.where(tells, s.argmin(-1) - float(most), np.nan)[..., None]

    return Measured(("lag",), _added(episodes, sums), figures)


def calibration(episodes: Sequence[Sequence[Stretch]]) -> Measured:
    """`ece`: expected calibration error in 15 bins; the pairs are confidences in [0, 1] and whether they are right."""

    def sums(confidence: np.ndarray, right: np.ndarray) -> np.ndarray:
        place = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
        weights = (np.ones(len(place)), confidence, right.astype(float))
        return np.concatenate([np.bincount(place, weight, CALIBRATION_BINS) for weight in weights])

    def figures(s: np.ndarray) -> np.ndarray:
        count, confidence, right = np.moveaxis(s.reshape(*s.shape[:-1], 3, CALIBRATION_BINS), -2, 0)
        return _share(np.abs(confidence - right).sum(-1), count.sum(-1))[..., None]

    return Measured(("ece",), _added(episodes, sums), figures)


def risk_coverage(
    confidence: Sequence[np.ndarray], error: Sequence[np.ndarray], right: Sequence[np.ndarray]
) -> Measured:
    """Mean error of the most confident frames, and accuracy if the others count as wrong, for each share kept.

    El-Yaniv and Wiener 2010, "On the Foundations of Noise-free Selective Classification". The confidence that divides
    the frames is that of the pooled episodes.

    Args:
        confidence: [N] of each episode.
        error: [N] of each episode.
        right: bool [N] of each episode, whether the frame is labelled correctly.

    Returns:
        `error_5`, `error_10`, ... `error_100`: by the percentage kept; `accuracy_5`, ...: right and kept, as a share of
        all frames.
    """
    pooled = np.concatenate([*confidence])
    rank = np.empty(len(pooled), int)
    rank[np.argsort(-pooled, kind="stable")] = np.arange(len(pooled))
    band = np.split(rank * NUM_BANDS // max(1, len(pooled)), np.cumsum([len(x) for x in confidence])[:-1])
    sums = np.stack([
        np.concatenate([np.bincount(place, weight, NUM_BANDS) for weight in (np.ones(len(place)), wrong, hit)])
        for place, wrong, hit in zip(band, error, (x.astype(float) for x in right), strict=True)
    ])  # fmt: skip

    def figures(s: np.ndarray) -> np.ndarray:
        count, wrong, hit = np.moveaxis(s.reshape(*s.shape[:-1], 3, NUM_BANDS).cumsum(-1), -2, 0)
        return np.concatenate([_share(wrong, count), _share(hit, count[..., -1:])], -1)

    kept = [100 * (place + 1) // NUM_BANDS for place in range(NUM_BANDS)]
    return Measured((*(f"error_{n}" for n in kept), *(f"accuracy_{n}" for n in kept)), sums, figures)


def rank_correlation(confidence: Sequence[np.ndarray], error: Sequence[np.ndarray]) -> Measured:
    """`rank_correlation`: Spearman's, of doubt and error; 1 where the error falls as the confidence [N] rises."""
    from scipy.stats import rankdata

    ends = np.cumsum([len(x) for x in confidence])[:-1]
    doubts, errors = (np.split(rankdata(np.concatenate([*x])), ends) for x in ([-each for each in confidence], error))
    ranks = regression([[pair] for pair in zip(doubts, errors, strict=True)])
    return Measured(("rank_correlation",), ranks.sums, lambda s: ranks.figures(s)[..., 1:2])


def _added(episodes: Sequence[Sequence[Stretch]], sums: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """Sums float64 [E, K] over the stretches of each episode, which has at least one."""
    return np.stack([np.sum([sums(*stretch) for stretch in episode], 0) for episode in episodes])
