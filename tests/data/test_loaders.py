"""Workers that load data: batches come by shared memory, and where that is full the run ends instead of waiting."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from racing_vpt.cli.errors import explain
from racing_vpt.data.loaders import WHOLE_BATCHES, workers
from racing_vpt.types import Batch

FRAMES = torch.arange(48, dtype=torch.uint8).reshape(1, 2, 2, 4, 3)


def batch() -> Batch:
    flags = torch.ones(1, 2, dtype=torch.bool)
    return Batch(FRAMES.clone(), {"steering": torch.zeros(1, 2)}, flags, flags, flags.float(), ids=["a"])


def test_a_batch_comes_from_a_worker_as_it_was_and_not_later_than_its_limit() -> None:
    loader = DataLoader([batch()], **workers(1), **WHOLE_BATCHES)  # type: ignore[arg-type]
    (got,) = loader
    assert torch.equal(got.frames, FRAMES)
    assert got.frames.is_shared()
    assert loader.timeout > 0
    assert DataLoader([batch()], **workers(0), **WHOLE_BATCHES).timeout == 0  # type: ignore[arg-type]


def test_full_shared_memory_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(tensor: Tensor) -> Tensor:
        raise RuntimeError("unable to allocate shared memory(shm) for file </torch_1>: No space left on device (28)")

    monkeypatch.setattr(Tensor, "share_memory_", full)  # the worker is forked
    with pytest.raises(ValueError, match="num_workers 0") as raised:
        list(DataLoader([batch()], **workers(1), **WHOLE_BATCHES))  # type: ignore[arg-type]
    said = explain(raised.value) or ""
    assert re.match(r"workers hand batches over in /dev/shm, where \d+ MiB are free: .*--shm-size 2g\)$", said)
