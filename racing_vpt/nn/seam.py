"""Where a memory that is emptied shows in what is imagined: jumps at the frames after it."""

from __future__ import annotations

import torch
from torch import Tensor


def roughness(pictures: Tensor) -> Tensor:
    """How far each frame is from where the two before it were heading, float32 [T]; the first two are 0.

    Mean absolute second difference over all numbers of pictures [T, ...]; steady motion of small things is small.
    """
    x = pictures.float().flatten(1)
    second = (x[2:] - 2 * x[1:-1] + x[:-2]).abs().mean(1)
    return torch.cat([second.new_zeros(2), second])


def seam(jumps: Tensor, places: Tensor) -> float:
    """Mean of jumps [T] at the places bool [T], by their mean elsewhere: 1 where there is no seam.

    Raises:
        ValueError: there is no such place, or nothing else.
    """
    if not places.any() or places.all():
        raise ValueError(f"a seam lies at some of {len(places)} frames, but {int(places.sum())} were given")
    return float(jumps[places].mean() / jumps[~places].mean().clamp(min=1e-12))
