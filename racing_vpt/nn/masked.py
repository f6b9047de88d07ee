"""Masked mean."""

from __future__ import annotations

from torch import Tensor


def masked_mean(values: Tensor, mask: Tensor, count: Tensor | None = None, least: float = 1) -> Tensor:
    """Mean of values [...] weighted by a mask [...], a scalar; 0 where the mask is 0 everywhere.

    Args:
        values: float [...].
        mask: bool, or weights of 0 or more; broadcasts to the values.
        count: divisor; None: the sum of the mask.
        least: smallest divisor.
    """
    total = mask.sum() if count is None else count
    return (values * mask).sum() / total.clamp(min=least)
