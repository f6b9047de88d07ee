"""Controls of a clip's frames, and their weights in the loss."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from racing_vpt.data.columns import Columns

Perturbed = Literal["keep", "ignore", "intended"]


@dataclass(frozen=True)
class ClipControls:
    """Source and weights of the frames' controls.

    Args:
        labels: folder of an IDM's labels, which replace recorded controls (plain recordings only).
        min_confidence: frames with a lower confidence get weight 0.
        confidence_weighting: weight each frame by the confidence of its label; otherwise the weight is 1.
        perturbed: frames whose executed controls differ from the driver's intended ones: `keep` the executed controls
            (for an IDM), `ignore` the frame (weight 0), or use the `intended` controls (for a policy).
        mean: if the model sees every n-th frame, average controls over the n frames instead of taking the first.
        drop_null: game (name, file or GAME:SCHEME); frames without any of its controls are removed, as VPT does in
            Minecraft.
    """

    labels: Path | None = None
    min_confidence: float = 0.0
    confidence_weighting: bool = False
    perturbed: Perturbed = "keep"
    mean: bool = False
    drop_null: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.min_confidence <= 1:
            raise ValueError(f"min_confidence must lie in [0, 1], but {self.min_confidence} was given")
        if self.perturbed not in ("keep", "ignore", "intended"):
            raise ValueError(f"perturbed must be keep, ignore or intended, but {self.perturbed!r} was given")
        if self.drop_null and self.mean:
            raise ValueError("drop_null removes frames in between, so it cannot be combined with mean")

    def apply(self, columns: Columns) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Controls by name, and weights; float32 [T] each."""
        controls, weight = columns.controls, np.ones(len(columns), np.float32)
        if columns.confidence is not None:
            weight = columns.confidence.copy() if self.confidence_weighting else weight
            weight[(columns.confidence < self.min_confidence) | (columns.confidence == 0)] = 0  # 0: no label
        if columns.perturbed is not None and self.perturbed == "ignore":
            weight[columns.perturbed] = 0
        if columns.intended is not None and self.perturbed == "intended":
            controls = columns.intended
        return controls, weight
