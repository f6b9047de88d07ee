"""Labels from an inverse dynamics model's distributions, and their error as a loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from racing_vpt.games.controls import Axis, ControlScheme
from racing_vpt.nn.masked import masked_mean

LabelKind = Literal["mean", "mode"]
ERROR_POWER = 1.5  # between 2 (mean), which a few unreadable frames would dominate, and 1 (median)


def label(
    scheme: ControlScheme,
    probabilities: Mapping[str, Tensor],
    kind: LabelKind,
    stops: Mapping[str, float] | None = None,
) -> dict[str, Tensor]:
    """Controls float32 [...] to write for probabilities [..., classes]: each axis' mean, or its mode.

    Where an axis probably lies within its stop, classes beyond the stop count as the stop in the mean: they look alike,
    and how far beyond they are is a guess that would bias the mean.
    """
    with torch.autocast(next(iter(probabilities.values())).device.type, enabled=False):
        if kind == "mode":
            return scheme.decode({name: likely.argmax(-1) for name, likely in probabilities.items()})
        labels = scheme.expect(probabilities)
        for name, stop in (stops or {}).items():
            centres = scheme.heads[name].table[:, 0].to(labels[name].device)
            likely = probabilities[name].float()
            beyond = (likely * (centres.abs() > stop)).sum(-1)
            labels[name] = torch.where(beyond > 0.5, labels[name], (likely * centres.clamp(-stop, stop)).sum(-1))
        return labels


def mean_losses(
    scheme: ControlScheme,
    logits: Mapping[str, Tensor],
    controls: Mapping[str, Tensor],
    weight: Tensor,
    stops: Mapping[str, float],
) -> dict[str, Tensor]:
    """Error of each axis' mean, |error / range|^1.5 with values clipped to the stops, a scalar by `NAME_mean`.

    Args:
        scheme: control scheme.
        logits: float [B, T, classes] by head.
        controls: the truth, float32 [B, T] by name.
        weight: float32 [B, T], 0 where nothing is to be learned.
        stops: value by axis beyond which its effect no longer grows.
    """
    losses = {}
    for name, head in scheme.heads.items():
        if isinstance(head, Axis):
            low, high = max(head.low, -stops.get(name, torch.inf)), min(head.high, stops.get(name, torch.inf))
            centres = head.table[:, 0].to(weight.device).clamp(low, high)
            mean = (logits[name].float().softmax(-1) * centres).sum(-1)
            error = (mean - controls[name].clamp(low, high)).abs() / (high - low)
            losses[f"{name}_mean"] = masked_mean(error.pow(ERROR_POWER), weight)
    return losses
