"""Whether labels agree with what was really done, frame by frame, and by how much they are off."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from racing_vpt.data.lines import RANGES
from racing_vpt.games.minecraft import CAMERA, CAMERA_LIMIT, camera_class


def agreement(
    said: Mapping[str, np.ndarray], true: Mapping[str, np.ndarray], tolerance: float
) -> dict[str, np.ndarray]:
    """Whether controls [T] agree, bool [T] by name: axes within the tolerance, the camera by class, others exactly."""
    agreed = {}
    for name in said.keys() & true.keys():
        if name in CAMERA:
            import torch

            classes = [camera_class(torch.from_numpy(column)).numpy() for column in (said[name], true[name])]
            agreed[name] = classes[0] == classes[1]
        else:
            agreed[name] = np.abs(said[name] - true[name]) <= (
                tolerance if name in RANGES and name != "gear_change" else 0.5
            )
    return {name: agreed[name] for name in said if name in agreed}


def wrongness(
    said: Mapping[str, np.ndarray], true: Mapping[str, np.ndarray], agreed: Mapping[str, np.ndarray]
) -> np.ndarray:
    """How wrong each frame is, float64 [T]: differences as shares of a control's range, added up where it disagrees."""
    total = np.zeros(len(next(iter(said.values()))))
    for name, flags in agreed.items():
        low, high = (-CAMERA_LIMIT, CAMERA_LIMIT) if name in CAMERA else RANGES.get(name, (0.0, 1.0))
        total += np.where(flags, 0.0, np.abs(said[name] - true[name]) / (high - low))
    return total
