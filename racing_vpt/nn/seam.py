"""Measure of the jumps in imagined frames where a full cache was cleared."""

from __future__ import annotations

import torch
from torch import Tensor


def roughness(pictures: Tensor) -> Tensor:
    """Mean absolute second difference of pictures [T, ...] over time, float32 [T]; 0 for the first two.

    Small for steady motion of small objects.
    """
    x = pictures.float().flatten(1)
    second = (x[2:] - 2 * x[1:-1] + x[:-2]).abs().mean(1)
    return torch.cat([second.new_zeros(2), second])


def seam(jumps: Tensor, places: Tensor) -> float:
    """Mean of jumps [T] at marked frames, bool [T], relative to the mean elsewhere: 1 without a seam.

    Raises:
        ValueError: no frame is marked, or all are.
    """
    if not places.any() or places.all():
        raise ValueError(f"a seam needs some of {len(places)} frames marked, but {int(places.sum())} were given")
    return float(jumps[places].mean() / jumps[~places].mean().clamp(min=1e-12))
