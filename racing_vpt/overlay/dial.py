"""A needle or a wheel that turns about the middle of its rectangle: by how many degrees in each frame.

In polar coordinates turning is moving along a circle. What turns is learned from all frames, each turned back by its
angle, and angles are found anew by correlation (the Fourier transform along the circle), by turns.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

ANGLES = 360
RADII = 12
INNER, OUTER = 0.2, 0.95  # of the radius: the hub tells no angle, the rim is cut
ROUNDS = 8
DISTINCT = 0.3  # correlation with what turns below which nothing turns


@dataclass(frozen=True)
class Dial:
    """What turns, and what stands still.

    Args:
        face: float32 [R, A, 3], what stands still.
        shape: float32 [R, A, 3], what turns, at angle 0.
        distinct: median correlation of the frames with it.
    """

    face: np.ndarray
    shape: np.ndarray
    distinct: float

    @property
    def moves(self) -> bool:
        """Whether there is anything that turns."""
        return self.distinct >= DISTINCT

    def read(self, polar: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Degrees clockwise float64 [T] within +-180, and misfits float64 [T], of polar pictures [T, R, A, 3]."""
        values = polar - self.face
        values = values - values.mean(2, keepdims=True)
        fits = _correlations(values, self.shape)
        best = fits.argmax(1)
        rows = np.arange(len(polar))
        low, top, high = fits[rows, (best - 1) % ANGLES], fits[rows, best], fits[rows, (best + 1) % ANGLES]
        bend = np.minimum(low - 2 * top + high, -1e-9)
        angle = best + np.clip(0.5 * (low - high) / bend, -0.5, 0.5)
        return (angle + 180) % 360 - 180, (1 - np.minimum(top, 1)) / np.maximum(top, 0.01)


def fit_dial(polar: np.ndarray) -> Dial:
    """What turns in polar pictures float32 [T, R, A, 3], each [radius, degrees clockwise from the top]."""
    face = np.median(polar[:: max(1, len(polar) // 400)], axis=0)
    values = polar - face
    values = values - values.mean(2, keepdims=True)
    start = int(np.abs(values).sum((1, 2, 3)).argmax())
    shape, turned = values[start], np.zeros(len(polar), int)
    for turn in range(ROUNDS):
        fits = _correlations(values, shape)
        turned = fits.argmax(1)
        good = fits.max(1) >= np.quantile(fits.max(1), 0.3)
        back = np.stack([np.roll(polar[index], -turned[index], axis=1) for index in np.flatnonzero(good)])
        aligned = np.median(back[:: max(1, len(back) // 400)], axis=0)
        if turn < ROUNDS - 1:
            shape = aligned - aligned.mean(1, keepdims=True)
            if turn:  # the face is what is left when that which turns is taken away
                drawn = np.stack([np.roll(shape, angle, axis=1) for angle in turned[:: max(1, len(polar) // 400)]])
                face = np.median(polar[:: max(1, len(polar) // 400)] - drawn, axis=0)
                values = polar - face
                values = values - values.mean(2, keepdims=True)
    fits = _correlations(values, shape).max(1)
    return Dial(face, shape, float(np.median(fits)) if np.ptp(turned) > 1 else 0.0)


def polar_of(crops: np.ndarray, inner: tuple[int, int, int, int]) -> np.ndarray:
    """Polar pictures float32 [T, R, A, 3] about the middle of a dial, by radius and degrees clockwise from the top."""
    top, bottom, left, right = inner
    middle = ((top + bottom - 1) / 2, (left + right - 1) / 2)
    angles = np.deg2rad(np.arange(ANGLES) * 360 / ANGLES)
    shares = np.linspace(INNER, OUTER, RADII)[:, None]
    down = (middle[0] - shares * (bottom - top) / 2 * np.cos(angles)).astype(np.float32)
    across = (middle[1] + shares * (right - left) / 2 * np.sin(angles)).astype(np.float32)
    return np.stack(
        [cv2.remap(each, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for each in crops]
    )


def _correlations(values: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """Correlations [T, A] of pictures [T, R, A, 3] with a shape [R, A, 3] that is turned by each angle."""
    spectrum = np.fft.rfft(values, axis=2) * np.conj(np.fft.rfft(shape, axis=1))
    products = np.fft.irfft(spectrum.sum((1, 3)), n=ANGLES, axis=1)
    return products / np.maximum(np.sqrt((values**2).sum((1, 2, 3)))[:, None] * np.sqrt((shape**2).sum()), 1e-6)
