"""Linear schedules over the batches of training."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Ramp:
    """A number that changes linearly from one value to another and then stays constant.

    Args:
        start: value at the first batch, in [0, 1].
        end: value after `steps` batches, in [0, 1].
        steps: batches from start to end; 0: `end` from the beginning.
    """

    start: float
    end: float
    steps: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.start <= 1 or not 0 <= self.end <= 1 or self.steps < 0:
            raise ValueError(
                f"start and end are between 0 and 1 and steps at least 0, but they are {self.start}, {self.end} and "
                f"{self.steps}"
            )

    def at(self, step: int) -> float:
        """The value at a batch."""
        return self.start + (self.end - self.start) * (min(1.0, step / self.steps) if self.steps else 1.0)
