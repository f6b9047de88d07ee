"""Whether recorded controls are shifted in time against their picture, told without a model of the game.

A change of the controls changes how the picture moves, at the next frame or a little later. Motion in 16 cells of small
pictures (Lucas and Kanade 1981) predicts the controls' changes by ridge regression, judged on parts that were left out;
the shift at which it predicts them best is the answer. Unlike `models/label_shift.py` it needs no inverse dynamics
model, but cannot tell a game's own delay from a recorder's, and wants minutes of driving.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

import cv2
import numpy as np

from racing_vpt.data.recording import Recording
from racing_vpt.statistics import SEED
from racing_vpt.types import Frame

LARGEST = 15  # frames, either way
MOST_FRAMES, MOST_EPISODES = 1000, 24  # that are looked at
GRID, SIDE = 4, 64  # cells of a row, pixels of the small picture
RIDGE, FOLDS, BLOCK, RESAMPLES = 3.0, 10, 50, 500
NARROW, CLEAR = (
    3,
    4.0,
)  # frames: widest 95% interval; standard errors by which the best shift must be better than others
FEWEST_BLOCKS = 2 * FOLDS
DISTANT = 4  # frames
LATE, EARLY = 1, 0.2  # frames, seconds: what is worth a remark; up to 0.2 s a game may take to answer


@dataclass
class LagMeter:
    """Gathers recordings with controls, and tells the lag that they have in common.

    Args:
        parts: motion float32 [T, 48] and changes of controls float64 [T, N], of each recording.
        rate: frames per second.
        names: their controls.
    """

    parts: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    rate: float = 0.0
    names: tuple[str, ...] = ()

    def add(self, recording: Recording) -> None:
        """Look at a recording, if there are not enough yet and it has controls like those before."""
        if len(self.parts) >= MOST_EPISODES or not recording.has_actions or recording.uneven:
            return
        controls = recording.controls()
        self.names, self.rate = self.names or tuple(controls), self.rate or recording.frames_per_second
        if tuple(controls) != self.names or recording.frames_per_second != self.rate:
            return
        video = recording.open_video()
        count = min(video.num_frames, MOST_FRAMES)
        frames = (frame for at in range(0, count, BLOCK) for frame in video.read(np.arange(at, min(at + BLOCK, count))))
        self.add_columns(motion_of(frames), np.stack(list(controls.values()), 1)[:count])

    def add_columns(self, motion: np.ndarray, controls: np.ndarray) -> None:
        """Add motion [T, 48] and controls [T, N] of an episode."""
        changes = np.diff(controls.astype(np.float64), axis=0, prepend=controls[:1])
        scale = 3 * (1.5 * np.median(np.abs(motion), 0) + 1e-6)
        eased = np.tanh((motion - np.median(motion, 0)) / scale)  # a cut of the film counts no more than a bend
        self.parts.append((eased - eased.mean(0), changes))

    def sentence(self) -> str:
        """The finding in words; empty if nothing was looked at."""
        if not self.parts:
            return ""
        found = lag_of(self.parts)
        if found is None:
            return "whether controls and picture are shifted in time cannot be told from so little or such motion"
        late, low, high = found
        time = f"{abs(late) / self.rate * 1000:.0f} ms"
        interval = f"95%: {low:+d} to {high:+d}"
        if low >= LATE:
            return f"the controls come {late} frames ({time}; {interval}) later than the picture shows them"
        if high <= -EARLY * self.rate:
            return (
                f"the picture answers {-late} frames ({time}; {interval}) after the controls: the game is slow, or "
                "they were recorded early"
            )
        return f"controls and picture fit in time, as far as can be told without a model ({late:+d} frames; {interval})"


def motion_of(frames: Iterable[Frame]) -> np.ndarray:
    """What moves from each frame to the next, float32 [T, 48]; row 0 is zeros.

    Motion right and down, pixels of the small picture, and change of brightness, in each of 4x4 cells.
    """
    rows, before = [], None
    for frame in islice(frames, MOST_FRAMES):
        small = cv2.cvtColor(cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
        grey = cv2.GaussianBlur(small, (0, 0), 1).astype(np.float32) / 255
        rows.append(_motion(before if before is not None else grey, grey))
        before = grey
    return np.array(rows, np.float32)


def lag_of(parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[int, int, int] | None:
    """Frames by which controls come late, and the ends of the 95% interval; None if that cannot be told."""
    fits = _fits(parts)
    if len(fits) < FEWEST_BLOCKS:
        return None
    best = int(fits.sum(0).argmax())
    draws = np.random.default_rng(SEED).multinomial(len(fits), np.full(len(fits), 1 / len(fits)), RESAMPLES)
    low, high = np.quantile((draws @ fits).argmax(1), [0.025, 0.975])
    distant = np.abs(np.arange(fits.shape[1]) - best) >= DISTANT
    better = fits[:, best] - fits[:, distant].mean(1)
    sure = better.sum() / max(1e-9, better.std(ddof=1) * len(better) ** 0.5)
    if best in (0, 2 * LARGEST) or high - low > NARROW or sure < CLEAR or fits[:, best].sum() <= 0:
        return None
    # a control changes the picture from its own frame to the next one: that is a lag of 0
    return tuple(1 - round(place - LARGEST) for place in (best, high, low))  # type: ignore[return-value]


def _motion(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Least squares of Lucas and Kanade in each cell, float32 [48]."""
    middle, change = (before + after) / 2, after - before
    down, right = np.gradient(middle)

    def cells(product: np.ndarray) -> np.ndarray:
        side = SIDE // GRID
        return product.reshape(GRID, side, GRID, side).sum((1, 3)).reshape(-1)

    xx, yy, xy = cells(right * right) + 0.01, cells(down * down) + 0.01, cells(right * down)
    xt, yt = cells(right * change), cells(down * change)
    size = xx * yy - xy**2
    brighter = cells(change) * (10 * GRID**2 / SIDE**2)
    return np.concatenate([(xy * yt - yy * xt) / size, (xy * xt - xx * yt) / size, brighter])


def _fits(parts: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """How much of the controls' changes each shift explains in each second or so, float64 [blocks, shifts]."""
    every = np.concatenate([changes for _, changes in parts])
    size = np.sqrt((every**2).mean(0))
    used = size > 1e-6
    edge = LARGEST + 1
    places = [
        (motion, changes[:, used] / size[used], np.arange(at, at + BLOCK))
        for motion, changes in parts
        for at in range(edge, len(motion) - edge - BLOCK + 1, BLOCK)
    ]
    if not used.any() or len(places) < FEWEST_BLOCKS:
        return np.zeros((0, 2 * LARGEST + 1))
    folds = np.arange(len(places)) * FOLDS // len(places)
    wanted = np.stack([changes[rows] for _, changes, rows in places])  # (blocks, BLOCK, N)
    fits = []
    for shift in range(-LARGEST, LARGEST + 1):
        seen = np.stack([motion[rows + shift] for motion, _, rows in places]).astype(np.float64)
        squares, products = seen.transpose(0, 2, 1) @ seen, seen.transpose(0, 2, 1) @ wanted
        ridge = RIDGE * np.trace(squares.sum(0)) / squares.shape[-1] * np.eye(squares.shape[-1])
        told = np.empty_like(wanted)
        for fold in range(FOLDS):
            out = folds == fold
            weights = np.linalg.solve(squares[~out].sum(0) + ridge, products[~out].sum(0))
            told[out] = seen[out] @ weights
        fits.append((wanted**2 - (wanted - told) ** 2).sum((1, 2)))
    return np.stack(fits, 1)
