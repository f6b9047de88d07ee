"""Losses of Q-learning: quantile regression, value rescaling, and a margin for demonstrations.

QR-DQN, Dabney et al. 2018 (arXiv:1710.10044), equation 10; the margin of DQfD, Hester et al. 2018 (arXiv:1704.03732);
the h of Pohlen et al. 2018 (arXiv:1805.11593), proposition A.2, which compresses large values. Unlike in
QR-DQN, the loss of a single quantile is DQN's plain Huber loss, not half of it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

EPSILON = 1e-3  # of h; it keeps h invertible where values are large


def quantile_huber(quantiles: Tensor, targets: Tensor, kappa: float) -> Tensor:
    """Loss float [B] of quantiles [B, K] against samples of the target distribution [B, J].

    Args:
        quantiles: quantiles of the taken actions' values, at (i + 1/2) / K.
        targets: samples of the target distribution; no gradient flows into them.
        kappa: error beyond which the loss is linear.
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
    """Large-margin loss float [B] of values [B, A]: other actions should be worth `margin` less than the shown one."""
    others = torch.full_like(values, margin).scatter(1, actions.unsqueeze(1), 0.0)
    return (values + others).max(1).values - values.gather(1, actions.unsqueeze(1)).squeeze(1)


def shrink(values: Tensor) -> Tensor:
    """The function h: like a square root far from zero, so that values of 1 and of 400 fit one Huber loss."""
    return values.sign() * ((values.abs() + 1).sqrt() - 1) + EPSILON * values


def grow(values: Tensor) -> Tensor:
    """Inverse of `shrink`."""
    root = (1 + 4 * EPSILON * (values.abs() + 1 + EPSILON)).sqrt()
    return values.sign() * (((root - 1) / (2 * EPSILON)).square() - 1)
