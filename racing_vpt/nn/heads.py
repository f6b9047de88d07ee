"""Heads on the trunk's features: named categorical distributions, and the value with its normaliser.

VPT, Baker et al. 2022 (arXiv:2206.11795), appendix D.1, with OpenAI's parameter names. Both heads compute in float32
under autocast too: in bf16, small differences between the logits of 8,641 classes would be lost.
"""

from collections.abc import Mapping, Sequence
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class CategoricalHead(nn.Module):
    """One or several distributions over the same number of classes, from one linear layer."""

    def __init__(self, width: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape
        self.linear_layer = nn.Linear(width, prod(shape))
        nn.init.orthogonal_(self.linear_layer.weight, gain=0.01)
        nn.init.zeros_(self.linear_layer.bias)

    def forward(self, features: Tensor) -> Tensor:
        return self.linear_layer(features).unflatten(-1, self.shape)


class ActionHeads(nn.ModuleDict):
    """A categorical head for each control, by name.

    Args:
        width: width D of the features.
        num_classes: classes of each head; a tuple where one head holds several distributions, the classes last
            (OpenAI's IDM: buttons (20, 2), camera (2, 11)).
        temperature: divisor of the logits (OpenAI's policies: 2).
        packs: controls with the same number of classes that share one layer, by the layer's name; so
            `ControlScheme.packs` gives OpenAI's IDM its two layers for 22 controls.
    """

    def __init__(
        self,
        width: int,
        num_classes: Mapping[str, int | tuple[int, ...]],
        temperature: float = 1.0,
        packs: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        if not num_classes:
            raise ValueError("an ActionHeads needs at least one head, got none")
        if not temperature > 0:
            raise ValueError(f"temperature must be more than 0, got {temperature}")
        self.packs = {pack: tuple(names) for pack, names in (packs or {}).items()}
        packed = {name for names in self.packs.values() for name in names}
        shapes = {name: (n,) if isinstance(n, int) else tuple(n) for name, n in num_classes.items()}
        layers = {name: shape for name, shape in shapes.items() if name not in packed}
        layers |= {pack: (len(names), *shapes[names[0]]) for pack, names in self.packs.items()}
        super().__init__({name: CategoricalHead(width, shape) for name, shape in layers.items()})
        self.temperature = temperature

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """(B, T, D) to float32 logits by name, each (B, T, classes) or (B, T, distributions, classes)."""
        with torch.autocast(features.device.type, enabled=False):
            features = features.float()
            logits = {name: head(features) / self.temperature for name, head in self.items()}
        for pack, names in self.packs.items():
            logits |= dict(zip(names, logits.pop(pack).unbind(-2), strict=True))
        return logits


def log_probabilities(logits: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Logits by name to float32 log-probabilities over the last dimension."""
    return {name: x.float().log_softmax(-1) for name, x in logits.items()}


class NormalizeEwma(nn.Module):
    """Mean and variance of returns as debiased exponential moving averages.

    Args:
        width: number of values, each normalized on its own.
        beta: share of itself that an average keeps at an update.
        epsilon: smallest divisor of the debiasing.
        min_variance: floor of the variance.
    """

    def __init__(self, width: int = 1, *, beta: float = 0.99999, epsilon: float = 1e-5, min_variance: float = 1e-2):
        super().__init__()
        self.beta, self.epsilon, self.min_variance = beta, epsilon, min_variance
        # parameters without gradient, as in OpenAI's files, so that they are averaged, saved and loaded with the rest
        self.running_mean = nn.Parameter(torch.zeros(width), requires_grad=False)
        self.running_mean_sq = nn.Parameter(torch.zeros(width), requires_grad=False)
        self.debiasing_term = nn.Parameter(torch.tensor(0.0), requires_grad=False)

    def moments(self) -> tuple[Tensor, Tensor]:
        """Debiased mean and variance, each (width,)."""
        debias = self.debiasing_term.clamp(min=self.epsilon)
        mean = self.running_mean / debias
        return mean, (self.running_mean_sq / debias - mean**2).clamp(min=self.min_variance)

    def update(self, values: Tensor) -> None:
        """Update the averages with raw values (..., width)."""
        values = values.float().flatten(0, -2)
        self.follow(values.mean(0), values.square().mean(0))

    @torch.no_grad()
    def follow(self, mean: Tensor, mean_square: Tensor) -> None:
        """Update the averages with the mean and mean square of raw values, each (width,)."""
        for average, new in (
            (self.running_mean, mean),
            (self.running_mean_sq, mean_square),
            (self.debiasing_term, torch.ones_like(self.debiasing_term)),
        ):
            average.lerp_(new, 1 - self.beta)

    def normalise(self, values: Tensor) -> Tensor:
        mean, variance = self.moments()
        return (values.float() - mean) / variance.sqrt()

    def denormalise(self, values: Tensor) -> Tensor:
        mean, variance = self.moments()
        return values.float() * variance.sqrt() + mean


class ValueHead(nn.Module):
    """Predicts the *normalised* value, (B, T, D) to float32 (B, T, 1)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 1)
        nn.init.orthogonal_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        self.normalizer = NormalizeEwma(1)

    def forward(self, features: Tensor) -> Tensor:
        with torch.autocast(features.device.type, enabled=False):
            return self.linear(features.float())

    def denormalise(self, value: Tensor) -> Tensor:
        """A normalized value in the unit of the returns."""
        return self.normalizer.denormalise(value)

    def update(self, returns: Tensor) -> None:
        """Update the normalizer with raw returns (..., 1); call it before `loss` in a training step."""
        self.normalizer.update(returns)

    @torch.no_grad()
    def rescale(self, mean: Tensor, mean_square: Tensor) -> None:
        """Update the normalizer and adapt the layer, so that denormalised values stay what they were.

        PopArt, van Hasselt et al. 2016 (arXiv:1602.07714). Before the first update there is nothing to preserve.

        Args:
            mean: mean of raw returns (1,).
            mean_square: mean of their squares (1,).
        """
        begun = bool(self.normalizer.debiasing_term > 0)
        old_mean, old_variance = self.normalizer.moments()
        self.normalizer.follow(mean, mean_square)
        if begun:
            new_mean, new_variance = self.normalizer.moments()
            self.linear.weight.mul_((old_variance / new_variance).sqrt())
            self.linear.bias.mul_(old_variance.sqrt()).add_(old_mean - new_mean).div_(new_variance.sqrt())

    def loss(self, value: Tensor, returns: Tensor) -> Tensor:
        """Squared error (B, T, 1) of a normalized value against raw returns, both (B, T, 1); not reduced."""
        return F.mse_loss(value, self.normalizer.normalise(returns), reduction="none")
