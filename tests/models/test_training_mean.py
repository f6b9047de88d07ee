"""The mean of the training clips, and unchanged older checkpoints."""

from __future__ import annotations

import json

import pytest
import torch

from racing_vpt.checkpoints.load import ZOO, load_module
from racing_vpt.models.idm import IDM
from racing_vpt.models.timed_idm import TimedIDM


def test_the_mean_is_over_all_valid_frames() -> None:
    model = TimedIDM()
    assert model.mean_controls is None
    columns = {name: torch.rand(4, 6, generator=torch.Generator().manual_seed(0)) for name in model.scheme.controls}
    weight = torch.ones(4, 6)
    weight[2, 3:] = 0
    for rows in (slice(0, 1), slice(1, 4)):
        model.add_to_training_mean({name: column[rows] for name, column in columns.items()}, weight[rows])
    assert model.mean_controls is not None
    for name, mean in model.mean_controls.items():
        assert mean == pytest.approx(columns[name][weight > 0].mean().item())


@pytest.mark.parametrize("name", ["idm-carracing", "idm-carracing-video"])
def test_a_checkpoint_without_the_mean_keeps_its_fingerprint(name: str) -> None:
    model = load_module(f"zoo:{name}")
    assert isinstance(model, IDM)
    recorded = json.loads((ZOO / name / "config.json").read_text())["fingerprint"]
    assert model.fingerprint() == recorded
    model.training_frames.fill_(1)
    assert model.fingerprint() != recorded


def test_an_older_run_without_the_mean_resumes() -> None:
    model = TimedIDM()
    checkpoint = {"state_dict": model.set_only(model.state_dict())}
    assert "training_mean" not in checkpoint["state_dict"]
    model.on_load_checkpoint(checkpoint)
    model.load_state_dict(checkpoint["state_dict"], strict=True)
