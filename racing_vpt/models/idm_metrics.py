"""Accuracy of labels, and calibration of their confidence.

All held-out predictions of an epoch are kept (56 numbers per frame in CarRacing), because the temperature is fitted
to them before they are measured.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Metric
from torchmetrics.functional.classification import (
    binary_calibration_error,
    multiclass_accuracy,
    multiclass_confusion_matrix,
    multiclass_f1_score,
)
from torchmetrics.functional.regression import mean_absolute_error, r2_score

from racing_vpt.games.controls import Axis, ControlScheme, Head
from racing_vpt.games.heads import Joint
from racing_vpt.models.agreement import CALIBRATION_BINS
from racing_vpt.types import Batch

STEERING_STOP = 0.4  # CarRacing's steering joint stops here: commands beyond it look alike
PRESSED = 0.05  # an axis counts as pressed (steering: to the left or to the right) beyond this


class HeldOut(Metric):
    """Logits, true controls and places of the frames of an epoch, gathered from all ranks.

    Args:
        scheme: its heads and controls.
    """

    places: list[Tensor]
    full_state_update = False
    higher_is_better = None

    def __init__(self, scheme: ControlScheme) -> None:
        super().__init__()
        self.scheme = scheme
        for head in scheme.heads:
            self.add_state(f"logits_{head}", [], dist_reduce_fx="cat")
        for control in scheme.controls:
            self.add_state(f"true_{control}", [], dist_reduce_fx="cat")
        self.add_state("places", [], dist_reduce_fx="cat")

    def update(
        self, logits: Mapping[str, Tensor], controls: Mapping[str, Tensor], counts: Tensor, places: Tensor
    ) -> None:
        """Keep logits [B, T, classes] by head, controls [B, T] by name and places where `counts`, bool [B, T].

        `places` int64 [B, T, 2] are the number of each frame's episode and of the frame within it (`places_of`).
        """
        for head in self.scheme.heads:
            getattr(self, f"logits_{head}").append(logits[head][counts].float())
        for control in self.scheme.controls:
            getattr(self, f"true_{control}").append(controls[control][counts].float())
        self.places.append(places[counts])

    def compute(self) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor]:
        """Logits float32 [N, classes] by head, true controls float32 [N] by name, and places int64 [N, 2]."""
        return (
            {head: _joined(getattr(self, f"logits_{head}")) for head in self.scheme.heads},
            {control: _joined(getattr(self, f"true_{control}")) for control in self.scheme.controls},
            _joined(self.places),
        )


def places_of(batch: Batch) -> Tensor:
    """Number of the episode of each frame, from its name, and of the frame within it: int64 [B, T, 2]."""
    B, T = batch.valid.shape
    rows = []
    for row in range(B):
        name, _, start = (batch.ids[row] if batch.ids else "").rpartition(":")
        digest = hashlib.sha256(name.encode()).digest()
        rows.append((int.from_bytes(digest[:8], "big", signed=True), int(start or row * T)))
    places = torch.tensor(rows, dtype=torch.int64, device=batch.valid.device).unsqueeze(1).repeat(1, T, 1)
    places[..., 1] += torch.arange(T, device=places.device)
    return places


def _joined(parts: list[Tensor] | Tensor) -> Tensor:
    return torch.cat(parts) if isinstance(parts, list) else parts


def fit_temperature(logits: Tensor, classes: Tensor) -> float:
    """Temperature in [0.2, 5] that minimizes the cross entropy of logits [N, classes] / T with classes [N].

    Guo et al. 2017, "On Calibration of Modern Neural Networks" (arXiv:1706.04599), section 4.2.
    """
    if len(logits) == 0:
        return 1.0

    def loss(log_temperature: float) -> float:
        return F.cross_entropy(logits.float() / float(np.exp(log_temperature)), classes).item()

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(0.2), np.log(5.0)), method="bounded").x))


def confidence(probabilities: Mapping[str, Tensor]) -> Tensor:
    """Confidence float32 [...]: the product of the heads' largest probabilities."""
    return torch.stack([likely.float().amax(-1) for likely in probabilities.values()]).prod(0)


