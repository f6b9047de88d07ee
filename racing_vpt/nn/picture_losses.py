"""Distances between pictures: PSNR, a perceptual loss, and the losses of a discriminator.

Perceptual: Zhang et al. 2018 (arXiv:1801.03924), with unit-length features in each layer; any stack of layers can take
the place of a downloaded VGG. Adversarial: VQGAN, Esser et al. 2021 (arXiv:2012.09841), section 3.1: a small
discriminator of patches, with hinge losses.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def log_error(pictures: Tensor, truth: Tensor, most: float = 100.0) -> Tensor:
    """Decimal logarithm of the mean squared error [N] of pictures [N, ...], at least that of a PSNR of `most` dB."""
    error = (pictures - truth).square().flatten(1).mean(1)
    return error.clamp(min=10 ** (-most / 10)).log10()


def psnr(pictures: Tensor, truth: Tensor, most: float = 100.0) -> Tensor:
    """Peak signal-to-noise ratio [N] in dB of pictures float [N, ...] with values in [0, 1]; at most `most`."""
    return -10 * log_error(pictures, truth, most)


class PerceptualLoss(nn.Module):
    """Mean squared distance of unit-length features, over positions and layers.

    Args:
        layers: applied one after the other; the first takes pictures [N, 3 * repeat, H, W] in [0, 1].
        repeat: copies of the picture along the channels, for networks that take several frames.
    """

    def __init__(self, layers: Iterable[nn.Module], repeat: int = 1) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers).requires_grad_(False).eval()
        self.repeat = repeat
        if not self.layers:
            raise ValueError("a perceptual loss needs at least one layer of features, got none")

    def features(self, pictures: Tensor) -> list[Tensor]:
        """Unit-length features [N, C, h, w] of each layer."""
        x, found = pictures.repeat(1, self.repeat, 1, 1), []
        for layer in self.layers:
            x = layer(x)
            found.append(F.normalize(x.float(), dim=1))
        return found

    def forward(self, pictures: Tensor, truth: Tensor) -> Tensor:
        """Loss, a scalar, of pictures and truth float [N, 3, H, W] in [0, 1]; no gradient flows to the truth."""
        with torch.no_grad():
            wanted = self.features(truth)
        distances = [(a - b).square().sum(1).mean() for a, b in zip(self.features(pictures), wanted, strict=True)]
        return torch.stack(distances).mean()

    def train(self, mode: bool = True) -> PerceptualLoss:
        """Stay in evaluation mode."""
        return super().train(False)


class PatchDiscriminator(nn.Sequential):
    """Logits [N, 1, h, w], high where patches of pictures [N, 3, H, W] in [0, 1] look real.

    Args:
        channels: channels of the first layer; each following layer has twice as many.
        layers: number of layers of stride 2.
    """

    def __init__(self, channels: int = 32, layers: int = 3) -> None:
        found: list[nn.Module] = []
        before = 3
        for index in range(layers):
            after = channels * 2**index
            found += [nn.Conv2d(before, after, 4, stride=2, padding=1, bias=index == 0)]
            found += [nn.GroupNorm(1, after)] if index else []
            found += [nn.LeakyReLU(0.2)]
            before = after
        super().__init__(*found, nn.Conv2d(before, 1, 3, padding=1))


def discriminator_loss(discriminator: nn.Module, truth: Tensor, pictures: Tensor) -> Tensor:
    """Hinge loss of the discriminator on real and reconstructed pictures; no gradient flows to these."""
    real, made = discriminator(truth), discriminator(pictures.detach())
    return 0.5 * (F.relu(1 - real).mean() + F.relu(1 + made).mean())


def generator_loss(discriminator: nn.Module, pictures: Tensor) -> Tensor:
    """Adversarial loss of whatever makes the pictures."""
    return -discriminator(pictures).mean()
