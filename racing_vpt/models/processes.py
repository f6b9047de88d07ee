"""What several processes must agree on so that together they are one with all their batches joined.

DDP takes the mean of the processes' gradients. A loss that is a mean over the frames that count (not padding, not
labels that are doubted) would thus let a frame count more where few others of its batch do.
"""

from __future__ import annotations

import torch
from lightning.pytorch import LightningModule
from torch import Tensor


def shares(module: LightningModule, totals: Tensor) -> Tensor:
    """What means of a training batch are multiplied by; all processes must ask alike.

    Args:
        module: what is trained; where it is not, or on one process, nothing is changed.
        totals: [...], what each mean was divided by, if it was more than 1: a number of frames, or their weight.

    Returns:
        Float32 [...], this process' totals as a share of the processes' mean.
    """
    trainer = getattr(module, "_trainer", None)  # `trainer` itself would raise where there is none
    totals = totals.detach().float()
    if not module.training or trainer is None or trainer.world_size == 1:
        return torch.ones_like(totals)
    everywhere: Tensor = trainer.strategy.reduce(totals.clone(), reduce_op="mean")
    return totals.clamp(min=1.0) / everywhere.clamp(min=1.0)


def logged_size(module: LightningModule, total: Tensor) -> int:
    """The `batch_size` with which a held-out batch's mean over `total` frames is logged; 0 where none counted.

    A multiple of the number of processes: Lightning divides the sum of whole numbers by that, and drops what is left.
    """
    return round(float(total)) * module.trainer.world_size
