"""What a training stage holds while it writes to it: a run folder, a folder of labels, or a file of metrics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from lightning.pytorch import LightningDataModule, Trainer

from racing_vpt.cli.guard import removed_unless_started
from racing_vpt.cli.runs import check_unused
from racing_vpt.outputs import check_own_report, sole_writer, sole_writer_of


def held_output(
    stage: str, folder: Path, trainer: Trainer, data: LightningDataModule | None, resumed: bool
) -> AbstractContextManager[None]:
    """Hold the output of a stage within a block; of several processes, the first one does it for all.

    Args:
        stage: fit, validate, test or predict.
        folder: the run folder.
        trainer: of the stage.
        data: data module of the stage, which may name the folder of labels.
        resumed: whether `fit` continues a run.

    Raises:
        ValueError: another process holds it, or another run was trained in the folder since the command line was read.
    """
    if not trainer.is_global_zero:
        return nullcontext()
    if stage == "fit":
        return _held_run(folder, trainer, resumed or bool(trainer.fast_dev_run))  # type: ignore[attr-defined]
    if stage == "predict":
        from racing_vpt.callbacks.labels import WriteLabels

        writers = [one for one in trainer.callbacks if isinstance(one, WriteLabels)]  # type: ignore[attr-defined]
        out = writers[0].out or getattr(data, "out", None)
        return nullcontext() if out is None else sole_writer(Path(out))
    check_own_report(folder / "metrics.json")
    return sole_writer_of(folder / "metrics.json")


@contextmanager
def _held_run(folder: Path, trainer: Trainer, resumed: bool) -> Iterator[None]:
    with sole_writer(folder):
        if not resumed:
            check_unused(folder)
        with removed_unless_started(folder, trainer):
            yield
