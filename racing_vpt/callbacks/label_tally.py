"""Summary of a labelling: how many videos were labelled, skipped or failed, and what makes their labels doubtful."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SAME_RATE = 0.01  # relative difference between frame rates that needs no resampling


@dataclass
class Tally:
    """Numbers of videos, and of frames.

    Args:
        frames_per_second: the model's frame rate; None: it reads every frame of any rate.
        context: frames on either side that a label depends on; None: the whole window.
        done: videos labelled now.
        skipped: videos labelled before.
        frames: frames labelled now.
        resampled: videos of another frame rate than the model's.
        short: videos with fewer frames than the context of one label.
        portrait: videos taller than wide, which a game's frames are not.
        failed: reason by name of video.
    """

    frames_per_second: float | None = None
    context: int | None = None
    done: int = 0
    skipped: int = 0
    frames: int = 0
    resampled: int = 0
    short: int = 0
    portrait: int = 0
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def least_frames(self) -> int:
        """Frames of the context of one label."""
        return 2 * (self.context or 0) + 1

    def count(self, num_frames: int, frames_per_second: float, portrait: bool = False) -> None:
        """Count a labelled video, of which the frames are counted already."""
        self.done += 1
        self.short += num_frames < self.least_frames
        self.portrait += portrait
        if self.frames_per_second is not None:
            self.resampled += abs(frames_per_second / self.frames_per_second - 1) > SAME_RATE

    def add(self, other: Tally) -> None:
        """Add the videos of another rank; `skipped` is the same on all."""
        for name in ("done", "frames", "resampled", "short", "portrait"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.failed |= other.failed

    def lines(self, folder: Path, seconds: float) -> Iterator[str]:
        """The summary, line by line."""
        speed = self.frames / max(1e-6, seconds)
        yield (
            f"labelled {self.done} videos, {self.frames} frames at {speed:.0f} frames/s, into {folder}; "
            f"{self.skipped} labelled before; {len(self.failed)} failed"
        )
        if self.resampled:
            yield (
                f"  {self.resampled} had another frame rate than the model's {self.frames_per_second:g} frames/s: "
                "frames were repeated or left out, so their labels are less reliable"
            )
        if self.short:
            yield f"  {self.short} had fewer than {self.least_frames} frames, which a label depends on"
        if self.portrait:
            yield (
                f"  {self.portrait} were taller than wide and are stretched to the model's picture, as no game's video "
                "that it learned from was; cut them to the game's picture first"
            )
        yield from (f"  {name}: {why}" for name, why in sorted(self.failed.items()))