def measure(
    scheme: ControlScheme,
    probabilities: Mapping[str, Tensor],
    labels: Mapping[str, Tensor],
    truth: Mapping[str, Tensor],
) -> dict[str, float]:
    """All metrics by key; undefined ones (R2 of an axis that never moves) are omitted.

    Args:
        scheme: heads and controls.
        probabilities: calibrated, float32 [N, classes] by head.
        labels: controls to be written, float32 [N] by control.
        truth: true controls, float32 [N] by control.

    Returns:
        Of an axis `_r2`, `_mae`, and accuracy and macro F1 of pressed or not (`_accuracy`, `_f1`; steering: left, right
        or neither); of other heads `_accuracy` and `_f1` of the classes, and of a table of four actions or more
        `_top3`, the share of frames whose action is among the three likeliest; `steering_r2_clipped`; expected
        calibration error of each head (`_ece`) and of the confidence that is written (`ece`): how far the confidence is
        from the share of frames with every head's nearest class right; and the mean error of the least confident tenth
        of the frames, of the rest, and their ratio.
    """
    classes = scheme.encode(truth)
    figures: dict[str, float] = {}
    all_right = torch.ones(len(next(iter(truth.values()))), dtype=torch.bool)
    for name, head in scheme.heads.items():
        right = probabilities[name].argmax(-1) == classes[name]
        all_right = all_right.to(right.device) & right
        figures[f"{name}_ece"] = calibration_error(probabilities[name].amax(-1), right)
        if isinstance(head, Axis):
            figures |= axis_figures(name, labels[name], truth[name])
            predicted, true, count = pressed(head, labels[name]), pressed(head, truth[name]), 2 + (head.low < 0)
        else:
            predicted, true, count = probabilities[name].argmax(-1), classes[name], head.num_classes
        figures[f"{name}_accuracy"] = multiclass_accuracy(predicted, true, count, average="micro").item()
        figures[f"{name}_f1"] = multiclass_f1_score(predicted, true, count, average="macro").item()
        if isinstance(head, Joint) and count > 3:
            figures[f"{name}_top3"] = top3(probabilities[name], classes[name]).float().mean().item()
    trust = confidence(probabilities)
    figures["ece"] = calibration_error(trust, all_right)
    error = frame_error(scheme, labels, truth)
    order, tenth = trust.argsort(), max(1, len(trust) // 10)
    doubtful, rest = error[order[:tenth]], error[order[tenth:]]
    figures["error_least_confident_tenth"] = doubtful.mean().item()
    if len(rest):
        figures["error_rest"] = rest.mean().item()
        if figures["error_rest"] > 0:
            ratio = figures["error_least_confident_tenth"] / figures["error_rest"]
            figures["error_least_confident_tenth_ratio"] = ratio
    return figures


def top3(probabilities: Tensor, classes: Tensor) -> Tensor:
    """Bool [...]: whether the class int64 [...] is among the three likeliest of probabilities [..., classes]."""
    return (probabilities.topk(3).indices == classes.unsqueeze(-1)).any(-1)


def axis_figures(name: str, labels: Tensor, truth: Tensor) -> dict[str, float]:
    """R2 and MAE of an axis; for steering also clipped to the joint's stop."""
    figures = {f"{name}_mae": mean_absolute_error(labels, truth).item()}
    if truth.max() > truth.min():
        figures[f"{name}_r2"] = r2_score(labels, truth).item()
    if name == "steering":
        labels, truth = (x.clamp(-STEERING_STOP, STEERING_STOP) for x in (labels, truth))
        figures["steering_mae_clipped"] = mean_absolute_error(labels, truth).item()
        if truth.max() > truth.min():
            figures["steering_r2_clipped"] = r2_score(labels, truth).item()
    return figures


def pressed(axis: Axis, values: Tensor) -> Tensor:
    """Class int64 [...] of an axis' values: 0 released, 1 pressed; for steering 0 neither, 1 right, 2 left."""
    if axis.low < 0:
        return (values.abs() > PRESSED).long() * (1 + (values < 0).long())
    return (values > PRESSED).long()


def calibration_error(confidences: Tensor, right: Tensor) -> float:
    """Expected calibration error of confidences [N] in 15 bins of equal width."""
    return binary_calibration_error(confidences.clamp(0, 1), right.long(), n_bins=CALIBRATION_BINS, norm="l1").item()


def frame_error(scheme: ControlScheme, labels: Mapping[str, Tensor], truth: Mapping[str, Tensor]) -> Tensor:
    """Error float32 [N] of each frame: the sum of |label - truth| over the controls (steering clipped)."""
    total = torch.zeros_like(next(iter(truth.values())))
    for control in scheme.controls:
        said, true = labels[control], truth[control]
        if control == "steering":
            said, true = (x.clamp(-STEERING_STOP, STEERING_STOP) for x in (said, true))
        total = total + (said - true).abs()
    return total


def confusion(head: Head, probabilities: Tensor, classes: Tensor) -> Tensor:
    """Counts int64 [true class, likeliest class] of probabilities [N, classes] and classes [N]."""
    return multiclass_confusion_matrix(probabilities.argmax(-1), classes, head.num_classes)
