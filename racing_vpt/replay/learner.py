"""What a model says about the segments that it learns from."""

from __future__ import annotations

from typing import Protocol

from racing_vpt.data.codes import CodesFrames
from racing_vpt.types import PartRequest


class Learner(Protocol):
    """A model that learns from these batches."""

    @property
    def control_names(self) -> tuple[str, ...]:
        """Names of an action's numbers."""

    @property
    def updates_per_epoch(self) -> int:
        """Batches in an epoch, including those of parts that do not learn yet."""

    @property
    def coder(self) -> CodesFrames | None:
        """The encoder whose codes replace recorded frames, the same for the whole run. None: frames are given."""

    def wanted(self, step: int) -> PartRequest:
        """What the update of this number, from 0, learns from."""
