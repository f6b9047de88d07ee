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
from racing_vpt.models.idm_metrics import PRESSED

LARGEST_LAG = 4  # frames
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
        figures[f"{name}_lag"] = float(best_lag(written, true))
        if scheme.heads[name].table[0, 0] >= 0:
            figures[f"{name}_onset_f1"] = onset_f1(written > PRESSED, true > PRESSED, COLLAR)
    return figures


def error_kept(error: np.ndarray, doubt: np.ndarray, share: float = KEPT) -> float:
    """Mean error of the frames with the smallest expected errors, as a share of the mean error of all [N]."""
    order = np.argsort(doubt, kind="stable")[: max(1, round(share * len(doubt)))]
    return float(error[order].mean() / max(1e-12, error.mean()))


def best_lag(written: np.ndarray, true: np.ndarray, most: int = LARGEST_LAG) -> int:
    """Delay in frames at which labels [N] agree best with the controls [N]; negative: labels are early."""
    lags = range(-most, most + 1)
    middle = true[most : len(true) - most]
    errors = [np.square(written[most + lag : len(written) - most + lag] - middle).sum() for lag in lags]
    return lags[int(np.argmin(errors))]


def onset_f1(written: np.ndarray, true: np.ndarray, collar: int) -> float:
    """F1 of the frames at which a press begins, bool [N] each; each is matched once, within `collar` frames."""
    begun = [np.nonzero(pressed[1:] & ~pressed[:-1])[0] + 1 for pressed in (written, true)]
    free, hits = list(begun[1]), 0
    for place in begun[0]:
        near = [other for other in free if abs(other - place) <= collar]
        if near:
            free.remove(min(near, key=lambda other: abs(other - place)))
            hits += 1
    return 2 * hits / max(1, len(begun[0]) + len(begun[1]))
