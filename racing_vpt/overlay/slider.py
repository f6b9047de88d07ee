"""A mark that moves along a track: where its middle is in each frame, to a fraction of a pixel.

A mark is a short piece of colours that is found at another place in each frame, before a track whose colours at each
position stay; both are learned from the frames, by turns with the places.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from racing_vpt.overlay.colours import MOST_SURE, distance, precision_of, without_surroundings

ROUNDS = 8
REACH = 0.07  # of the track, to both sides of the mark's middle
TRUST = 4.0  # frames, as for bars
TRIMMED = 0.1
TELLING = 0.4  # of the mark's largest squared distance from the track, at which a part of it tells where it is
FAINT = 0.35  # of a mark's usual likelihood below which it is not there
OUTSIDE = -1e4  # log-likelihood ratio of a mark that is cut by an end of the track
NOT_THERE = 1e3  # misfit
DISTINCT = 2.5  # standard deviations between mark and track below which there is none


@dataclass(frozen=True)
class Slider:
    """Colours of a mark and its track.

    Args:
        mark: float32 [2 * R + 1, 3] around the middle of the mark.
        track: float32 [L, 3].
        precision: inverse covariance [3, 3] of what is left unexplained.
        share: of the surroundings in the colours, float32 [3].
        around: mean colour of the surroundings, float32 [3].
        distinct: standard deviations between mark and track where they differ most.
        usual: log-likelihood ratio of the mark in most frames.
        loops: the track is a circle.
    """

    mark: np.ndarray
    track: np.ndarray
    precision: np.ndarray
    share: np.ndarray
    around: np.ndarray
    distinct: float
    usual: float = 0.0
    loops: bool = False

    @property
    def moves(self) -> bool:
        """Whether there is a mark."""
        return self.distinct >= DISTINCT

    def gains(self, line: np.ndarray, beside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log-likelihood ratios of a mark by place [T, L], and distances from the track [T], of lines [T, L, 3]."""
        values = line - self.share * (beside - self.around)
        reach = len(self.mark) // 2
        off = distance(values, self.track, self.precision)
        gain = np.zeros(off.shape)
        apart = distance(self.mark, self.track.mean(0), self.precision)
        telling = apart >= TELLING * apart.max()
        for offset, colour, tells in zip(range(-reach, reach + 1), self.mark, telling, strict=True):
            if not tells:
                continue
            likely = np.clip((off - distance(values, colour, self.precision)) / 2, -MOST_SURE, MOST_SURE)
            gain += _moved(likely, -offset, self.loops)
        core = max((abs(int(place) - reach) for place in np.flatnonzero(telling)), default=0)
        if not self.loops and core and 2 * core < line.shape[1]:  # all of the mark that tells is on the track
            gain[:, :core], gain[:, -core:] = OUTSIDE, OUTSIDE
        return gain, off.sum(1)

    def read(self, line: np.ndarray, beside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Middles float64 [T] in pixels along the track, and misfits float64 [T], of lines [T, L, 3]."""
        gain, total = self.gains(line, beside)
        length = line.shape[1]
        best = gain.argmax(1)
        rows = np.arange(len(line))
        before, after = best - 1, best + 1
        if self.loops:
            before, after = before % length, after % length
        else:
            before, after = np.maximum(before, 0), np.minimum(after, length - 1)
        low, top, high = gain[rows, before], gain[rows, best], gain[rows, after]
        bend = low - 2 * top + high
        inner = (before != best) & (after != best) & (bend < 0)
        shift = np.where(inner, 0.5 * (low - high) / np.where(inner, bend, -1), 0)
        misfit = np.maximum(total - 2 * top, 0) / length
        misfit[top < FAINT * self.usual] += NOT_THERE
        return best + 0.5 + np.clip(shift, -0.5, 0.5), misfit


def fit_slider(line: np.ndarray, beside: np.ndarray, loops: bool = False) -> Slider:
    """Colours of a mark and its track from frames of a video.

    Args:
        line: colours float32 [T, L, 3] along the track.
        beside: colours beside it, of the same shape.
        loops: the track is a circle.
    """
    length = line.shape[1]
    reach = max(2, round(REACH * length))
    around = beside.reshape(-1, 3).mean(0)
    values, share = without_surroundings(line, beside, np.broadcast_to(line.mean(0), line.shape))
    apart = values - np.median(values, axis=1, keepdims=True)
    strange = np.sqrt((np.minimum(abs(apart), abs(apart - np.median(apart, 0)) + abs(apart) / 2) ** 2).sum(-1))
    summed = sum(_moved(strange, offset, loops) for offset in range(-(reach // 2), reach // 2 + 1))
    middles = np.asarray(summed).argmax(1)
    weight = np.asarray(summed).max(1)
    kept = weight >= np.quantile(weight, 0.3)
    positions, model = np.arange(length), None
    for _ in range(ROUNDS):
        relative = positions - middles[:, None]
        if loops:
            relative = (relative + length // 2) % length - length // 2
        free = (abs(relative) > reach) & kept[:, None]
        counts = free.sum(0)
        if not counts.sum():
            break
        sums = np.einsum("tl,tlc->lc", free.astype(np.float32), values, optimize=True)
        track = ((sums + TRUST * sums.sum(0) / counts.sum()) / (counts[:, None] + TRUST)).astype(np.float32)
        mark = np.stack([_mean_at(values, relative, offset, kept, track) for offset in range(-reach, reach + 1)])
        state = np.where((abs(relative) <= reach)[..., None], mark[np.clip(relative + reach, 0, 2 * reach)], track)
        values, share = without_surroundings(line, beside, state)
        left = (values - state)[kept].reshape(-1, 3)
        precision = precision_of(left[:: max(1, len(left) // 200_000)])
        gap = np.sqrt(distance(mark, track.mean(0), precision).max())
        model = Slider(mark, track, precision, share, around, float(gap), 0.0, loops)
        places, misfit = model.read(line, beside)
        middles = np.clip(np.floor(places).astype(int), 0, length - 1)
        kept = misfit <= np.quantile(misfit, 1 - TRIMMED)
    if model is None:
        still = line.mean(0)
        return Slider(still[: 2 * reach + 1], still, np.eye(3, dtype=np.float32), share, around, 0.0, 0.0, loops)
    usual = float(np.median(model.gains(line, beside)[0].max(1)))
    return replace(model, usual=usual)


def _mean_at(values: np.ndarray, relative: np.ndarray, offset: int, kept: np.ndarray, track: np.ndarray) -> np.ndarray:
    chosen = values[(relative == offset) & kept[:, None]]
    return chosen.mean(0) if len(chosen) else track.mean(0)


def _moved(values: np.ndarray, by: int, loops: bool) -> np.ndarray:
    """Values [T, L] moved by some positions to the right; zeros come in unless the line is a circle."""
    if loops or by == 0:
        return np.roll(values, by, axis=1)
    moved = np.zeros_like(values)
    if by > 0:
        moved[:, by:] = values[:, :-by]
    else:
        moved[:, :by] = values[:, -by:]
    return moved
