"""Safeguards of every training, whatever its configuration."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint, RichProgressBar, TQDMProgressBar
from lightning.pytorch.profilers import PassThroughProfiler

from racing_vpt.outputs import LOCK


def guard(trainer: Trainer, own_bar: bool = False) -> None:
    """Add callbacks for whole checkpoints, signals, finite numbers, reproducible resuming, and progress.

    Args:
        trainer: the configured trainer.
        own_bar: whether the configuration has its own progress bar, which is kept.
    """
    from racing_vpt.callbacks.checkpoint_io import AtomicCheckpointIO
    from racing_vpt.callbacks.finite_guard import FiniteGuard
    from racing_vpt.callbacks.fit_progress import FitProgress
    from racing_vpt.callbacks.step_seed import StepSeed
    from racing_vpt.callbacks.stop_signals import StopSignals, WaitsForData
    from racing_vpt.callbacks.training_memory import MemoryEstimate

    threading.excepthook = _print_unless_of_event_writer
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    # `last` is saved once `best` has noted what is to be beaten
    callbacks.sort(key=lambda callback: isinstance(callback, ModelCheckpoint) and callback.monitor is None)
    for kind, place in ((StepSeed, 0), (FiniteGuard, 0), (MemoryEstimate, 0), (StopSignals, len(callbacks) + 3)):
        if not any(isinstance(callback, kind) for callback in callbacks):
            callbacks.insert(place, kind())
    signals = next(callback for callback in callbacks if isinstance(callback, StopSignals))
    if type(trainer.profiler) is PassThroughProfiler:  # type: ignore[attr-defined]
        trainer.profiler = WaitsForData(signals)  # type: ignore[attr-defined]
    bar = trainer.progress_bar_callback
    if isinstance(bar, TQDMProgressBar | RichProgressBar) and not own_bar:
        callbacks[callbacks.index(bar)] = FitProgress()
    if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
        trainer.strategy.checkpoint_io = AtomicCheckpointIO()


@contextmanager
def removed_unless_started(folder: Path, trainer: Trainer) -> Iterator[None]:
    """Within it, an error before the first step removes a run folder that was new, which this process holds.

    Otherwise a mistake such as missing data leaves a folder that looks like a run.
    """
    new = all(path.name == LOCK for path in folder.iterdir())
    try:
        yield
    except Exception:
        begun = trainer.global_step > 0 or any(folder.rglob("*.ckpt"))
        if new and not begun:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _print_unless_of_event_writer(args: threading.ExceptHookArgs) -> None:
    """Print the traceback of a thread, except tensorboard's, whose error is raised again by the next value logged."""
    if type(args.thread).__name__ != "_AsyncWriterThread":
        threading.__excepthook__(args)
