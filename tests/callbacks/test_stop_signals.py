"""Checkpoints of runs that end by themselves or by a signal; processes that get signals are in `tests/faults/`."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.demos.boring_classes import BoringModel, RandomDataset
from torch.utils.data import DataLoader, Dataset

from racing_vpt.callbacks.early_validation import EarlyValidation
from racing_vpt.callbacks.stop_signals import StopSignals, WaitsForData, left_at_once
from racing_vpt.data.loaders import ResumableLoader

BATCHES, STOP = 6, 4  # batches of an epoch; the step before the validation that a signal comes to


def trained(folder: Path, epochs: int, every: int, resume: Path | None = None) -> dict[str, torch.Tensor]:
    """Weights after some epochs of three steps, with a validation every `every` epochs."""
    torch.manual_seed(0)
    model, data = BoringModel(), RandomDataset(32, 3)
    saver = ModelCheckpoint(folder, filename="last", enable_version_counter=False)
    trainer = Trainer(
        max_epochs=epochs, check_val_every_n_epoch=every, accelerator="cpu", logger=False, num_sanity_val_steps=0,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=folder,
        callbacks=[EMAWeightAveraging(decay=0.5), saver, StopSignals()],
    )  # fmt: skip
    trainer.fit(model, DataLoader(data), DataLoader(data), ckpt_path=resume)
    return model.state_dict()


@pytest.mark.parametrize("every", [2, 5], ids=["after the last validation", "before the first"])
def test_a_run_whose_epochs_are_over_keeps_its_last_step(every: int, tmp_path: Path) -> None:
    before, last = trained(tmp_path / "short", 3, every), tmp_path / "short" / "last.ckpt"
    saved = torch.load(last, weights_only=False)
    assert saved["global_step"] == 9
    torch.testing.assert_close(saved["state_dict"], before)  # the averages
    torch.testing.assert_close(trained(tmp_path / "on", 4, every, last), trained(tmp_path / "whole", 4, every))


class Validated(BoringModel):
    """Records step and losses of each finished validation."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[int, list[float]]] = []

    def on_validation_epoch_start(self) -> None:
        self.losses: list[float] = []

    def validation_step(self, batch: torch.Tensor, batch_idx: int) -> None:
        self.losses.append(float(self.step(batch)))

    def on_validation_epoch_end(self) -> None:
        self.found.append((self.trainer.global_step, self.losses))


class Numbered(Dataset):
    """Batches that are a function of their number; a signal comes while one is read."""

    def __init__(self, size: int, signal_at: int = -1) -> None:
        self.size, self.signal_at = size, signal_at

    def __getitem__(self, number: int) -> torch.Tensor:
        if number == self.signal_at:
            signal.raise_signal(signal.SIGTERM)
            raise AssertionError("the wait went on")
        return torch.sin(torch.arange(32.0) * (number + 1))

    def __len__(self) -> int:
        return self.size


class StepOrder:
    """Numbers of the batches from the step on at which a run continues."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer

    def __iter__(self) -> Iterator[int]:
        counts = self.trainer.fit_loop.epoch_loop.batch_progress.current
        yield from range(counts.completed, BATCHES)

    def __len__(self) -> int:
        return BATCHES


class SignalAt(Callback):
    """Sends SIGTERM in a hook at a step, once; `leaves`: in work there that may be left."""

    def __init__(self, hook: str | None, step: int, leaves: bool = False) -> None:
        self.step, self.leaves = step, leaves
        if hook is not None:
            setattr(self, hook, self.send)
        self.sent = False

    def send(self, trainer: Trainer, pl_module: LightningModule, *_: object, **__: object) -> None:
        if trainer.global_step == self.step and not self.sent:
            self.sent = True
            if not self.leaves:
                signal.raise_signal(signal.SIGTERM)
                return
            with left_at_once(trainer):
                signal.raise_signal(signal.SIGTERM)
                raise AssertionError("the work went on")


def run(
    model: Validated, folder: Path, where: str | None = None, at: int = STOP, resume: bool = False, leaves: bool = False
) -> Trainer:
    """Train two epochs with validations after 4, 6 and 12 steps, up to a signal at the step `at` or on from one."""
    torch.nn.init.ones_(model.layer.weight)
    torch.nn.init.zeros_(model.layer.bias)
    signals = StopSignals()
    saver = ModelCheckpoint(folder, filename="last", enable_version_counter=False, every_n_train_steps=1000)
    hook = where if where and where.startswith("on_") else None
    trainer = Trainer(
        max_epochs=2, val_check_interval=BATCHES, check_val_every_n_epoch=None, accelerator="cpu", logger=False,
        num_sanity_val_steps=0, enable_progress_bar=False, enable_model_summary=False, default_root_dir=folder,
        callbacks=[EMAWeightAveraging(decay=0.5), EarlyValidation(STOP), SignalAt(hook, at, leaves), saver, signals],
        use_distributed_sampler=False,
    )  # fmt: skip
    trainer.profiler = WaitsForData(signals)  # type: ignore[attr-defined]
    data = Numbered(BATCHES, STOP if where == "reading a batch" else -1)
    train = ResumableLoader(data, batch_size=None, sampler=StepOrder(trainer))
    validation = DataLoader(Numbered(3, 1 if where == "reading one of validation" else -1), batch_size=None)
    trainer.fit(model, train, validation, ckpt_path=folder / "last.ckpt" if resume else None)
    return trainer


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "where",
    ["on_train_batch_end", "on_validation_start", "on_validation_batch_start", "on_validation_batch_end",
     "on_validation_end", "reading a batch", "reading one of validation"],
)  # fmt: skip
def test_a_run_stopped_round_a_validation_continues_as_if_it_had_not_been(where: str, tmp_path: Path) -> None:
    whole, first, second, third = Validated(), Validated(), Validated(), Validated()
    run(whole, tmp_path)
    with pytest.raises(SystemExit) as ended:
        run(first, tmp_path, where)
    assert ended.value.code == 128 + signal.SIGTERM
    with pytest.raises(SystemExit):
        run(second, tmp_path, "on_validation_end", at=BATCHES, resume=True)
    assert run(third, tmp_path, resume=True).global_step == 2 * BATCHES
    assert [step for step, _ in whole.found] == [STOP, BATCHES, 2 * BATCHES]
    assert first.found + second.found + third.found == whole.found
    torch.testing.assert_close(third.state_dict(), whole.state_dict(), rtol=0, atol=0)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("where", "at"),
    [("on_train_batch_end", STOP), ("on_train_batch_end", STOP - 1), ("on_train_batch_end", BATCHES),
     ("on_train_epoch_start", BATCHES)],
)  # fmt: skip
def test_a_run_that_leaves_work_of_a_callback_continues_as_if_it_had_not(where: str, at: int, tmp_path: Path) -> None:
    whole, first, second = Validated(), Validated(), Validated()
    run(whole, tmp_path)
    with pytest.raises(SystemExit) as ended:
        run(first, tmp_path, where, at, leaves=True)
    assert ended.value.code == 128 + signal.SIGTERM
    assert run(second, tmp_path, resume=True).global_step == 2 * BATCHES
    assert first.found + second.found == whole.found
    torch.testing.assert_close(second.state_dict(), whole.state_dict(), rtol=0, atol=0)
