"""Buffers that older checkpoints lack; the first is the mean of the training clips' controls.

Such a buffer is zero until it is set, and until then left out of checkpoints and fingerprints, so that fingerprints of
older checkpoints do not change.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from racing_vpt.models.module import ControlModule


class TrainingMean(ControlModule):
    """A module that stores the mean of its training controls, as a baseline."""

    ADDED: tuple[str, ...] = ("training_mean", "training_frames")
    training_mean: Tensor
    training_frames: Tensor

    def add_training_mean(self) -> None:
        """Register the buffers: mean float32 [C] in the order of the scheme's controls, and number of frames."""
        self.register_buffer("training_mean", torch.zeros(len(self.scheme.controls)))
        self.register_buffer("training_frames", torch.zeros(()))

    @torch.no_grad()
    def add_to_training_mean(self, controls: Mapping[str, Tensor], weight: Tensor) -> None:
        """Add a batch: controls [B, T] by name, weighted by float32 [B, T]."""
        count = weight.sum()
        total = torch.stack([(controls[name] * weight).sum() for name in self.scheme.controls])
        self.training_frames += count
        self.training_mean += (total - count * self.training_mean) / self.training_frames.clamp(min=1)

    @property
    def mean_controls(self) -> dict[str, float] | None:
        """Mean of the training controls by name; None if the checkpoint lacks it."""
        if not self.training_frames:
            return None
        return dict(zip(self.scheme.controls, self.training_mean.tolist(), strict=True))

    def set_only(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The tensors without added buffers that are still unset."""
        return {key: x for key, x in state.items() if not key.startswith(self.ADDED) or bool(x.any())}

    def fingerprint(self) -> str:
        """16 hexadecimal digits that identify the weights, as in the checkpoint that they came from."""
        from racing_vpt.checkpoints.folder import fingerprint

        return fingerprint(self.set_only(self.state_dict()))

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        """Read checkpoints from before the added buffers."""
        for part in ("state_dict", "current_model_state"):  # the second is Lightning's, beside a weight average
            if part in checkpoint:
                added = {key: x for key, x in self.state_dict().items() if key.startswith(self.ADDED)}
                checkpoint[part] = added | checkpoint[part]
