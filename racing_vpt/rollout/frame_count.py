"""How many frames of each episode were driven, in a small file that several processes write and one reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np


class FrameCount:
    """A number for each seed in a memory-mapped file. Each episode has one writer, so that no lock is needed.

    Args:
        path: the file; made where it does not exist.
        seeds: of the episodes, in the same order in every process.
    """

    def __init__(self, path: Path, seeds: Sequence[int]) -> None:
        self.places = {seed: place for place, seed in enumerate(seeds)}
        mode = "r+" if path.is_file() else "w+"
        self.frames = np.memmap(path, dtype=np.int64, mode=mode, shape=(max(1, len(seeds)),))  # type: ignore[call-overload]

    def note(self, seed: int, frames: int) -> None:
        """So many frames of that episode were driven."""
        self.frames[self.places[seed]] = frames

    def total(self) -> int:
        """Frames of all episodes."""
        return int(self.frames.sum())
