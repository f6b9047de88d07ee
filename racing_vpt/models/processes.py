"""Loss scaling that makes DDP equal to one process with the joined batch.

DDP averages the gradients of the processes. A loss that is a mean over the frames that count (without padding, weighted
by confidence) would give a frame more weight in a process whose batch has few such frames.
"""

from __future__ import annotations

import torch
from lightning.pytorch import LightningModule
from torch import Tensor


def shares(module: LightningModule, totals: Tensor) -> Tensor:
    """Factors for the means of a training batch; a collective call, which every process must make.

    Args:
        module: the trained module; outside training, or with one process, all factors are 1.
        totals: [...], divisors of the means, at least 1: numbers or weights of frames.

    Returns:
        Float32 [...], totals of this process relative to the mean over processes.
    """
    trainer = getattr(module, "_trainer", None)  # the property `trainer` raises if there is none
    totals = totals.detach().float()
    if not module.training or trainer is None or trainer.world_size == 1:
        return torch.ones_like(totals)
    everywhere: Tensor = trainer.strategy.reduce(totals.clone(), reduce_op="mean")
    return totals.clamp(min=1.0) / everywhere.clamp(min=1.0)


def logged_size(module: LightningModule, total: Tensor) -> int:
    """`batch_size` for logging the mean over `total` frames of a held-out batch; 0 if no frame counted.

    A multiple of the number of processes, because Lightning divides the sum by it with integer division.
    """
    return round(float(total)) * module.trainer.world_size
