"""Errors of a policy's controls relative to the expert's, from running sums."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.classification import multiclass_confusion_matrix

from racing_vpt.games.controls import Axis, ControlScheme
from racing_vpt.games.heads import Joint
from racing_vpt.models.idm_metrics import STEERING_STOP, pressed, top3


class ControlMetrics(Metric):
    """MAE, R2 and pressed-or-not accuracy (steering: left, right, neither) of each axis' mean; accuracy of other heads.

    Of a table of four actions or more also macro-F1, and whether the true one is among the three likeliest. Steering is
    also measured clipped to +-0.4, where CarRacing's joint stops. Keys as in `idm_metrics`.

    Args:
        scheme: control scheme.
    """

    judged: Tensor
    full_state_update = False
    higher_is_better = None

    def __init__(self, scheme: ControlScheme) -> None:
        super().__init__()
        self.scheme = scheme
        axes = [name for name, head in scheme.heads.items() if isinstance(head, Axis)]
        self.judged_axes = [(name, "") for name in axes] + [(name, "_clipped") for name in axes if name == "steering"]
        for name, suffix in self.judged_axes:  # sums of: |error|, error^2, truth, truth^2
            self.add_state(f"sums_{name}{suffix}", torch.zeros(4), dist_reduce_fx="sum")
        for name in scheme.heads:
            self.add_state(f"right_{name}", torch.zeros(()), dist_reduce_fx="sum")
            self.add_state(f"seen_{name}", torch.zeros(()), dist_reduce_fx="sum")  # number of frames counted, by head
        tables = [head for head in scheme.heads.values() if isinstance(head, Joint) and head.num_classes > 3]
        self.tables = {head.name: head.num_classes for head in tables}
        for name, classes in self.tables.items():
            self.add_state(f"top3_{name}", torch.zeros(()), dist_reduce_fx="sum")
            self.add_state(f"confusion_{name}", torch.zeros(classes, classes), dist_reduce_fx="sum")
        self.add_state("judged", torch.zeros(()), dist_reduce_fx="sum")

    def update(self, probabilities: Mapping[str, Tensor], controls: Mapping[str, Tensor], counts: Tensor) -> None:
        """Add probabilities [B, T, classes] by head and controls [B, T] by name where `counts`, bool [B, T]."""
        predicted, classes = self.scheme.expect(probabilities), self.scheme.encode(controls)
        self.judged += counts.sum()
        relevant = self.scheme.relevant(classes)
        for name, head in self.scheme.heads.items():
            if isinstance(head, Axis):
                agreed = pressed(head, predicted[name]) == pressed(head, controls[name])
            else:
                agreed = probabilities[name].argmax(-1) == classes[name]
            right = getattr(self, f"right_{name}")
            right += (agreed & counts & relevant.get(name, counts)).sum()
            seen = getattr(self, f"seen_{name}")
            seen += (counts & relevant.get(name, counts)).sum()
        for name, count in self.tables.items():
            likely, true = probabilities[name][counts], classes[name][counts]
            among = getattr(self, f"top3_{name}")
            among += top3(likely, true).sum()
            confusion = getattr(self, f"confusion_{name}")
            confusion += multiclass_confusion_matrix(likely.argmax(-1), true, count)
        for name, suffix in self.judged_axes:
            guess, truth = predicted[name][counts].float(), controls[name][counts].float()
            if suffix:
                guess, truth = (x.clamp(-STEERING_STOP, STEERING_STOP) for x in (guess, truth))
            error, sums = guess - truth, getattr(self, f"sums_{name}{suffix}")
            sums += torch.stack([error.abs().sum(), error.square().sum(), truth.sum(), truth.square().sum()])

    def compute(self) -> dict[str, Tensor]:
        """`steering_mae`, `steering_r2`, `steering_accuracy`, ...; no R2 for an axis that never moved."""
        n = self.judged.clamp(min=1)
        values = {
            f"{name}_accuracy": (getattr(self, f"right_{name}") / getattr(self, f"seen_{name}").clamp(min=1)).float()
            for name in self.scheme.heads
        }
        for name in self.tables:
            confusion = getattr(self, f"confusion_{name}")
            occurring = confusion.sum(0) + confusion.sum(1)
            f1 = 2 * confusion.diagonal() / occurring.clamp(min=1)
            values[f"{name}_f1"] = f1.sum() / (occurring > 0).sum().clamp(min=1)
            values[f"{name}_top3"] = getattr(self, f"top3_{name}") / n
        for name, suffix in self.judged_axes:
            absolute, squared, total, total_squared = getattr(self, f"sums_{name}{suffix}")
            spread = total_squared - total.square() / n
            values[f"{name}_mae{suffix}"] = (absolute / n).float()
            if spread > 1e-6 * n:
                values[f"{name}_r2{suffix}"] = (1 - squared / spread).float()
        return values
