"""What `racing-vpt record` has recorded."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Recorded:
    """What was recorded.

    Args:
        paths: videos of the recordings.
        ended: why the recording ended; empty while it goes on.
        frames: number of frames.
        late: frames whose picture was not taken in time.
        notes: what happened, in order.
    """

    paths: list[Path] = field(default_factory=list)
    ended: str = ""
    frames: int = 0
    late: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def summary(self) -> str:
        """Numbers in one line."""
        share = self.late / max(1, self.frames)
        return (
            f"{len(self.paths)} recordings, {self.frames} frames; {self.late} were dropped and repeated ({share:.2%})"
        )
