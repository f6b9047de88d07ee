"""A first validation early in a training, so that a mistake in the data shows after minutes."""

from __future__ import annotations

from lightning.pytorch import Callback, LightningModule, Trainer


class EarlyValidation(Callback):
    """Validates once after a few steps; all later validations come when they would have come anyway.

    Args:
        after_steps: of the start of the training. Where validations are as frequent already, nothing changes.
    """

    def __init__(self, after_steps: int = 50) -> None:
        if after_steps < 1:
            raise ValueError(f"after_steps counts training steps from 1, but it is {after_steps}")
        self.after_steps = after_steps
        self.interval: int | float | None = None  # batches, to be set back

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        batches, interval = self.after_steps * trainer.accumulate_grad_batches, trainer.val_check_batch
        by_steps = trainer.check_val_every_n_epoch is None
        if by_steps and interval is not None and interval > batches and trainer.global_step < self.after_steps:
            self.interval, trainer.val_check_batch = interval, batches

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.interval is not None and not trainer.sanity_checking:
            trainer.val_check_batch, self.interval = self.interval, None
