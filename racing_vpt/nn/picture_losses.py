"""How far one picture is from another: by features of a network that knows pictures, and by one that learns to tell.

Perceptual: Zhang et al. 2018 (arXiv:1801.03924), with each layer's features at unit length; instead of a downloaded VGG
any stack of layers will do. Adversarial: VQGAN, Esser et al. 2021 (arXiv:2012.09841), section 3.1: a small
discriminator judges patches, both with hinge losses.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PerceptualLoss(nn.Module):
    """Mean squared distance of features at unit length, over places and layers.

    Args:
        layers: each takes what the one before gives; the first takes pictures [N, 3 * repeat, H, W] in [0, 1].
        repeat: how often the picture is given side by side, to networks that look at several frames.
    """

    def __init__(self, layers: Iterable[nn.Module], repeat: int = 1) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers).requires_grad_(False).eval()
        self.repeat = repeat
        if not self.layers:
            raise ValueError("a perceptual loss needs at least one layer of features, got none")

    def features(self, pictures: Tensor) -> list[Tensor]:
        """Unit features [N, C, h, w] of each layer."""
        x, found = pictures.repeat(1, self.repeat, 1, 1), []
        for layer in self.layers:
            x = layer(x)
            found.append(F.normalize(x.float(), dim=1))
        return found

    def forward(self, pictures: Tensor, truth: Tensor) -> Tensor:
        """A scalar for pictures and truth float [N, 3, H, W] in [0, 1]; gradients go to the pictures only."""
        with torch.no_grad():
            wanted = self.features(truth)
        distances = [(a - b).square().sum(1).mean() for a, b in zip(self.features(pictures), wanted, strict=True)]
        return torch.stack(distances).mean()

    def train(self, mode: bool = True) -> PerceptualLoss:
        """It stays as it is."""
        return super().train(False)


class PatchDiscriminator(nn.Sequential):
    """Logits [N, 1, h, w], high where patches of pictures [N, 3, H, W] in [0, 1] look true.

    Args:
        channels: of the first layer.
        layers: of stride 2.
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


def judged_loss(discriminator: nn.Module, truth: Tensor, pictures: Tensor) -> Tensor:
    """What the discriminator is to lower: the hinge loss on true and made pictures, without gradient to these."""
    true, made = discriminator(truth), discriminator(pictures.detach())
    return 0.5 * (F.relu(1 - true).mean() + F.relu(1 + made).mean())


def deceiving_loss(discriminator: nn.Module, pictures: Tensor) -> Tensor:
    """What the maker of pictures is to lower."""
    return -discriminator(pictures).mean()
