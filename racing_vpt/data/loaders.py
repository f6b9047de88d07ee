"""Data loaders for data sets of whole batches, in an order given by the trainer's step."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader, get_worker_info

SHARED_MEMORY = "/dev/shm"
SECONDS_FOR_A_BATCH = 3600.0  # a video of many gigabytes is hashed, and a bad server asked again, before there is one


class ResumableLoader(DataLoader):
    """A loader that Lightning accepts as resumable, without state: its sampler asks the trainer for the step."""

    def state_dict(self) -> dict[str, int]:
        """Nothing."""
        return {}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Nothing to do."""


def leave_signals_to_the_parent(worker: int) -> None:
    """Ignore signals to the process group in a worker: the parent needs its last batch, and ends it after saving."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)


def as_it_is(batch: object) -> object:
    """Collate function for data sets of whole batches; in a worker it moves their tensors to shared memory.

    DataLoader would do so in a thread of the worker, where a full `/dev/shm` loses the batch and leaves the parent
    waiting for it.

    Raises:
        ValueError: `/dev/shm` is full.
    """
    if get_worker_info() is not None:
        try:
            _share(batch)
        except RuntimeError as error:
            free = shutil.disk_usage(SHARED_MEMORY).free / 2**20 if Path(SHARED_MEMORY).is_dir() else 0.0
            raise ValueError(
                f"workers hand batches over in {SHARED_MEMORY}, where {free:.0f} MiB are free: load in the main "
                "process (--data.loading.num_workers 0; of predict: --data.num_workers 0), or give a container more "
                "(docker run --shm-size 2g)"
            ) from error
    return batch


def workers(number: int) -> dict[str, Any]:
    """Arguments of a `DataLoader` with so many worker processes, which fails where a batch never comes."""
    return {"num_workers": number, "timeout": SECONDS_FOR_A_BATCH if number else 0}


def _share(value: object) -> None:
    if isinstance(value, Tensor):
        value.share_memory_()
    elif isinstance(value, Mapping):
        _share(list(value.values()))
    elif isinstance(value, list | tuple):
        for each in value:
            _share(each)
    elif is_dataclass(value):
        _share(list(vars(value).values()))


WHOLE_BATCHES: dict[str, Any] = {
    "batch_size": None,
    "collate_fn": as_it_is,
    "worker_init_fn": leave_signals_to_the_parent,
}
"""Arguments of a `DataLoader` for a data set of whole batches."""
