"""Options of a `SegmentDataModule` for driving and validation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Collecting:
    """Driving for the replay buffer by a callback (`callbacks/collection.py`).

    Args:
        env: environment; None: that of the model's game.
        decisions: decisions before each epoch; 0: none.
        epochs: number of epochs before which to drive, from the first; None: all.
        warm_up: smallest number of decisions before the first epoch.
    """

    env: str | None = None
    decisions: int = 0
    epochs: int | None = None
    warm_up: int = 1_000

    def __post_init__(self) -> None:
        if self.decisions < 0 or self.warm_up < 1:
            raise ValueError(
                f"decisions must be at least 0 and warm_up at least 1, but they are {self.decisions} and {self.warm_up}"
            )

    def before(self, epoch: int) -> int:
        """Decisions to drive before an epoch."""
        wanted = self.decisions if self.epochs is None or epoch < self.epochs else 0
        return max(wanted, self.warm_up) if epoch == 0 and self.decisions else wanted


@dataclass(frozen=True)
class Validation:
    """Batches of validation.

    Args:
        rows: clips in a batch.
        frames: frames in a clip.
        steps: largest number of batches.
    """

    rows: int = 16
    frames: int = 40
    steps: int = 4

    def __post_init__(self) -> None:
        if min(self.rows, self.frames, self.steps) < 1:
            raise ValueError(
                f"rows, frames, steps must be at least 1, but are {self.rows}, {self.frames}, {self.steps}"
            )
