"""How far predicted controls are from the true ones, one control at a time."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torchmetrics import Metric

from racing_vpt.controls import Axis, ControlScheme

STEERING_STOP = 0.4  # CarRacing's steering joint ends here: commands beyond look alike and drive alike


class ControlMetrics(Metric):
    """Of each axis MAE and R2 of the mean, and accuracy of the likeliest bin; of other heads accuracy.

    Steering is also judged clipped to +-0.4, where CarRacing's joint stops, as `steering_clipped_r2`.

    Args:
        scheme: the heads that are judged.
    """

    judged: Tensor
    full_state_update = False
    higher_is_better = None

    def __init__(self, scheme: ControlScheme) -> None:
        super().__init__()
        self.scheme = scheme
        self.axes = [name for name, head in scheme.heads.items() if isinstance(head, Axis)]
        if "steering" in self.axes:
            self.axes.append("steering_clipped")
        for name in self.axes:  # sums of: |error|, error^2, truth, truth^2
            self.add_state(f"sums_{name}", torch.zeros(4), dist_reduce_fx="sum")
        for name in scheme.heads:
            self.add_state(f"right_{name}", torch.zeros(()), dist_reduce_fx="sum")
        self.add_state("judged", torch.zeros(()), dist_reduce_fx="sum")

    def update(self, probabilities: Mapping[str, Tensor], controls: Mapping[str, Tensor], counts: Tensor) -> None:
        """Take in probabilities [B, T, classes] by head and controls [B, T] by name, where `counts` [B, T] is true."""
        predicted, classes = self.scheme.expect(probabilities), self.scheme.encode(controls)
        self.judged += counts.sum()
        for name, truth in classes.items():
            right = getattr(self, f"right_{name}")
            right += ((probabilities[name].argmax(-1) == truth) & counts).sum()
        for name in self.axes:
            control, clips = name.removesuffix("_clipped"), name.endswith("_clipped")
            guess, truth = predicted[control][counts].float(), controls[control][counts].float()
            if clips:
                guess, truth = (x.clamp(-STEERING_STOP, STEERING_STOP) for x in (guess, truth))
            error, sums = guess - truth, getattr(self, f"sums_{name}")
            sums += torch.stack([error.abs().sum(), error.square().sum(), truth.sum(), truth.square().sum()])

    def compute(self) -> dict[str, Tensor]:
        """`steering_mae`, `steering_r2`, `steering_accuracy`, ...; an axis that never moved has no R2."""
        n = self.judged.clamp(min=1)
        values = {f"{name}_accuracy": (getattr(self, f"right_{name}") / n).float() for name in self.scheme.heads}
        for name in self.axes:
            absolute, squared, total, total_squared = getattr(self, f"sums_{name}")
            spread = total_squared - total.square() / n
            values[f"{name}_mae"] = (absolute / n).float()
            if spread > 1e-9 * n:
                values[f"{name}_r2"] = (1 - squared / spread).float()
        return values
