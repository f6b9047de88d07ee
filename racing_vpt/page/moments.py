"""The moments of an episode that are worth a look: where a score is highest, each some seconds from the next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.signal import find_peaks

SECONDS = 0.3  # over which a score is averaged
APART = 2.0  # seconds between two moments


@dataclass(frozen=True)
class Moment:
    """A moment.

    Args:
        frame: its frame.
        value: the score there, averaged over `SECONDS`.
    """

    frame: int
    value: float


def highest(score: np.ndarray, frames_per_second: float, most: int) -> list[Moment]:
    """The moments at which a score [T] is highest, the highest first; none where it is 0 or less.

    Args:
        score: of each frame.
        frames_per_second: rate of the frames.
        most: number of moments at most.
    """
    smooth = uniform_filter1d(score.astype(np.float64), max(1, round(SECONDS * frames_per_second)), mode="nearest")
    padded = np.pad(smooth, 1, constant_values=-np.inf)  # so that the first and the last frame can be peaks
    peaks, _ = find_peaks(padded, distance=max(1, round(APART * frames_per_second)))
    frames = sorted((int(peak) - 1 for peak in peaks), key=lambda frame: -smooth[frame])
    return [Moment(frame, float(smooth[frame])) for frame in frames[:most] if smooth[frame] > 0]
