"""A stage goes on with fewer threads once other programs use the cores, and with all of them after that."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.demos.boring_classes import BoringModel

from racing_vpt.callbacks.follow_load import FollowLoad
from tests.test_free_cores import Machine, machine


class Model(BoringModel):
    """Notes the number of threads of each step; in the second one another program starts, and ends in the fourth."""

    def __init__(self, pretended: Machine) -> None:
        super().__init__()
        self.pretended, self.threads = pretended, list[int]()

    def predict_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        self.threads.append(torch.get_num_threads())
        self.pretended.busy = 3.0 if 1 <= batch_idx < 3 else 0.0
        self.pretended.sleep(1.5)
        return batch


@pytest.fixture
def threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def threads_of_a_stage(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Number of threads of each of five steps, beginning with four."""
    model = Model(machine(monkeypatch, folder, 0.0))
    torch.set_num_threads(4)
    trainer = Trainer(
        accelerator="cpu", logger=False, callbacks=[FollowLoad()], limit_predict_batches=5, enable_progress_bar=False
    )
    trainer.predict(model)
    return model.threads


@pytest.mark.usefixtures("threads_as_before")
def test_threads_follow_the_load_of_a_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert threads_of_a_stage(tmp_path, monkeypatch) == [4, 4, 1, 1, 4]
    assert caplog.text.count("goes on with 1 thread of 4") == 1


@pytest.mark.usefixtures("threads_as_before")
def test_what_was_compiled_for_some_threads_keeps_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch._dynamo.utils", SimpleNamespace(counters={"stats": {"unique_graphs": 1}}))
    assert threads_of_a_stage(tmp_path, monkeypatch) == [4, 4, 4, 4, 4]
