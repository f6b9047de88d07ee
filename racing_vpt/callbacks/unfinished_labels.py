"""Labels of a video while they are being written, window by window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import IO

from torch import Tensor

from racing_vpt.callbacks.label_reliability import DIGITS, Reliability
from racing_vpt.data.lines import to_line
from racing_vpt.data.windows import PredictWindow
from racing_vpt.files import Draft
from racing_vpt.models.idm import IDM
from racing_vpt.types import FrameRecord


@dataclass(frozen=True)
class WindowLabels:
    """Labels of a window of T frames.

    Args:
        controls: float32 [T] by control.
        confidence: float32 [T].
        errors: expected errors, float32 [T] by axis.
        likeness: likeness of the window to the training data, from 0 to 1; None: not known.
    """

    controls: Mapping[str, Tensor]
    confidence: Tensor
    errors: Mapping[str, Tensor]
    likeness: float | None


@dataclass
class Unfinished:
    """A video whose labels are being written."""

    draft: Draft
    file: IO[str]
    reliability: Reliability = field(default_factory=Reliability)

    @property
    def frames(self) -> int:
        """Number of lines so far."""
        return self.reliability.frames

    def append(self, window: PredictWindow, labels: WindowLabels) -> None:
        """Append the lines of the source frames that a window labels."""
        rows = window.source_rows
        controls, errors = (
            {name: rounded(values[rows]) for name, values in each.items()} for each in (labels.controls, labels.errors)
        )
        trust = rounded(labels.confidence[rows])
        for place, frame in enumerate(window.source_frames.tolist()):
            action, error = ({name: values[place] for name, values in each.items()} for each in (controls, errors))
            seconds = float(window.source_timestamps[place])
            record = FrameRecord(frame, seconds, action, confidence=trust[place], expected_error=error)
            self.file.write(to_line(record) + "\n")
        self.reliability.count(trust, errors, labels.likeness)

    def discard(self) -> None:
        """Drop the lines so far."""
        self.file.close()
        self.draft.discard()


def rounded(values: Tensor) -> list[float]:
    """The numbers with as many decimals as are written; half a bin of any scheme is a hundred times coarser."""
    return values.double().numpy().round(DIGITS).tolist()


def made_by(module: IDM) -> dict[str, object]:
    """Everything that determines a model's labels: weights, scheme, frames, and how a label is chosen."""
    return {
        "checkpoint": module.fingerprint(),
        "label": module.label,
        "frames": asdict(module.frames),
    }
