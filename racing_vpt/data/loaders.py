"""Data loaders whose data sets give whole batches, in an order that the trainer's step decides."""

from __future__ import annotations

import signal
from typing import Any

from torch.utils.data import DataLoader


class ResumableLoader(DataLoader):
    """A loader that Lightning accepts as resumable. It has no state: its sampler asks the trainer for the step."""

    def state_dict(self) -> dict[str, int]:
        """Nothing."""
        return {}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Nothing to do."""


def leave_signals_to_the_parent(worker: int) -> None:
    """Ignore signals to the process group: the parent still needs the last batch, saves, and ends the workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)


def as_it_is(batch: object) -> object:
    """The collate function of data sets that give whole batches."""
    return batch


WHOLE_BATCHES: dict[str, Any] = {
    "batch_size": None,
    "collate_fn": as_it_is,
    "worker_init_fn": leave_signals_to_the_parent,
}
"""Arguments of a `DataLoader` whose data set gives whole batches."""
