"""Data loaders for data sets of whole batches, in an order given by the trainer's step."""

from __future__ import annotations

import signal
from typing import Any

from torch.utils.data import DataLoader


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
    """Collate function for data sets of whole batches."""
    return batch


WHOLE_BATCHES: dict[str, Any] = {
    "batch_size": None,
    "collate_fn": as_it_is,
    "worker_init_fn": leave_signals_to_the_parent,
}
"""Arguments of a `DataLoader` for a data set of whole batches."""
