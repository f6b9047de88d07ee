"""Time line: labels and true controls around the current frame, and an overview of where they differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import cv2
import numpy as np

from racing_vpt.data.lines import RANGES
from racing_vpt.types import Frame
from racing_vpt.window.text import BACKGROUND, DARK, FAINT, PRESSED, QUIET, RAISED, RIGHT, TEXT, WRONG, mixed, write

SECONDS = 4.0  # on either side of the current frame
TRACKS = 4  # maximum number of controls drawn
TRACK, GAP, OVERVIEW, MARGIN, NAMES = 40, 6, 14, 16, 96  # pixels


@dataclass(frozen=True)
class TimeLine:
    """Curves of controls below a video.

    Args:
        said: controls [T] by name, as labelled.
        true: true controls [T] by name; None if unknown.
        agreed: bool [T] by name, whether the two agree; empty if the truth is unknown.
        frames_per_second: frame rate of the video.
    """

    said: Mapping[str, np.ndarray]
    true: Mapping[str, np.ndarray] | None
    agreed: Mapping[str, np.ndarray]
    frames_per_second: float

    @cached_property
    def names(self) -> list[str]:
        """The controls to draw: those of a car, or those that change most often."""
        changes = {name: np.count_nonzero(np.diff(values)) for name, values in self.said.items()}
        car = [name for name in self.said if name in RANGES and changes[name]]
        return (car or sorted(changes, key=lambda name: -changes[name]))[:TRACKS]

    @cached_property
    def limits(self) -> dict[str, tuple[float, float]]:
        """Values at the lower and upper edge of a curve: the range, with 0 in the middle if both signs occur."""
        found = {}
        for name in self.names:
            both = [self.said[name], *([] if self.true is None else [self.true[name]])]
            low, high = min(float(one.min()) for one in both), max(float(one.max()) for one in both)
            reach = max(abs(low), abs(high), 0.1)
            found[name] = (-reach, reach) if low < 0 else (0.0, reach)
        return found

    @cached_property
    def right(self) -> np.ndarray:
        """Whether all controls are right, bool [T]."""
        length = len(next(iter(self.said.values())))
        return np.all(list(self.agreed.values()), axis=0) if self.agreed else np.ones(length, bool)

    @property
    def height(self) -> int:
        """Height in rows."""
        return len(self.names) * (TRACK + GAP) + OVERVIEW + 2 * MARGIN

    def next_disagreement(self, index: int, step: int) -> int | None:
        """First frame of the next (step 1) or previous (step -1) run of wrong frames."""
        begins = np.flatnonzero(~self.right & np.concatenate([[True], self.right[:-1]]))
        others = begins[begins > index] if step > 0 else begins[begins < index]
        return None if not len(others) else int(others[0 if step > 0 else -1])

    def draw(self, width: int, index: int) -> Frame:
        """The time line at a frame, uint8 [height, width, 3]."""
        canvas = np.full((self.height, width, 3), BACKGROUND, np.uint8)
        canvas[0] = DARK
        left, right = NAMES, width - MARGIN
        for row, name in enumerate(self.names):
            self._draw_track(canvas, name, (left, MARGIN + row * (TRACK + GAP)), right - left, index)
        middle = (left + right) // 2
        bottom = MARGIN + len(self.names) * (TRACK + GAP) - GAP
        cv2.line(canvas, (middle, MARGIN), (middle, bottom), TEXT, 1)
        self._draw_overview(canvas, (left, bottom + GAP + 4), right - left, index)
        return canvas

    def _draw_track(self, canvas: Frame, name: str, at: tuple[int, int], width: int, index: int) -> None:
        left, top = at
        cv2.rectangle(canvas, (left, top), (left + width, top + TRACK), RAISED, -1)
        write(canvas, name.replace("_", " ")[:12], (MARGIN, top + TRACK // 2 + 5), QUIET, size=12)
        reach = SECONDS * self.frames_per_second
        places = np.arange(max(0, int(index - reach)), min(len(self.right), int(index + reach) + 1))
        x = left + (places - index + reach) / (2 * reach) * width
        if name in self.agreed:
            for place in np.flatnonzero(~self.agreed[name][places]):
                cv2.rectangle(
                    canvas,
                    (round(x[place]), top),
                    (round(x[place] + width / (2 * reach)), top + TRACK),
                    mixed(RAISED, WRONG, 0.35),
                    -1,
                )
        low, high = self.limits[name]
        if low < 0 < high:
            middle = round(top + TRACK - 3 - (0 - low) / (high - low) * (TRACK - 6))
            cv2.line(canvas, (left, middle), (left + width, middle), DARK, 1)
        columns = ([] if self.true is None else [(self.true[name], TEXT)]) + [(self.said[name], PRESSED)]
        for values, colour in columns:
            y = top + TRACK - 3 - (np.clip(values[places], low, high) - low) / (high - low) * (TRACK - 6)
            points = np.stack([x, y], 1).round().astype(np.int32)[:, None]
            cv2.polylines(canvas, [points], False, colour, 1, cv2.LINE_AA)

    def _draw_overview(self, canvas: Frame, at: tuple[int, int], width: int, index: int) -> None:
        """Draw the whole video, red where labels are wrong, and the current position."""
        left, top = at
        write(canvas, "whole video", (MARGIN, top + 11), QUIET, size=11)
        edges = np.linspace(0, len(self.right), width + 1).astype(int)
        share = np.array([self.right[a : max(b, a + 1)].mean() for a, b in pairwise(edges)])
        colours = np.array(WRONG) + (np.array(RIGHT) - WRONG) * share[:, None] if self.agreed else np.array([FAINT])
        canvas[top : top + OVERVIEW - 4, left : left + width] = colours * 0.75
        place = left + round(index / max(1, len(self.right) - 1) * (width - 1))
        cv2.rectangle(canvas, (place - 2, top - 3), (place + 2, top + OVERVIEW - 1), TEXT, -1)
