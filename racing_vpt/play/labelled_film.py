"""A video beside its labels, frame by frame: labels, true controls, and how often they agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from racing_vpt.data.agreement import agreement
from racing_vpt.play.controls_box import box_height, draw_box, used
from racing_vpt.play.time_line import TimeLine
from racing_vpt.play.widgets import BOX_WIDTH, strength_of
from racing_vpt.types import Frame
from racing_vpt.video.decoders import Video
from racing_vpt.window.text import (
    BACKGROUND,
    DARK,
    FAINT,
    PRESSED,
    QUIET,
    RIGHT,
    TEXT,
    WRONG,
    Colour,
    fitting,
    mixed,
    write,
)

MARGIN, HEADER, HEADING, ROW = 16, 78, 26, 20  # pixels: margin, and heights of the panel's parts
WIDEST = 960  # maximum columns of the enlarged picture
FEW = 8  # controls, above which the table has two columns
CHUNK = 64  # frames decoded at once


@dataclass
class LabelledFilm:
    """A video and the controls to show beside it.

    Args:
        video: its frames.
        title: title of the panel.
        said: controls [T] by name, as labelled.
        true: controls [T] by name, as recorded; None where they are not known.
        confidence: [T], of the labels; None where they have none.
        tolerance: difference of steering or a pedal that still counts as right.
        heading: heading of `said`.
        frames_per_second: frame rate of the video.
    """

    video: Video
    title: str
    said: dict[str, np.ndarray]
    true: dict[str, np.ndarray] | None = None
    confidence: np.ndarray | None = None
    tolerance: float = 0.1
    heading: str = "labelled"
    frames_per_second: float = 50.0

    def __len__(self) -> int:
        return self.video.num_frames

    @cached_property
    def agreed(self) -> dict[str, np.ndarray]:
        """Whether each label is right, bool [T] by name."""
        return {} if self.true is None else agreement(self.said, self.true, self.tolerance)

    @cached_property
    def running(self) -> dict[str, np.ndarray]:
        """Running share [T] of right labels by name; `""`: of frames with all controls right."""
        count = np.arange(1, len(self) + 1)
        every = np.all(list(self.agreed.values()), axis=0) if self.agreed else np.ones(len(self), bool)
        return {name: flags.cumsum() / count for name, flags in {**self.agreed, "": every}.items()}

    @cached_property
    def shown(self) -> list[str]:
        """Names of the controls to show: all but a gear that never changes."""
        both = dict(self.said)
        if self.true is not None and "gear_change" in self.true and "gear_change" in both:
            both["gear_change"] = np.concatenate([both["gear_change"], self.true["gear_change"]])
        return used(both)

    @cached_property
    def time_line(self) -> TimeLine:
        """The time line below the video."""
        said = {name: self.said[name] for name in self.shown}
        return TimeLine(said, self.true, self.agreed, self.frames_per_second)

    @property
    def panel_width(self) -> int:
        return 2 * MARGIN + BOX_WIDTH + (0 if self.true is None else MARGIN + BOX_WIDTH)

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of a picture of the film, both even."""
        rows, columns = self.above
        rows += self.time_line.height
        return rows + rows % 2, columns

    @cached_property
    def above(self) -> tuple[int, int]:
        """Rows and columns of video and panel, without the time line; columns are even."""
        rows = 0 if self.true is None else -(-len(self.shown) // self.table_columns) + 1
        height = HEADER + HEADING + box_height(self.shown) + MARGIN // 2 + rows * ROW + MARGIN // 2
        scaled = self.scaled(height)
        return max(height, scaled[0]), (scaled[1] + self.panel_width + 1) // 2 * 2

    @property
    def table_columns(self) -> int:
        return 2 if len(self.shown) > FEW else 1

    def scaled(self, height: int) -> tuple[int, int]:
        """Rows and columns of the video's picture beside a panel of `height` rows; enlarged by an integer factor."""
        scale = min(height / self.video.height, WIDEST / self.video.width)
        scale = float(int(scale)) if scale >= 2 else scale
        return round(self.video.height * scale), round(self.video.width * scale)

    def frame(self, index: int) -> Frame:
        """A frame of the video; decodes a chunk around it."""
        start = index // CHUNK * CHUNK
        if getattr(self, "_held_from", None) != start:
            self._held = self.video.read(np.arange(start, min(start + CHUNK, len(self))))
            self._held_from = start
        return self._held[index - start]

    def picture(self, index: int) -> Frame:
        """Picture for a frame, uint8 [H, W, 3]."""
        canvas = np.full((*self.shape, 3), BACKGROUND, np.uint8)
        height, width = self.above
        rows, columns = self.scaled(height)
        how = cv2.INTER_AREA if rows < self.video.height else cv2.INTER_NEAREST
        top = (height - rows) // 2
        canvas[top : top + rows, :columns] = cv2.resize(self.frame(index), (columns, rows), interpolation=how)
        panel = np.ascontiguousarray(canvas[:height, columns : columns + self.panel_width])
        self._draw_panel(panel, index)
        canvas[:height, columns : columns + self.panel_width] = panel
        below = self.time_line.draw(width, index)
        canvas[height : height + len(below)] = below
        return canvas

    def _draw_panel(self, panel: Frame, index: int) -> None:
        right = self.panel_width - MARGIN
        write(panel, fitting(self.title, right - MARGIN, bold=True), (MARGIN, 24), bold=True)
        seconds = float(self.video.timestamps[index])
        write(panel, f"frame {index + 1} of {len(self)}, {seconds:.2f} s", (MARGIN, 44), QUIET)
        strength = 1.0
        if self.confidence is not None:
            value = float(self.confidence[index])
            strength = strength_of(value)
            self._draw_confidence(panel, value, strength)
        marks = {name: RIGHT if flags[index] else WRONG for name, flags in self.agreed.items()}
        sides = [(self.heading, self.said, strength)] + ([] if self.true is None else [("true", self.true, 1.0)])
        for column, (heading, controls, strong) in enumerate(sides):
            left = MARGIN + column * (BOX_WIDTH + MARGIN)
            colour = PRESSED if column == 0 else TEXT  # as in the time line
            write(panel, heading, (left + BOX_WIDTH // 2, HEADER + 16), colour, align="centre", bold=True)
            values = {name: float(controls[name][index]) for name in self.shown}
            shown = {name: colour for name, colour in marks.items() if colour is WRONG or values.get(name, 0) > 0.5}
            draw_box(panel, (left, HEADER + HEADING), values, marks if len(marks) <= FEW else shown, strong)
        if self.true is not None:
            self._draw_table(panel, index, marks)

    def _draw_confidence(self, panel: Frame, value: float, strength: float) -> None:
        left, right, top = MARGIN + 124, self.panel_width - MARGIN, 54
        write(panel, f"confidence {value:.2f}", (MARGIN, 66))
        cv2.rectangle(panel, (left, top), (right, top + 14), DARK, -1)
        end = left + round(value * (right - left))
        cv2.rectangle(panel, (left, top), (end, top + 14), mixed(DARK, PRESSED, strength), -1)
        cv2.rectangle(panel, (left, top), (right, top + 14), FAINT, 1)

    def _draw_table(self, panel: Frame, index: int, marks: Mapping[str, Colour]) -> None:
        assert self.true is not None
        names = [name for name in self.shown if name in self.agreed]
        top = HEADER + HEADING + box_height(self.shown) + MARGIN // 2 + 14
        write(panel, f"right so far: every control at once {self.running[''][index]:.1%}", (MARGIN, top), QUIET)
        deep = -(-len(names) // self.table_columns)
        for place, name in enumerate(names):
            left = MARGIN + place // deep * (BOX_WIDTH + MARGIN)
            y = top + ROW * (place % deep + 1)
            if marks[name] is RIGHT:
                cv2.rectangle(panel, (left, y - 9), (left + 9, y), RIGHT, -1)
            else:  # shape differs too, for colour-blind viewers
                cv2.drawMarker(panel, (left + 5, y - 5), WRONG, cv2.MARKER_TILTED_CROSS, 11, 3)
            write(panel, name, (left + 16, y), TEXT)
            if self.table_columns == 1:
                said, true = self.said[name][index], self.true[name][index]
                write(panel, f"{said:+.2f}", (left + 150, y), PRESSED)
                write(panel, f"true {true:+.2f}", (left + 220, y))
            share = f"{self.running[name][index]:.1%}"
            write(panel, share, (left + (200, 400)[self.table_columns == 1], y), align="right")
