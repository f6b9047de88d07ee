"""Quantizers: the bottleneck of a discrete autoencoder.

`VectorQuantizer`: van den Oord et al. 2017 (arXiv:1711.00937), appendix A.1. The codebook is updated by
exponential moving averages; unused codes are reset to features. `ScalarQuantizer`: Mentzer et al. 2023
(arXiv:2309.15505), which rounds a few numbers and has no codebook whose codes could die. IRIS (arXiv:2209.00588) learns
its codebook by gradients; moving averages need no second loss, and unused codes are revived.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor, distributed, nn
from torch.nn import functional as F


class Quantized(NamedTuple):
    """Codes float32 [..., D] (straight-through gradients), tokens int64 [...], and the commitment loss, a scalar."""

    codes: Tensor
    tokens: Tensor
    commitment: Tensor


class VectorQuantizer(nn.Module):
    """Replaces each feature by its nearest code.

    Under DDP the codebook is updated with the rows of all processes; the first process decides where codes are revived,
    because DDP broadcasts its buffers at the next step.

    Args:
        vocabulary: number of codes.
        width: D, dimensions of a code.
        decay: share of themselves that the moving averages keep at a step.
        revive_after: steps without use after which a code is reset to a feature of the batch; 0: never. The feature is
            sampled by its squared distance from its code: most patches of a road look alike, and uniformly sampled
            codes would be copies of each other.
    """

    codebook: Tensor
    counts: Tensor
    sums: Tensor
    begun: Tensor
    idle: Tensor

    def __init__(self, vocabulary: int = 512, width: int = 512, decay: float = 0.99, revive_after: int = 20) -> None:
        super().__init__()
        if min(vocabulary, width) < 1 or not 0 <= decay < 1 or revive_after < 0:
            raise ValueError(
                "vocabulary and width must be at least 1, revive_after at least 0 and decay in [0, 1), but they are "
                f"{vocabulary}, {width}, {revive_after} and {decay}"
            )
        self.vocabulary, self.width, self.decay, self.revive_after = vocabulary, width, decay, revive_after
        self.register_buffer("codebook", torch.randn(vocabulary, width) / width**0.5)
        self.register_buffer("counts", torch.zeros(vocabulary))
        self.register_buffer("sums", torch.zeros(vocabulary, width))
        self.register_buffer("idle", torch.zeros(vocabulary, dtype=torch.int64))  # steps since a code was used
        self.register_buffer("begun", torch.zeros((), dtype=torch.bool))

    def forward(self, features: Tensor) -> Quantized:
        """Quantize features float [..., D]; in training mode, update the codebook."""
        flat = features.detach().float().flatten(0, -2)  # (N, D)
        if self.training and not self.begun:
            self.codebook.copy_(flat[torch.randint(len(flat), (self.vocabulary,), device=flat.device)])
            self.begun.fill_(True)
        tokens = nearest(flat, self.codebook)
        codes = self.lookup(tokens).view(features.shape)  # before the codebook is updated
        if self.training:
            self.follow(flat, tokens, (flat - codes.flatten(0, -2)).square().sum(1))
        commitment = F.mse_loss(features.float(), codes)
        straight = features + (codes - features).detach()
        return Quantized(straight, tokens.view(features.shape[:-1]), commitment)

    def lookup(self, tokens: Tensor) -> Tensor:
        """Codes [..., D] of tokens [...]."""
        return F.embedding(tokens, self.codebook)

    @torch.no_grad()
    def follow(self, flat: Tensor, tokens: Tensor, errors: Tensor) -> None:
        """Move each code towards the mean of the features [N, D] assigned to it, and revive unused codes.

        Args:
            flat: float32 [N, D].
            tokens: int64 [N].
            errors: float32 [N], squared distances of the features from their codes.
        """
        new_counts = torch.bincount(tokens, minlength=self.vocabulary).float()
        new_sums = torch.zeros_like(self.sums).index_add_(0, tokens, flat)
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(new_counts)
            distributed.all_reduce(new_sums)
        if not self.counts.any():  # averages start from the first batch
            self.counts.copy_(new_counts)
            self.sums.copy_(new_sums)
        self.counts.lerp_(new_counts, 1 - self.decay)
        self.sums.lerp_(new_sums, 1 - self.decay)
        alike = self.counts.sum() / self.vocabulary
        self.idle.copy_(torch.where(new_counts > 0, 0, self.idle + 1))
        dead = (self.idle >= self.revive_after) & (self.revive_after > 0)
        self.idle.copy_(torch.where(dead, 0, self.idle))
        drawn = flat[torch.multinomial(errors + 1e-12, self.vocabulary, replacement=True)]
        credit = 0.1 * alike  # little, so that the first features assigned to it decide where it goes
        self.counts.copy_(torch.where(dead, credit, self.counts))
        self.sums.copy_(torch.where(dead[:, None], drawn * credit, self.sums))
        known = self.counts > 1e-6 * alike
        self.codebook.copy_(
            torch.where(known[:, None], self.sums / self.counts.clamp(min=1e-12)[:, None], self.codebook)
        )


class ScalarQuantizer(nn.Module):
    """Finite scalar quantization: each of a few numbers is rounded to one of its levels.

    Args:
        levels: levels of each number; the vocabulary is their product.
        width: D of the features; linear layers map to the few numbers and back.
    """

    places: Tensor
    table: Tensor

    def __init__(self, levels: tuple[int, ...] = (8, 8, 8), width: int = 512) -> None:
        super().__init__()
        if not levels or min(levels) < 2:
            raise ValueError(f"levels must be 2 or more for each number, but {levels} was given")
        self.vocabulary, self.width, self.levels = prod(levels), width, tuple(levels)
        self.down, self.up = nn.Linear(width, len(levels)), nn.Linear(len(levels), width)
        highest = torch.tensor(levels) - 1
        places = torch.tensor([prod(levels[:index]) for index in range(len(levels))])
        self.register_buffer("places", places, persistent=False)
        grid = torch.arange(self.vocabulary)[:, None] // places % torch.tensor(levels)
        self.register_buffer("table", 2 * grid / highest - 1, persistent=False)  # (vocabulary, numbers) in [-1, 1]

    def forward(self, features: Tensor) -> Quantized:
        """Quantize features float [..., D]."""
        bounded = self.down(features).float().tanh()  # (..., numbers)
        highest = torch.tensor(self.levels, device=bounded.device) - 1
        rounded = ((bounded + 1) / 2 * highest).round()
        tokens = (rounded.long() * self.places).sum(-1)
        straight = bounded + (2 * rounded / highest - 1 - bounded).detach()
        return Quantized(self.up(straight.to(features.dtype)), tokens, features.new_zeros((), dtype=torch.float32))

    def lookup(self, tokens: Tensor) -> Tensor:
        """Codes [..., D] of tokens [...]."""
        return self.up(F.embedding(tokens, self.table))


def nearest(features: Tensor, codes: Tensor) -> Tensor:
    """Tokens int64 [...]: index of the code [vocabulary, D] nearest to each feature [..., D], all float32."""
    with torch.autocast(features.device.type, enabled=False):  # codes are closer to each other than bf16 resolves
        distance = codes.square().sum(1) - 2 * features @ codes.T  # (..., vocabulary), up to a constant
    return distance.argmin(-1)


def usage(tokens: Tensor, vocabulary: int) -> Tensor:
    """Counts float32 [vocabulary] of each code in tokens int64 [...]."""
    return torch.bincount(rearrange(tokens, "... -> (...)"), minlength=vocabulary).float()


def perplexity(counts: Tensor) -> Tensor:
    """Perplexity of counts [vocabulary]: the exponential of their entropy."""
    shares = counts / counts.sum().clamp(min=1)
    return (-torch.xlogy(shares, shares).sum()).exp()
