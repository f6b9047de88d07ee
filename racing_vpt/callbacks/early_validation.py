"""A first validation early in training, so that a mistake in the data shows within minutes."""

from __future__ import annotations

from lightning.pytorch import Callback, LightningModule, Trainer


class EarlyValidation(Callback):
    """Runs one validation after a few steps; the schedule of later ones does not change.

    Args:
        after_steps: training step of the extra validation. No effect where validations are as frequent already.
    """

    def __init__(self, after_steps: int = 50) -> None:
        if after_steps < 1:
            raise ValueError(f"after_steps must be at least 1, but {after_steps} was given")
        self.after_steps = after_steps
        self.interval: int | float | None = None  # batches; restored afterwards

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        batches, interval = self.after_steps * trainer.accumulate_grad_batches, trainer.val_check_batch
        by_steps = trainer.check_val_every_n_epoch is None
        left = trainer.fit_loop.epoch_loop.val_loop.restarted_mid_evaluation  # by a signal, to be done again
        due = trainer.global_step + (not left) <= self.after_steps
        if by_steps and interval is not None and interval > batches and due:
            self.interval, trainer.val_check_batch = interval, batches

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.interval is not None and not trainer.sanity_checking:
            trainer.val_check_batch, self.interval = self.interval, None
