"""A bar that grows along a line: where its end is in each frame, to a fraction of a pixel.

Unsupervised: two colours per position, lit and unlit, are found by expectation maximisation over frames, in which a
frame's end is the one that makes its line most likely. Any gradient, gap or text in the bar is part of those colours.
"""

from __future__ import annotations

import numpy as np

from racing_vpt.games.overlay import Lit
from racing_vpt.overlay.colours import (
    MOST_SURE,
    TwoColours,
    distance,
    main_direction,
    precision_of,
    two_levels,
    without_surroundings,
)

ROUNDS = 8
TRUST = 4.0  # frames that a position needs before its own colours outweigh those of its neighbours
NEAR_END = 3  # pixels around the end that tell its fraction
TRIMMED = 0.1  # share of frames with the worst fit, which do not teach the colours
DISTINCT = 2.5  # standard deviations between lit and unlit below which nothing is lit


class Bar(TwoColours):
    """A bar that grows."""

    LEAST_DISTINCT = DISTINCT

    def read(self, line: np.ndarray, beside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ends float64 [T] in pixels from where the bar grows, and misfits float64 [T], of lines [T, L, 3]."""
        values = self.clean(line, beside)
        off, on = distance(values, self.unlit, self.precision), distance(values, self.lit, self.precision)
        ends = _ends(off, on)
        gap = self.lit - self.unlit
        scaled = gap @ self.precision
        lit_share = ((values - self.unlit) * scaled).sum(-1) / np.maximum((gap * scaled).sum(-1), 1e-6)
        known = (gap * scaled).sum(-1) > 1
        positions = np.arange(line.shape[1])
        near = np.abs(positions + 0.5 - ends[:, None]) <= NEAR_END
        steps = (positions < ends[:, None]).astype(np.float64)
        soft = np.where(near & known, np.clip(lit_share, 0, 1), steps)
        misfit = np.where(near, 0, np.where(steps > 0.5, on, off)).sum(1) / np.maximum((~near).sum(1), 1)
        return soft.sum(1), misfit


def fit_bar(line: np.ndarray, beside: np.ndarray, lit: Lit | None) -> Bar:
    """Colours of a bar from frames of a video.

    Args:
        line: colours float32 [T, L, 3] along it, from where it grows.
        beside: colours beside it, of the same shape.
        lit: how lit differs from unlit; None: lit is what is seen more often where it grows from.
    """
    around = beside.reshape(-1, 3).mean(0)
    still = np.broadcast_to(line.mean(0), line.shape)
    values, share = without_surroundings(line, beside, still)
    direction = main_direction((values - np.median(values, 0)).reshape(-1, 3)[:: max(1, values.size // 600_000)])
    level = values @ direction
    threshold, distinct = two_levels((level - _static(level)).ravel())
    bright = level - _static(level) > threshold
    first, last = bright[:, : max(1, bright.shape[1] // 4)].mean(), bright[:, -max(1, bright.shape[1] // 4) :].mean()
    sign = (1 if lit == "brighter" else -1) if lit else (1 if first >= last else -1)
    toward = np.clip((level - _static(level) - threshold) * sign, -40, 40)
    ends = _ends(np.maximum(toward, 0), np.maximum(-toward, 0))
    positions, kept = np.arange(line.shape[1]), np.ones(len(line), bool)
    model = None
    for _ in range(ROUNDS):
        clear = np.abs(positions + 0.5 - ends[:, None]) > 1
        on = (positions < ends[:, None]) & clear & kept[:, None]
        off = (positions >= ends[:, None]) & clear & kept[:, None]
        lit_colours, unlit_colours = _means(values, on), _means(values, off)
        if lit_colours is None or unlit_colours is None:
            break
        state = np.where((positions < ends[:, None])[..., None], lit_colours, unlit_colours)
        values, share = without_surroundings(line, beside, state)
        apart = (values - state)[(on | off)]
        precision = precision_of(apart[:: max(1, len(apart) // 200_000)])
        gaps = np.sqrt(distance(lit_colours, unlit_colours, precision))
        model = Bar(lit_colours, unlit_colours, precision, share, around, float(np.median(gaps)))
        ends, misfit = model.read(line, beside)
        kept = misfit <= np.quantile(misfit, 1 - TRIMMED)
    if model is None or distinct < 1:
        level_colours = line.mean(0)
        return Bar(level_colours, level_colours, np.eye(3, dtype=np.float32), share, around, 0.0)
    return model


def _ends(off: np.ndarray, on: np.ndarray) -> np.ndarray:
    """The likeliest ends int [T] by distances [T, L] from the unlit and the lit colours."""
    gain = np.clip((off - on) / 2, -MOST_SURE, MOST_SURE)
    sums = np.concatenate([np.zeros((len(gain), 1)), np.cumsum(gain, 1)], 1)
    return sums.argmax(1).astype(np.float64)


def _static(level: np.ndarray) -> np.ndarray:
    """What stands still in levels [T, L]: the middle of the extremes of each position, where it changes at all."""
    low, high = np.quantile(level, [0.02, 0.98], axis=0)
    changes = high - low
    middle = (low + high) / 2
    return middle if (changes > 0.5 * changes.max()).all() else np.full_like(middle, np.median(middle))


def _means(values: np.ndarray, chosen: np.ndarray) -> np.ndarray | None:
    """Mean colour [L, 3] of the chosen frames [T, L] by position, drawn to the mean of all where there are few."""
    counts = chosen.sum(0)
    if not counts.sum():
        return None
    sums = np.einsum("tl,tlc->lc", chosen.astype(np.float32), values, optimize=True)
    return ((sums + TRUST * sums.sum(0) / counts.sum()) / (counts[:, None] + TRUST)).astype(np.float32)
