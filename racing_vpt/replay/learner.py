"""Interface of models that learn from segments."""

from __future__ import annotations

from typing import Protocol

from racing_vpt.data.codes import CodesFrames
from racing_vpt.types import PartRequest


class Learner(Protocol):
    """A model trained on `PartBatch`."""

    @property
    def control_names(self) -> tuple[str, ...]:
        """Names of the components of an action."""

    @property
    def updates_per_epoch(self) -> int:
        """Batches in an epoch, including those of parts that do not learn yet."""

    @property
    def coder(self) -> CodesFrames | None:
        """Encoder whose codes replace recorded frames during the whole run. None: batches hold frames."""

    def wanted(self, step: int) -> PartRequest:
        """The batch that an update needs; updates count from 0."""
