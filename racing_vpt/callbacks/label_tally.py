"""Numbers of videos labelled by `predict`, over all processes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Tally:
    """Numbers of videos labelled, skipped and failed."""

    done: int = 0
    skipped: int = 0
    frames: int = 0
    failed: dict[str, str] = field(default_factory=dict)

    @classmethod
    def total(cls, tallies: Iterable[Tally | None], skipped: int) -> Tally:
        """The sum over processes, all of which skipped the same videos."""
        total = cls(skipped=skipped)
        for tally in filter(None, tallies):
            total.done, total.frames = total.done + tally.done, total.frames + tally.frames
            total.failed |= tally.failed
        return total

    def describe(self, seconds: float, folder: Path) -> str:
        """One line, and one for each video that failed."""
        speed = self.frames / max(1e-6, seconds)
        return "\n".join([
            f"labelled {self.done} videos, {self.frames} frames at {speed:.0f} frames/s, into {folder}; "
            f"{self.skipped} were done before; {len(self.failed)} failed",
            *(f"  {name}: {why}" for name, why in sorted(self.failed.items())),
        ])  # fmt: skip
