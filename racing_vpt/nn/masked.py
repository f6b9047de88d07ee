"""Means over what is known."""

from __future__ import annotations

from torch import Tensor


def masked_mean(values: Tensor, known: Tensor) -> Tensor:
    """Mean of values [...] where `known` [...] is true; 0 where it is nowhere."""
    return (values * known).sum() / known.sum().clamp(min=1)
