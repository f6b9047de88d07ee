"""Checkpoint of a run that ends by itself; signals are tested in `tests/faults/`."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.demos.boring_classes import BoringModel, RandomDataset
from torch.utils.data import DataLoader

from racing_vpt.callbacks.stop_signals import StopSignals


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
