"""Stops training on SIGTERM, SIGINT or SIGUSR1, with a checkpoint and the signal's exit status.

Lightning exits with status 0 or 1 and may save in the middle of a step, or not at all; a batch system that decides
whether to restart the job needs 128 + the signal's number: 143, 130 or 138.

A training step is finished first. Work that takes longer is left, and done again by the run that continues: a wait for
data or for driving processes, a validation with its rollouts, the rollouts of a search. The checkpoint is that of the
last step.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, WeightAveraging
from lightning.pytorch.profilers import PassThroughProfiler

STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
log = logging.getLogger(__name__)


class StopAsked(SystemExit):
    """Raised in work that may be left when a signal has come; its code is the exit status."""


class StopSignals(Checkpoint):
    """Stops after the current step, or in a validation, which is repeated; a second SIGINT stops at once.

    It is a `Checkpoint` because Lightning runs those last at each hook, after all other work at the end of a batch. It
    also saves the last step of a run that ends between two validations. A signal to one rank stops all of them.
    """

    def __init__(self) -> None:
        self.asked: signal.Signals | None = None
        self.at_once = False  # whether the current work may be left in the middle
        self.alone = True  # one process, which nobody waits for
        self.validating = self.averaging = False  # within a validation; with the averaged weights in place
        self.batches = 0  # trained before this process started

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Install the signal handlers; Lightning restores the previous ones at the end."""
        self.alone, self.batches = trainer.world_size == 1, trained_batches(trainer)
        for number in STOPS:
            signal.signal(number, self.note)

    def note(self, number: int, frame: FrameType | None) -> None:
        """Record the signal, and leave the current work if it may be left."""
        if self.asked is not None and number == signal.SIGINT:
            raise SystemExit(128 + number)
        self.asked = signal.Signals(number)
        if self.at_once:
            self.at_once = False  # a second signal does not disturb the end
            self.leave_if_asked()

    def leave_if_asked(self) -> None:
        """Raise StopAsked if a signal has come to this process."""
        if self.asked is not None:
            raise StopAsked(128 + self.asked)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        if not validation_follows(trainer):  # which would be left out by a run that continues from here
            self.stop_if_asked(trainer)
        if trainer.should_stop or 0 < trainer.max_steps <= trainer.global_step:  # there may be no later validation
            write_last(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the last step of a run that has not been validated since."""
        saved = getattr(trainer.checkpoint_callback, "_last_global_step_saved", trainer.global_step)
        if trainer.current_epoch + 1 == trainer.max_epochs and saved != trainer.global_step:
            write_last(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.sanity_checking:
            return
        counts = trainer.fit_loop.epoch_loop.val_loop.batch_progress.total
        if counts.ready != counts.completed:  # of a validation that a stopped run left, which is repeated now
            counts.reset()
        self.validating = True
        self.stop_if_asked(trainer)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.averaging = not trainer.sanity_checking

    def on_validation_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        if not trainer.sanity_checking:
            self.stop_if_asked(trainer)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.averaging = False

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking:
            self.validating = False
            self.stop_if_asked(trainer)

    def stop_if_asked(self, trainer: Trainer) -> None:
        """Save and exit, on all ranks together."""
        asked = self.asked is not None
        if trainer.world_size > 1:
            asked = trainer.strategy.reduce_boolean_decision(asked, all=False)
        if not asked:
            return
        self.asked = self.asked or signal.SIGTERM
        self.save(trainer)
        # on another rank the launching process would kill itself on the exit status
        raise SystemExit(128 + self.asked if trainer.is_global_zero else 0)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Save if a wait was left."""
        if isinstance(exception, StopAsked):
            self.save(trainer)

    def save(self, trainer: Trainer) -> None:
        """Write the checkpoint of the last step, and say how to continue."""
        assert self.asked is not None
        name, step = self.asked.name, trainer.global_step
        if trained_batches(trainer) == self.batches:
            log.warning("stopped by %s before the first step of this run; nothing is saved", name)
            return
        again = ", in a validation, which the continued run begins again" if self.validating else ""
        self.rewind(trainer)
        path = save_last(trainer)
        if trainer.is_global_zero:
            log.warning("stopped by %s after step %d%s: %s; continue with --ckpt_path last", name, step, again, path)

    def rewind(self, trainer: Trainer) -> None:
        """Bring weights and counters to where the work that was left began."""
        loop = trainer.fit_loop.epoch_loop
        progress, epochs = loop.batch_progress, trainer.fit_loop.epoch_progress.total
        if trained_batches(trainer) > progress.total.completed and validation_follows(trainer):
            progress.increment_completed()  # the end of the batch was left, so that the validation comes next
            self.validating = True
        if self.averaging:
            for average in trainer.callbacks:  # type: ignore[attr-defined]
                if isinstance(average, WeightAveraging):
                    average.on_validation_epoch_end(trainer, trainer.lightning_module)  # puts the trained weights back
        if self.validating:  # by these counts Lightning knows an unfinished validation
            loop.val_loop.batch_progress.reset()
            loop.val_loop.batch_progress.increment_ready()
            loop.val_loop.batch_progress.increment_started()
        elif progress.total.ready > progress.total.started:  # type: ignore[attr-defined]
            progress.total.ready -= 1  # its batch was read, but not trained on
            progress.current.ready -= 1
            progress.is_last_batch = False
        elif epochs.ready > epochs.started:  # type: ignore[attr-defined]  # the start of an epoch was left, and
            # Lightning resets these only after it
            for counts in (progress, loop.scheduler_progress, loop.automatic_optimization.optim_progress):
                counts.reset_on_run()
            loop.val_loop.batch_progress.total.reset()
        self.averaging = self.validating = False


class WaitsForData(PassThroughProfiler):
    """Lets a signal end a wait for the next batch: Lightning tells a profiler when such a wait begins and ends.

    Args:
        signals: the callback that notes signals.
    """

    def __init__(self, signals: StopSignals) -> None:
        super().__init__()
        self.signals = signals

    def start(self, action_name: str) -> None:
        if self.signals.alone and action_name.endswith("_next"):
            self.signals.at_once = True
            self.signals.leave_if_asked()

    def stop(self, action_name: str) -> None:
        if action_name.endswith("_next"):
            self.signals.at_once = False


def leave_if_asked(trainer: Trainer) -> None:
    """Raise StopAsked if a signal has come; call it between the parts of long work, then `stop_if_asked`."""
    for signals in _signals(trainer):
        signals.leave_if_asked()


@contextmanager
def left_at_once(trainer: Trainer) -> Iterator[None]:
    """Within it a signal raises StopAsked wherever the work is, which must change nothing that is saved."""
    found = list(_signals(trainer))
    try:
        for signals in found:
            signals.at_once = True
            signals.leave_if_asked()
        yield
    finally:
        for signals in found:
            signals.at_once = False


def stop_if_asked(trainer: Trainer) -> None:
    """Save and exit if a signal has come to any rank; all ranks call it at the same place."""
    for signals in _signals(trainer):
        signals.stop_if_asked(trainer)


def _signals(trainer: Trainer) -> Iterator[StopSignals]:
    return (each for each in trainer.callbacks if isinstance(each, StopSignals))  # type: ignore[attr-defined]


def trained_batches(trainer: Trainer) -> int:
    """Batches trained on so far."""
    return trainer.fit_loop.epoch_loop.batch_progress.total.processed  # type: ignore[attr-defined, no-any-return]


def validation_follows(trainer: Trainer) -> bool:
    """Whether Lightning validates after the current batch."""
    return trainer.fit_loop.epoch_loop._should_check_val_fx(trainer.fit_loop._data_fetcher)  # type: ignore[arg-type]


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
