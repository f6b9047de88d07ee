"""Makes dropout and other random draws of a training step a function of (seed, step), as its data is.

A checkpoint does not contain the state of random generators; without this a resumed run would draw other dropout masks
than an uninterrupted one.
"""

import os

import torch
from lightning.pytorch import Callback, LightningModule, Trainer


class StepSeed(Callback):
    """Seeds torch at each training batch, each rank differently.

    Args:
        seed: None: the seed of `seed_everything`.
    """

    def __init__(self, seed: int | None = None) -> None:
        self.seed = int(os.environ.get("PL_GLOBAL_SEED", "0")) if seed is None else seed

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        step = trainer.fit_loop.epoch_loop.batch_progress.total.ready
        seed = (self.seed << 40) + (trainer.global_rank << 32) + step
        if pl_module.device.type == "cpu":
            torch.default_generator.manual_seed(seed)  # `torch.manual_seed` takes 0.3 ms to look for other devices
        else:
            torch.manual_seed(seed)
