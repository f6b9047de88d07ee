"""By how many frames recorded controls lag their picture, told by an inverse dynamics model.

A model's distribution of each frame is compared with the controls recorded some frames later or earlier; the lag is
where they fit best. The comparison is a likelihood that no single frame decides: log(p + FLOOR) of the recorded class.
Only a clear answer counts: the 95% interval from drawing the recordings' seconds again must be narrow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from racing_vpt.games.controls import Axis, ControlScheme
from racing_vpt.statistics import SEED

LARGEST_SHIFT = 12  # frames, either way
FLOOR = 0.05  # of a probability: a frame that is labelled wrongly with certainty counts 3 nats and no more
FEWEST_BLOCKS = 6  # of a second each
NARROW = 2.0  # frames: widest 95% interval of a clear answer
CLEAR = 3.0  # standard errors by which the best shift must fit better than distant ones
DISTANT = 4  # frames
EXACT = 1.0  # frames: how exact the method is; on a smooth driver it is late by 0.6 (`tests/README.md`)
RESAMPLES = 1000


@dataclass(frozen=True)
class Shift:
    """The lag of controls behind the picture.

    Args:
        frames: by which the controls come late (negative: early), to a fraction; meaningless if `unclear`.
        low: lower end of its 95% interval over seconds.
        high: upper end.
        unclear: why the lag cannot be told; empty if it can.
    """

    frames: float
    low: float
    high: float
    unclear: str

    def sentence(self, frames_per_second: float) -> str:
        """The finding in words."""
        if self.unclear:
            return f"cannot tell whether the controls are shifted: {self.unclear}"
        late, size = ("lag" if self.frames > 0 else "lead"), abs(self.frames)
        interval = f"95%: {self.low:+.1f} to {self.high:+.1f}"
        if size < EXACT:
            return f"the controls fit the picture, to within a frame ({self.frames:+.1f}; {interval})"
        time = f"{1000 * size / frames_per_second:.0f} ms"
        return f"these controls {late} the picture by {size:.1f} frames ({time}; {interval})"


def shift_fits(
    scheme: ControlScheme,
    probabilities: Mapping[str, Tensor],
    controls: Mapping[str, Tensor],
    stops: Mapping[str, float],
    block: int,
) -> np.ndarray:
    """How well each shift fits each block of a recording: sums of log-likelihoods, float64 [B, 2 * LARGEST_SHIFT + 1].

    Args:
        scheme: heads and controls.
        probabilities: the model's, float32 [N, classes] by head.
        controls: the recorded ones, float32 [N] by name.
        stops: value of an axis beyond which all look alike.
        block: frames of a block: a second.
    """
    shifts = np.arange(-LARGEST_SHIFT, LARGEST_SHIFT + 1)
    effective = {
        name: values.clamp(-stops.get(name, np.inf), stops.get(name, np.inf)) for name, values in controls.items()
    }
    classes = scheme.encode(effective)
    num_frames = len(next(iter(classes.values())))
    inner = np.arange(LARGEST_SHIFT, num_frames - LARGEST_SHIFT)
    fits = np.zeros((len(shifts), len(inner)))
    for name, head in scheme.heads.items():
        recorded = classes[name].cpu().numpy()
        if len(np.unique(recorded)) < 2:
            continue
        likely = probabilities[name].double().cpu().numpy()
        if isinstance(head, Axis) and name in stops:
            likely = _pooled(likely, head.table[:, 0].numpy(), stops[name])
        logs = np.log(likely + FLOOR)
        fits += np.stack([logs[inner, recorded[inner + shift]] for shift in shifts])
    blocks = max(0, len(inner)) // block
    return fits[:, : blocks * block].reshape(len(shifts), blocks, block).sum(-1).T


def shift_of(fits: Sequence[np.ndarray]) -> Shift:
    """The lag of recordings, of which `shift_fits` gives the blocks of each; of several together it is surer."""
    blocks = np.concatenate([*fits]) if fits else np.zeros((0, 1))
    if len(blocks) < FEWEST_BLOCKS:
        short = f"{len(blocks)} seconds are too short, {FEWEST_BLOCKS} or more are needed"
        return Shift(0.0, -np.inf, np.inf, short)
    total = blocks.sum(0)
    if np.ptp(total) == 0:
        return Shift(0.0, -np.inf, np.inf, "the controls never change")
    best = int(total.argmax())
    drawn = np.random.default_rng(SEED).multinomial(len(blocks), np.full(len(blocks), 1 / len(blocks)), RESAMPLES)
    low, high = np.quantile([_peak(each) for each in drawn @ blocks], [0.025, 0.975])
    distant = np.abs(np.arange(len(total)) - best) >= DISTANT
    better = blocks[:, best] - blocks[:, distant].mean(1)
    sure = better.sum() / max(1e-9, better.std(ddof=1) * len(blocks) ** 0.5)
    unclear = ""
    if best in (0, len(total) - 1):
        unclear = f"the best fit is at {LARGEST_SHIFT} frames or beyond, where the search ends"
    elif high - low > NARROW or sure < CLEAR:
        unclear = f"the model's labels fit many shifts alike (95%: {low:+.1f} to {high:+.1f} frames)"
    return Shift(_peak(total), float(low), float(high), unclear)


def _pooled(likely: np.ndarray, centres: np.ndarray, stop: float) -> np.ndarray:
    """Probabilities [N, classes] in which each class beyond a stop has that of all beyond it."""
    likely = likely.copy()
    for side in (-1, 1):
        beyond = centres * side >= stop
        likely[:, beyond] = likely[:, beyond].sum(1, keepdims=True)
    return likely


def _peak(fits: np.ndarray) -> float:
    """Shift at the top of the parabola through the best shift and its neighbours."""
    best = int(fits.argmax())
    if not 0 < best < len(fits) - 1:
        return float(best - LARGEST_SHIFT)
    before, top, after = fits[best - 1 : best + 2]
    bend = before - 2 * top + after
    return best - LARGEST_SHIFT + (0.5 * (before - after) / bend if bend else 0.0)
