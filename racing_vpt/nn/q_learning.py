"""The arithmetic of Q-learning: errors of quantiles, rewards of any size, and demonstrations that stay on top.

QR-DQN, Dabney et al. 2018 (arXiv:1710.10044), equation 10; the margin of DQfD, Hester et al. 2018 (arXiv:1704.03732);
the h of Pohlen et al. 2018 (arXiv:1805.11593), proposition A.2, which makes values of any size alike. Unlike in
QR-DQN, the loss of one quantile is the plain Huber loss of DQN, not half of it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

EPSILON = 1e-3  # of h; it keeps h invertible where values are large


def quantile_huber(quantiles: Tensor, targets: Tensor, kappa: float) -> Tensor:
    """Loss float [B] of quantiles [B, K] against samples of the target distribution [B, J].

    Args:
        quantiles: of the values of the actions taken, at (i + 1/2) / K.
        targets: what they should be quantiles of; no gradient flows into them.
        kappa: errors up to here are squared, larger ones count by their size.
    """
    K = quantiles.shape[-1]
    error = targets.unsqueeze(1) - quantiles.unsqueeze(2)  # (B, K, J)
    huber = F.huber_loss(quantiles.unsqueeze(2).expand_as(error), targets.unsqueeze(1).expand_as(error),
                         reduction="none", delta=kappa) / kappa  # fmt: skip
    if K == 1:
        return huber.mean((1, 2))
    tau = (torch.arange(K, device=quantiles.device) + 0.5) / K
    return ((tau[:, None] - (error.detach() < 0).float()).abs() * huber).mean(2).sum(1)


def margin_loss(values: Tensor, actions: Tensor, margin: float) -> Tensor:
    """By how much another action is worth more than the demonstrator's less `margin`: float [B] of values [B, A]."""
    others = torch.full_like(values, margin).scatter(1, actions.unsqueeze(1), 0.0)
    return (values + others).max(1).values - values.gather(1, actions.unsqueeze(1)).squeeze(1)


def shrink(values: Tensor) -> Tensor:
    """h: like a square root far from zero, so that values of 1 and of 400 fit one Huber loss."""
    return values.sign() * ((values.abs() + 1).sqrt() - 1) + EPSILON * values


def grow(values: Tensor) -> Tensor:
    """What `shrink` made these values of."""
    root = (1 + 4 * EPSILON * (values.abs() + 1 + EPSILON)).sqrt()
    return values.sign() * (((root - 1) / (2 * EPSILON)).square() - 1)
