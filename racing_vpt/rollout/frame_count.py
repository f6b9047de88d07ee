"""Frame counts of running episodes in a small memory-mapped file, which workers write and the progress bar reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np


class FrameCount:
    """One counter per seed in a memory-mapped file. Each has one writer, so that no lock is needed.

    Args:
        path: the file; created if it does not exist.
        seeds: seeds of the episodes, in the same order in every process.
    """

    def __init__(self, path: Path, seeds: Sequence[int]) -> None:
        self.places = {seed: place for place, seed in enumerate(seeds)}
        mode = "r+" if path.is_file() else "w+"
        self.frames = np.memmap(path, dtype=np.int64, mode=mode, shape=(max(1, len(seeds)),))  # type: ignore[call-overload]

    def note(self, seed: int, frames: int) -> None:
        """Set the number of frames driven in the episode of `seed`."""
        self.frames[self.places[seed]] = frames

    def total(self) -> int:
        """Total number of frames over all episodes."""
        return int(self.frames.sum())
