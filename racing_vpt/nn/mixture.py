"""A mixture of Gaussians for each number by itself, as mixture density networks predict one (Bishop 1994)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

LOG_ROOT_TAU = 0.5 * math.log(2 * math.pi)
LOG_STD = (-7.0, 7.0)  # no density grows beyond bounds on numbers that never change


class Mixture(NamedTuple):
    """Float32 [..., D, K] each: logarithms of the components' shares, means, logarithms of standard deviations."""

    log_shares: Tensor
    means: Tensor
    log_stds: Tensor

    @classmethod
    def of(cls, numbers: Tensor, components: int) -> Mixture:
        """The mixture of D numbers that a layer's outputs [..., 3 * D * components] stand for."""
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
        """Values [..., D] drawn at temperature tau: shares^(1/tau), variances * tau.

        At 0 the mean of the likeliest component. With `copies` the rows are so many groups after each other that draw
        the same random numbers, so that what differs between them is no luck.
        """
        if tau < 0:
            raise ValueError(f"a temperature is 0 or more, but tau {tau} was given")
        if tau == 0:
            chosen = self.log_shares.argmax(-1, keepdim=True)
            return self.means.gather(-1, chosen).squeeze(-1)
        cumulated = F.softmax(self.log_shares / tau, -1).cumsum(-1)
        rows, *rest = cumulated.shape[:-1]
        again = (copies, *[1] * len(rest))
        uniform = torch.rand(rows // copies, *rest, generator=generator, device=cumulated.device).repeat(again)
        chosen = (uniform.unsqueeze(-1) > cumulated[..., :-1]).sum(-1, keepdim=True)  # inverse of the distribution
        mean, log_std = (x.gather(-1, chosen).squeeze(-1) for x in (self.means, self.log_stds))
        noise = torch.randn(rows // copies, *rest, generator=generator, device=mean.device).repeat(again)
        return mean + math.sqrt(tau) * log_std.exp() * noise
