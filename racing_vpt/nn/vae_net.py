"""The convolutional VAE of World Models.

Ha & Schmidhuber 2018 (arXiv:1803.10122), appendix A.1: 4,348,547 parameters at 64x64 pixels and 32 latent dimensions.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn

PIXELS = 64  # rows and columns; four strides of two reduce them to 2x2
LOG_VARIANCE = 10.0  # clamp, against overflow of the exponential


class Code(NamedTuple):
    """Gaussians float32 [..., latent]: means and logarithms of variances."""

    mean: Tensor
    log_variance: Tensor

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """A sample."""
        noise = torch.randn(self.mean.shape, generator=generator, device=self.mean.device, dtype=self.mean.dtype)
        return self.mean + (0.5 * self.log_variance).exp() * noise

    def divergence(self) -> Tensor:
        """Kullback-Leibler divergence from the unit Gaussian, nats, float32 [...]."""
        return -0.5 * (1 + self.log_variance - self.mean.square() - self.log_variance.exp()).sum(-1)


class VAENet(nn.Module):
    """Encoder and decoder.

    Args:
        latent: dimensions of a code.
    """

    def __init__(self, latent: int = 32) -> None:
        super().__init__()
        if latent < 1:
            raise ValueError(f"latent must be 1 or more, but {latent} was given")
        self.latent = latent
        widths = (3, 32, 64, 128, 256)
        convolutions: list[nn.Module] = []
        for before, after in pairwise(widths):
            convolutions += [nn.Conv2d(before, after, 4, stride=2), nn.ReLU()]
        self.encoder = nn.Sequential(*convolutions)
        self.mean, self.log_variance = nn.Linear(1024, latent), nn.Linear(1024, latent)
        self.unfold = nn.Linear(latent, 1024)
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(1024, 128, 5, stride=2),
            nn.ReLU(),
            nn.ConvTranspose2d(128, 64, 5, stride=2),
            nn.ReLU(),
            nn.ConvTranspose2d(64, 32, 6, stride=2),
            nn.ReLU(),
            nn.ConvTranspose2d(32, 3, 6, stride=2),
            nn.Sigmoid(),
        )

    def encode(self, frames: Tensor) -> Code:
        """Codes float32 [N, latent] of frames uint8 [N, 64, 64, 3]."""
        x = rearrange(frames, "n h w c -> n c h w").float() / 255
        x = rearrange(self.encoder(x), "n c h w -> n (c h w)")  # (N, 1024)
        mean, log_variance = self.mean(x).float(), self.log_variance(x).float()  # under bf16 autocast too
        return Code(mean, log_variance.clamp(-LOG_VARIANCE, LOG_VARIANCE))

    def decode(self, z: Tensor) -> Tensor:
        """Pictures float32 [N, 3, 64, 64] in [0, 1] of codes [N, latent]."""
        return self.decoder(rearrange(self.unfold(z), "n d -> n d 1 1")).float()

    def pictures(self, z: Tensor) -> Tensor:
        """Pictures uint8 [N, 64, 64, 3] of codes [N, latent]."""
        return rearrange(self.decode(z) * 255, "n c h w -> n h w c").round().clamp(0, 255).to(torch.uint8)
