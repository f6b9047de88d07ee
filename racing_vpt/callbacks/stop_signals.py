"""Stops training on SIGTERM, SIGINT or SIGUSR1: between two steps, with a checkpoint and the signal's exit status.

Lightning exits with status 0 or 1 and may save in the middle of a step, or not at all; a batch system that decides
whether to restart the job needs 128 + the signal's number: 143, 130 or 138.
"""

import logging
import signal
from pathlib import Path
from types import FrameType

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
log = logging.getLogger(__name__)


class StopSignals(Checkpoint):
    """Stops at the end of the current batch, or after the current validation; a second SIGINT stops at once.

    It is a `Checkpoint` because Lightning runs those last at each hook, after all other work at the end of a batch. It
    also saves the last step of a run that ends between two validations. A signal to one rank stops all of them.
    """

    def __init__(self) -> None:
        self.asked: signal.Signals | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Install the signal handlers; Lightning restores the previous ones at the end."""
        for number in STOPS:
            signal.signal(number, self.note)

    def note(self, number: int, frame: FrameType | None) -> None:
        """Record the signal."""
        if self.asked is not None and number == signal.SIGINT:
            raise SystemExit(128 + number)
        self.asked = signal.Signals(number)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        self.stop_if_asked(trainer)
        if trainer.should_stop or 0 < trainer.max_steps <= trainer.global_step:  # there may be no later validation
            write_last(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the last step of a run that has not been validated since."""
        saved = getattr(trainer.checkpoint_callback, "_last_global_step_saved", trainer.global_step)
        if trainer.current_epoch + 1 == trainer.max_epochs and saved != trainer.global_step:
            write_last(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking:
            self.stop_if_asked(trainer)

    def stop_if_asked(self, trainer: Trainer) -> None:
        """Save and exit, on all ranks together."""
        asked = self.asked is not None
        if trainer.world_size > 1:
            asked = trainer.strategy.reduce_boolean_decision(asked, all=False)
        if not asked:
            return
        number = self.asked or signal.SIGTERM
        path = save_last(trainer)
        if not trainer.is_global_zero:  # the launching process would kill itself on the others' exit status
            raise SystemExit(0)
        log.warning("stopped by %s after step %d: %s; continue with --ckpt_path last",
                    number.name, trainer.global_step, path)  # fmt: skip
        raise SystemExit(128 + number)


def save_last(trainer: Trainer) -> Path:
    """Write `last.ckpt`, and keep other callbacks from saving this step again."""
    path = write_last(trainer)
    for callback in trainer.checkpoint_callbacks:  # callbacks that save on an exception need not save again
        setattr(callback, "_last_global_step_saved", trainer.global_step)  # noqa: B010
    return path


def write_last(trainer: Trainer) -> Path:
    """Write `last.ckpt` to the folder of the run's checkpoints."""
    saver = trainer.checkpoint_callback
    folder = getattr(saver, "dirpath", None) or Path(trainer.default_root_dir) / "checkpoints"
    path = Path(folder) / "last.ckpt"
    trainer.save_checkpoint(path, weights_only=False)
    return path
