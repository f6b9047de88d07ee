"""Metrics of the reliability of labels: expected error, gain from abstaining, lag, and onsets of presses.

The expected error of an axis is that of its label under the model's own distribution, in the control's unit; it grows
as a video shows less detail.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from racing_vpt.games.controls import Axis, ControlScheme
from racing_vpt.models.agreement import LARGEST_LAG, lags, onsets
from racing_vpt.models.idm_metrics import PRESSED

COLLAR = 2  # tolerance of an onset in frames, early or late
KEPT = 0.9  # share of the frames with the smallest expected error


def expected_error(
    scheme: ControlScheme, probabilities: Mapping[str, Tensor], labels: Mapping[str, Tensor], stops: Mapping[str, float]
) -> dict[str, Tensor]:
    """Mean |control - label| float32 [...] by axis under probabilities [..., classes]; both clipped at the stops."""
    errors = {}
    for name, head in scheme.heads.items():
        if isinstance(head, Axis):
            stop = stops.get(name, torch.inf)
            centres = head.table[:, 0].to(labels[name].device).clamp(-stop, stop)
            away = (centres - labels[name].clamp(-stop, stop).unsqueeze(-1)).abs()
            errors[name] = (probabilities[name].float() * away).sum(-1)
    return errors


def trust_figures(
    scheme: ControlScheme,
    probabilities: Mapping[str, Tensor],
    labels: Mapping[str, Tensor],
    truth: Mapping[str, Tensor],
    stops: Mapping[str, float],
) -> dict[str, float]:
    """Figures of each axis that moves, clipped at its stop.

    Args:
        scheme: heads and controls.
        probabilities: calibrated, float32 [N, classes] by head, of frames in order.
        labels: labels, float32 [N] by control.
        truth: true controls, float32 [N] by control.
        stops: largest effective value by control.

    Returns:
        `_expected_error`, its mean; `_error_kept`, the squared error without the tenth of the frames with the largest
        expected error, as a share of that of all; `_lag`, delay of the labels in frames; for pedals also `_onset_f1`.
    """
    figures = {}
    for name, doubt in expected_error(scheme, probabilities, labels, stops).items():
        stop = stops.get(name, torch.inf)
        written, true = (x[name].clamp(-stop, stop).cpu().numpy() for x in (labels, truth))
        if len(true) <= 2 * LARGEST_LAG + 1 or true.max() == true.min():
            continue
        error = np.square(written - true)
        figures[f"{name}_expected_error"] = doubt.mean().item()
        figures[f"{name}_error_kept"] = error_kept(error, doubt.cpu().numpy())
        figures |= {f"{name}_{key}": value for key, value in lags([[(written, true)]]).values().items()}
        if scheme.heads[name].table[0, 0] >= 0:
            onset = onsets([[(written > PRESSED, true > PRESSED)]], COLLAR).values()
            figures |= {f"{name}_onset_f1": value for value in onset.values()}
    return figures


def error_kept(error: np.ndarray, doubt: np.ndarray, share: float = KEPT) -> float:
    """Mean error of the frames with the smallest expected errors, as a share of the mean error of all [N]."""
    order = np.argsort(doubt, kind="stable")[: max(1, round(share * len(doubt)))]
    return float(error[order].mean() / max(1e-12, error.mean()))
