"""Progress of a training, and the early validation."""

from __future__ import annotations

import pytest
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.demos.boring_classes import BoringModel

from racing_vpt.callbacks.early_validation import EarlyValidation
from racing_vpt.callbacks.fit_progress import FitProgress, next_validation, progress_line, total_steps


class Noted(Callback):
    """Records the steps of validations, and the predicted next one after each step."""

    def __init__(self) -> None:
        self.validated: list[int] = []
        self.foretold: list[int | None] = []

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.validated.append(trainer.global_step)

    def on_train_batch_end(self, trainer: Trainer, *others: object, **more: object) -> None:
        self.foretold.append(next_validation(trainer))


def fitted(*callbacks: Callback, **settings: object) -> tuple[Trainer, Noted]:
    noted = Noted()
    trainer = Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_model_summary=False, limit_val_batches=1,
        num_sanity_val_steps=0, callbacks=[noted, *callbacks], **settings,
    )  # fmt: skip
    trainer.fit(BoringModel())
    return trainer, noted


def test_progress_shows_steps_rate_time_left_and_next_validation() -> None:
    line = progress_line(85, 6000, 0, 85 / 1.87, 1000)
    assert line == "85 of 6,000 steps, 1.87 steps/s, 52:43 left, next validation at step 1,000"
    assert progress_line(1100, 1200, 1000, 50.0, None) == "1,100 of 1,200 steps, 2 steps/s, 00:50 left"
    assert progress_line(3, None, 0, 1.0, None) == "3 steps, 3 steps/s"


@pytest.mark.parametrize(
    ("settings", "validated"),
    [
        ({"max_steps": 10, "val_check_interval": 4, "check_val_every_n_epoch": None, "limit_train_batches": 3}, [4, 8]),
        ({"max_steps": 12, "limit_train_batches": 3, "check_val_every_n_epoch": 2}, [6, 12]),
        ({"max_epochs": 2, "limit_train_batches": 4, "val_check_interval": 2}, [2, 4, 6, 8]),
        ({"max_steps": 6, "val_check_interval": 4, "check_val_every_n_epoch": None, "accumulate_grad_batches": 2,
          "limit_train_batches": 12}, [2, 4, 6]),
    ],
)  # fmt: skip
def test_the_next_validation_is_predicted(settings: dict[str, object], validated: list[int]) -> None:
    trainer, noted = fitted(FitProgress(), **settings)
    assert noted.validated == validated
    assert {step for step in noted.foretold if step is not None} == set(validated)
    assert trainer.global_step == total_steps(trainer)


def test_one_validation_comes_early_and_the_others_on_schedule() -> None:
    settings = {"max_steps": 20, "val_check_interval": 8, "check_val_every_n_epoch": None, "limit_train_batches": 5}
    assert fitted(EarlyValidation(3), **settings)[1].validated == [3, 8, 16]
    assert fitted(EarlyValidation(50), **settings)[1].validated == [8, 16]


def test_progress_is_written_as_lines_to_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    fitted(FitProgress(), max_steps=5, default_root_dir="runs/idm/mine", check_val_every_n_epoch=None,
           val_check_interval=2)  # fmt: skip
    lines = [line for line in capsys.readouterr().err.splitlines() if "steps" in line]
    assert "runs/idm/mine: 5 steps, next validation at step 2; stop with Ctrl-C" in lines[0]
    assert "5 of 5 steps" in lines[-1]
