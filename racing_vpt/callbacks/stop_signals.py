"""SIGTERM, SIGINT and SIGUSR1 end a training between two steps, with a checkpoint, and say so in the exit status.

Lightning ends with status 0 or 1 and may save in the middle of a step, or not at all; a batch system that has to
decide whether to start the job again needs 128 + the signal's number: 143, 130 or 138.
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
    """Ends the training at the end of the batch in which a signal came; a validation that runs is finished first.

    A `Checkpoint`, because those come last at each hook: what else happens at the end of a batch is done by then. It
    also keeps the last step of a run that ends between two validations.
    A second SIGINT does not wait. Of several processes one signalled process stops them all.
    """

    def __init__(self) -> None:
        self.asked: signal.Signals | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the signals over; Lightning gives them back to whom they belonged when it ends."""
        for number in STOPS:
            signal.signal(number, self.note)

    def note(self, number: int, frame: FrameType | None) -> None:
        """Remember what was asked for."""
        if self.asked is not None and number == signal.SIGINT:
            raise SystemExit(128 + number)
        self.asked = signal.Signals(number)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        self.stop_if_asked(trainer)
        if trainer.should_stop or 0 < trainer.max_steps <= trainer.global_step:  # a validation may not come any more
            write_last(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the last step of a run whose epochs are over later than its last validation, or before its first."""
        saved = getattr(trainer.checkpoint_callback, "_last_global_step_saved", trainer.global_step)
        if trainer.current_epoch + 1 == trainer.max_epochs and saved != trainer.global_step:
            write_last(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking:
            self.stop_if_asked(trainer)

    def stop_if_asked(self, trainer: Trainer) -> None:
        """Save and leave, on all processes alike."""
        asked = self.asked is not None
        if trainer.world_size > 1:
            asked = trainer.strategy.reduce_boolean_decision(asked, all=False)
        if not asked:
            return
        number = self.asked or signal.SIGTERM
        path = save_last(trainer)
        if not trainer.is_global_zero:  # the process that started the others would kill itself on their status
            raise SystemExit(0)
        log.warning("stopped by %s after step %d: %s; continue with --ckpt_path last",
                    number.name, trainer.global_step, path)  # fmt: skip
        raise SystemExit(128 + number)


def save_last(trainer: Trainer) -> Path:
    """Write `last.ckpt`, and let nobody else save this step."""
    path = write_last(trainer)
    for callback in trainer.checkpoint_callbacks:  # what saves when an exception ends the run need not do it again
        setattr(callback, "_last_global_step_saved", trainer.global_step)  # noqa: B010
    return path


def write_last(trainer: Trainer) -> Path:
    """Write `last.ckpt` where the run's checkpoints lie."""
    saver = trainer.checkpoint_callback
    folder = getattr(saver, "dirpath", None) or Path(trainer.default_root_dir) / "checkpoints"
    path = Path(folder) / "last.ckpt"
    trainer.save_checkpoint(path, weights_only=False)
    return path
