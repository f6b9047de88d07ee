"""A key that lights up: whether it is lit in each frame."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from racing_vpt.games.overlay import Lit
from racing_vpt.overlay.colours import (
    TwoColours,
    distance,
    main_direction,
    precision_of,
    two_levels,
    without_surroundings,
)

ROUNDS = 6
CELLS = 3  # a side: a key is looked at in this many rows and columns
DISTINCT = 3.0  # standard deviations between the two states below which it never lights up


class Key(TwoColours):
    """A key that lights up."""

    LEAST_DISTINCT = DISTINCT

    def read(self, cells: np.ndarray, beside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Whether it is lit float64 [T], and misfits float64 [T], of cells [T, C, 3]."""
        values = self.clean(cells, beside)
        off, on = (distance(values, means, self.precision).mean(1) for means in (self.unlit, self.lit))
        return (on < off).astype(np.float64), np.minimum(on, off)


def fit_key(cells: np.ndarray, beside: np.ndarray, lit: Lit | None) -> Key:
    """Colours of a key from frames of a video.

    Args:
        cells: colours float32 [T, C, 3] of parts of it.
        beside: colours beside it, of the same shape.
        lit: how lit differs from unlit; None: it is brighter.
    """
    around = beside.reshape(-1, 3).mean(0)
    values, share = without_surroundings(cells, beside, np.broadcast_to(cells.mean(0), cells.shape))
    direction = main_direction((values - values.mean(0)).reshape(-1, 3))
    level = ((values - values.mean(0)) @ direction).mean(1)
    threshold, distinct = two_levels(level)
    on = (level > threshold) == (lit != "darker")
    model = Key(cells.mean(0), cells.mean(0), np.eye(3, dtype=np.float32), share, around, 0.0)
    for _ in range(ROUNDS):
        if not 0 < on.sum() < len(on):
            return model
        means = np.where(on[:, None, None], values[on].mean(0), values[~on].mean(0))
        values, share = without_surroundings(cells, beside, means)
        lit_colours, unlit_colours = values[on].mean(0), values[~on].mean(0)
        state = np.where(on[:, None, None], lit_colours, unlit_colours)
        precision = precision_of((values - state).reshape(-1, 3))
        model = Key(lit_colours, unlit_colours, precision, share, around, distinct)
        on = model.read(cells, beside)[0] > 0.5
    return model


def cells_of(crops: np.ndarray, inner: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Mean colours of the cells of a key float32 [T, C, 3], and of what is around it, of the same shape."""
    top, bottom, left, right = inner
    rows = np.linspace(top, bottom, CELLS + 1).round().astype(int)
    columns = np.linspace(left, right, CELLS + 1).round().astype(int)
    cells = [
        crops[:, up : max(down, up + 1), west : max(east, west + 1)].mean((1, 2))
        for up, down in pairwise(rows)
        for west, east in pairwise(columns)
    ]
    outside = np.ones(crops.shape[1:3], bool)
    outside[top:bottom, left:right] = False
    around = crops[:, outside].mean(1) if outside.any() else np.zeros((len(crops), 3), np.float32)
    values = np.stack(cells, 1)
    return values, np.repeat(around[:, None], values.shape[1], 1)
