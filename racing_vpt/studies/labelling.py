"""An IDM's distributions for every frame of a recording, as `predict` labels it, kept in memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from racing_vpt.checkpoints.load import load_module
from racing_vpt.data.recording import Recording
from racing_vpt.models.idm import IDM
from racing_vpt.types import Batch
from racing_vpt.video.windows import CutWindow, cut_windows

WINDOW, STRIDE = 256, 192  # frames of a window, and from one to the next: 32 at its ends are another window's


def load_idm(name: str) -> IDM:
    """The inverse dynamics model of a checkpoint, on the GPU if there is one; ValueError if it holds another model."""
    module = load_module(name, device="cuda" if torch.cuda.is_available() else "cpu")
    if not isinstance(module, IDM):
        raise ValueError(
            f"{name} holds a {type(module).__name__}, which labels no video; give an inverse dynamics model, such as "
            "zoo:idm-carracing-video"
        )
    return module


@dataclass(frozen=True)
class Labelled:
    """What an IDM says of a recording of N frames.

    Args:
        probabilities: calibrated, float32 [N, classes] by head.
        likeness: mean likeness of its windows to the training data, from 0 to 1; None: the model does not tell it.
    """

    probabilities: dict[str, Tensor]
    likeness: float | None


@torch.no_grad()
def label_recording(module: IDM, recording: Recording) -> Labelled:
    """Label a recording; ValueError describes a fault of its video."""
    classes, alike = module.scheme.num_classes, []
    found = {name: torch.zeros(recording.num_frames, count, device="cpu") for name, count in classes.items()}
    for window in cut_windows(recording.open_video(), module.frames, WINDOW, STRIDE):
        probabilities, likeness = module.predict_step(_batch_of(window, module.device), 0)
        alike += [] if likeness is None else likeness.tolist()
        for name, each in probabilities.items():
            found[name][window.source_frames] = each[0, window.source_rows].float().cpu()
    return Labelled(found, float(np.mean(alike)) if alike else None)


def _batch_of(window: CutWindow, device: torch.device) -> Batch:
    frames, valid, times = (
        torch.from_numpy(each)[None].to(device) for each in (window.frames, window.valid, window.times)
    )
    return Batch(frames, {}, torch.zeros_like(valid), valid, valid.float(), times=times.float())
