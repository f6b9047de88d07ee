"""A mixture of Gaussians for each dimension, as predicted by a mixture density network (Bishop 1994)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

LOG_ROOT_TAU = 0.5 * math.log(2 * math.pi)
LOG_STD = (-7.0, 7.0)  # bounds the density of dimensions that never change


class Mixture(NamedTuple):
    """Float32 [..., D, K] each: log-weights of the components, means, log standard deviations."""

    log_shares: Tensor
    means: Tensor
    log_stds: Tensor

    @classmethod
    def of(cls, numbers: Tensor, components: int) -> Mixture:
        """The mixture of D dimensions parametrized by a layer's outputs [..., 3 * D * components]."""
        shares, means, log_stds = rearrange(numbers, "... (p d k) -> p ... d k", p=3, k=components)
        return cls(shares.log_softmax(-1), means, log_stds.clamp(*LOG_STD))

    def log_likelihood(self, values: Tensor) -> Tensor:
        """Log-densities [..., D] of values [..., D], nats."""
        distance = (values.unsqueeze(-1) - self.means) * (-self.log_stds).exp()
        return (self.log_shares - self.log_stds - LOG_ROOT_TAU - 0.5 * distance.square()).logsumexp(-1)

    def mean(self) -> Tensor:
        """Expected values [..., D]."""
        return (self.log_shares.exp() * self.means).sum(-1)

    def draw(self, tau: float, generator: torch.Generator | None = None, copies: int = 1) -> Tensor:
        """Values [..., D] sampled at temperature tau: weights^(1/tau), variances * tau; at 0 the mode's mean.

        With `copies`, the rows form so many groups one after the other that use the same random numbers, so that
        differences between groups are not due to luck.
        """
        if tau < 0:
            raise ValueError(f"tau must be 0 or more, but {tau} was given")
        if tau == 0:
            chosen = self.log_shares.argmax(-1, keepdim=True)
            return self.means.gather(-1, chosen).squeeze(-1)
        cumulated = F.softmax(self.log_shares / tau, -1).cumsum(-1)
        rows, *rest = cumulated.shape[:-1]
        again = (copies, *[1] * len(rest))
        uniform = torch.rand(rows // copies, *rest, generator=generator, device=cumulated.device).repeat(again)
        chosen = (uniform.unsqueeze(-1) > cumulated[..., :-1]).sum(
            -1, keepdim=True
        )  # inverse of the cumulative distribution
        mean, log_std = (x.gather(-1, chosen).squeeze(-1) for x in (self.means, self.log_stds))
        noise = torch.randn(rows // copies, *rest, generator=generator, device=mean.device).repeat(again)
        return mean + math.sqrt(tau) * log_std.exp() * noise
