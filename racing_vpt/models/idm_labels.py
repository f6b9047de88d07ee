"""From an inverse dynamics model's distributions to the controls that it writes, and the error of those as a loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from racing_vpt.games.controls import Axis, ControlScheme

LabelKind = Literal["mean", "mode"]
ERROR_POWER = 1.5  # between the mean's 2, which a few frames that cannot be read would rule, and the median's 1


def label(
    scheme: ControlScheme,
    probabilities: Mapping[str, Tensor],
    kind: LabelKind,
    stops: Mapping[str, float] | None = None,
) -> dict[str, Tensor]:
    """The controls float32 [...] that are written for probabilities [..., classes]: each axis' mean, or its mode.

    Where an axis has a stop, and probably lies within it, what is likely beyond counts as at the stop in the mean: it
    looks like that, and how far beyond is a guess that would draw the mean away.
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
    """How far each axis' mean is from the truth, |error / range|^1.5 up to the stops, a scalar by `NAME_mean`.

    Args:
        scheme: heads and controls.
        logits: float [B, T, classes] by head.
        controls: the truth, float32 [B, T] by name.
        weight: float32 [B, T], 0 where nothing is to be learnt.
        stops: where an axis' effect ends.
    """
    losses = {}
    for name, head in scheme.heads.items():
        if isinstance(head, Axis):
            low, high = max(head.low, -stops.get(name, torch.inf)), min(head.high, stops.get(name, torch.inf))
            centres = head.table[:, 0].to(weight.device).clamp(low, high)
            mean = (logits[name].float().softmax(-1) * centres).sum(-1)
            error = (mean - controls[name].clamp(low, high)).abs() / (high - low)
            losses[f"{name}_mean"] = (error.pow(ERROR_POWER) * weight).sum() / weight.sum().clamp(min=1.0)
    return losses
