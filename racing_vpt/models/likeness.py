"""Whether a video is like the training data: Mahalanobis distance of what a model measures in it.

Lee et al. 2018, "A Simple Unified Framework for Detecting Out-of-Distribution Samples" (arXiv:1807.03888), with
statistics of the measured senses and of the readers' agreement in place of a layer's features: the confidence of a
softmax alone is as high on another game as on a badly encoded video of this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

SHRINK = 0.05  # of the covariance towards its diagonal's mean: a hundred videos, some fifty numbers
HALF = 0.25  # share of the usual distance beyond it at which the likeness is a half
FEWEST = 32  # videos to fit to
EVERY = 4  # pixels: rows and columns of the view whose mean brightness is kept
LARGEST = 50.0  # of a measurement, in normalized units


class Prediction(NamedTuple):
    """What an IDM says of a batch of windows.

    Args:
        probabilities: calibrated, float32 [B, T, classes] by head.
        likeness: float32 [B], from 0 to 1, how like its training data each window is; None: not known.
    """

    probabilities: dict[str, Tensor]
    likeness: Tensor | None


class Likeness(nn.Module):
    """How like the training data a video is, from 1 (usual) to 0.

    Args:
        width: numbers of a video, D.
    """

    mean: Tensor
    root: Tensor
    usual: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("root", torch.zeros(width, width))  # of the inverse covariance
        self.register_buffer("usual", torch.zeros(()))  # distance below which 99% of the training videos lie; 0: unset

    @property
    def fitted(self) -> bool:
        """Whether it was fitted."""
        return bool(self.usual > 0)

    def fit(self, vectors: Tensor) -> None:
        """Take vectors float32 [N, D] as the usual ones; does nothing with fewer than `FEWEST`."""
        if len(vectors) < FEWEST:
            return
        vectors = vectors.double()
        spread = torch.cov(vectors.T)
        floor = SHRINK * spread.diagonal().mean() + 1e-4
        spread = (1 - SHRINK) * spread + floor * torch.eye(len(spread), device=spread.device)
        self.mean.copy_(vectors.mean(0))
        self.root.copy_(torch.linalg.cholesky(torch.linalg.inv(spread)).T)
        self.usual.copy_(self.distance(vectors.float()).quantile(0.99))

    def distance(self, vectors: Tensor) -> Tensor:
        """Mahalanobis distance float32 [N] of vectors [N, D]."""
        return torch.linalg.vector_norm((vectors - self.mean) @ self.root.T, dim=-1)

    def forward(self, vectors: Tensor) -> Tensor:
        """Likeness float32 [N] of vectors [N, D]: 1 up to the usual distance, a half `HALF` beyond it, then near 0."""
        beyond = (self.distance(vectors) / self.usual - 1).clamp(min=0) / HALF
        return torch.exp2(-beyond.square())


def vector_width(height: int, width: int, num_motion: int, heads: int, readers: int) -> int:
    """Numbers D of `video_vector`."""
    return -(-height // EVERY) * -(-width // EVERY) + 3 + 2 * num_motion + heads * (2 * readers - 1)


def video_vector(light: Tensor, motion: Tensor, read: Mapping[str, Mapping[str, Tensor]]) -> Tensor:
    """Measurements float32 [D] of a video: brightness and texture of its view, motion, and the readers' agreement.

    Args:
        light: normalized log luminance of the view, float32 [T, h, w].
        motion: normalized motion, float32 [T, M].
        read: logits float32 [T, classes] by reader and head.
    """
    rough = (light[:, 1:] - light[:, :-1]).abs().mean()
    flicker = (light[1:] - light[:-1]).abs().mean()
    numbers = [light.mean(0)[::EVERY, ::EVERY].flatten(), light.std(0, correction=0).mean()[None], rough[None]]
    numbers += [flicker[None], motion.abs().mean(0), motion.std(0, correction=0)]
    for head in next(iter(read.values())):
        logs = [heads[head].log_softmax(-1) for heads in read.values()]
        numbers += [-(log.exp() * log).sum(-1).mean()[None] for log in logs]
        pairs = pairwise(logs)
        numbers += [(one.exp() * (one - two)).sum(-1).mean().clamp(max=20)[None] for one, two in pairs]
    return torch.cat(numbers).nan_to_num(0.0).clamp(-LARGEST, LARGEST)
