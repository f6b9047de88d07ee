"""Separating what a display draws from the picture that shines through it.

Colours of a display are normal around the mean of each state; what the surroundings predict of them (a semi-transparent
display changes with the picture behind it) is subtracted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

LEAST_NOISE = 2.0  # grey levels: less is not told from rounding and compression
MOST_SURE = 40.0  # log-likelihood of a pixel that no single one exceeds
BRIGHTNESS = np.array([0.299, 0.587, 0.114], np.float32)


def without_surroundings(values: np.ndarray, beside: np.ndarray, means: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Colours without what the surroundings predict of their deviation from `means`.

    Args:
        values: float32 [..., 3].
        beside: colours of the surroundings, of the same shape.
        means: of the state that each is in, same shape.

    Returns:
        The colours, and the share of the surroundings in each channel, float32 [3].
    """
    around = beside - beside.reshape(-1, 3).mean(0)
    axes = tuple(range(values.ndim - 1))
    share = ((values - means) * around).sum(axes) / np.maximum((around**2).sum(axes), 1e-6)
    share = np.clip(share, 0, 1).astype(np.float32)
    return values - share * around, share


def precision_of(residuals: np.ndarray) -> np.ndarray:
    """Inverse covariance [3, 3] of residuals [N, 3], regularised by the least noise."""
    covariance = residuals.T @ residuals / max(1, len(residuals)) + np.eye(3) * LEAST_NOISE**2
    return np.linalg.inv(covariance).astype(np.float32)


def distance(values: np.ndarray, means: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """Squared Mahalanobis distances [...] of values [..., 3] from means."""
    apart = values - means
    return np.einsum("...i,ij,...j->...", apart, precision, apart, optimize=True)


def main_direction(values: np.ndarray) -> np.ndarray:
    """Unit vector [3] along which values [N, 3] vary most, pointing to the brighter side."""
    centred = values - values.mean(0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    direction = vectors[:, -1].astype(np.float32)
    return direction if direction @ BRIGHTNESS >= 0 else -direction


def two_levels(values: np.ndarray) -> tuple[float, float]:
    """Otsu's threshold of values [N], and the distance of the two sides' means in their own standard deviations."""
    ordered = np.sort(values[:: max(1, len(values) // 100_000)].astype(np.float64))
    count = len(ordered)
    if count < 4 or ordered[0] == ordered[-1]:
        return float(ordered[-1]) if count else 0.0, 0.0
    sums = np.cumsum(ordered)
    below = np.arange(1, count)
    gap = (sums[-1] - sums[:-1]) / (count - below) - sums[:-1] / below
    best = int((below * (count - below) * gap**2).argmax())
    low, high = ordered[: best + 1], ordered[best + 1 :]
    spread = np.sqrt((low.var() * len(low) + high.var() * len(high)) / count + LEAST_NOISE**2 / 4)
    return float((low.mean() + high.mean()) / 2), float((high.mean() - low.mean()) / spread)


@dataclass(frozen=True)
class TwoColours:
    """What is lit or unlit at each position or cell.

    Args:
        lit: float32 [L, 3] by position from where a bar grows, or by cell of a key.
        unlit: float32 [L, 3].
        precision: inverse covariance [3, 3] of what is left unexplained.
        share: of the surroundings in the colours, float32 [3].
        around: mean colour of the surroundings, float32 [3].
        distinct: standard deviations between lit and unlit.
    """

    LEAST_DISTINCT: ClassVar[float]  # below it nothing is ever lit

    lit: np.ndarray
    unlit: np.ndarray
    precision: np.ndarray
    share: np.ndarray
    around: np.ndarray
    distinct: float

    @property
    def moves(self) -> bool:
        """Whether anything is ever lit."""
        return self.distinct >= self.LEAST_DISTINCT

    def clean(self, colours: np.ndarray, beside: np.ndarray) -> np.ndarray:
        """Colours [T, L, 3] without what the surroundings of the same shape add to them."""
        return colours - self.share * (beside - self.around)
