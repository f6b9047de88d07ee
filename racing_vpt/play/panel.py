"""The panel beside the picture in films and windows: driver, time, score, lap and controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from racing_vpt.play.controls_box import box_height, draw_box, used
from racing_vpt.play.widgets import BOX_WIDTH
from racing_vpt.types import Frame, FrameRecord
from racing_vpt.window.text import BACKGROUND, DARK, FAINT, PRESSED, QUIET, RAISED, TEXT, Colour, fitting, write

ROWS = 480  # maximum height of an enlarged picture; such a window fits every screen
MARGIN = 16
PANEL_WIDTH = BOX_WIDTH + 2 * MARGIN
LINE = 20  # pixels per line of text
GAP = 4  # columns between pictures
BAR = 30  # height of the line below the picture


@dataclass(frozen=True)
class Panel:
    """Content of the panel.

    Args:
        title: first line, bold.
        figures: names and values, one per line.
        progress: finished share of the lap, 0 to 1; None if there is no lap.
        controls: current controls by name.
    """

    title: str
    figures: Sequence[tuple[str, str]]
    progress: float | None = None
    controls: Mapping[str, float] = field(default_factory=dict)

    @property
    def top_of_box(self) -> int:
        """First row of the controls."""
        return 48 + LINE * (len(self.figures) + (self.progress is not None)) + 10

    @property
    def height(self) -> int:
        """Height of the panel."""
        shown = used(self.controls)
        return self.top_of_box + (box_height(shown) if shown else 0) + 4

    def draw(self, height: int) -> Frame:
        """The panel, uint8 [height, PANEL_WIDTH, 3]."""
        panel = np.full((height, PANEL_WIDTH, 3), BACKGROUND, np.uint8)
        right = PANEL_WIDTH - MARGIN
        write(panel, fitting(self.title, BOX_WIDTH, 14, bold=True), (MARGIN, 28), size=14, bold=True)
        y = 54
        for name, value in self.figures:
            write(panel, name, (MARGIN, y), QUIET)
            write(panel, fitting(value, BOX_WIDTH - 70), (right, y), align="right")
            y += LINE
        if self.progress is not None:
            share = float(np.clip(self.progress, 0, 1))
            write(panel, "lap", (MARGIN, y), QUIET)
            write(panel, f"{share:.0%}", (right, y), align="right")
            left, end = MARGIN + 70, right - 44
            cv2.rectangle(panel, (left, y - 9), (end, y - 3), DARK, -1)
            cv2.rectangle(panel, (left, y - 9), (left + round(share * (end - left)), y - 3), PRESSED, -1)
        shown = used(self.controls)
        if shown:
            draw_box(panel, (MARGIN, self.top_of_box), {name: self.controls[name] for name in shown})
        return panel


def figures_of(record: FrameRecord, score: float) -> list[tuple[str, str]]:
    """Time, score and speed of a frame, as far as known."""
    figures = [("time", f"{record.timestamp:.1f} s"), ("score", f"{score:.1f}")]
    speed = record.observation.get("speed")
    if isinstance(speed, float):
        figures.append(("speed", f"{speed:.0f}"))
    if record.perturbed:
        figures.append(("controls", "disturbed"))
    return figures


def progress_of(record: FrameRecord) -> float | None:
    """Finished share of the lap; None if unknown."""
    progress = record.observation.get("track_position")
    return float(progress) if isinstance(progress, float) else None


def with_panel(pictures: Sequence[Frame], panel: Panel) -> Frame:
    """Pictures uint8 [h, w, 3] and the panel side by side, uint8 [H, W, 3], both even."""
    height = max(*(len(picture) for picture in pictures), panel.height)
    columns = [_framed(picture, height, GAP * (place > 0)) for place, picture in enumerate(pictures)]
    whole = np.concatenate([*columns, panel.draw(height)], 1)
    return np.pad(whole, ((0, height % 2), (0, whole.shape[1] % 2), (0, 0)), mode="edge")


def enlarged(frame: Frame, scale: int | None = None, rows: int = ROWS) -> Frame:
    """The frame enlarged by an integer factor, which keeps its pixels sharp.

    Args:
        frame: uint8 [H, W, 3].
        scale: the factor; None: the largest that fits `rows`; a larger frame is shrunk to them.
        rows: see `scale`.
    """
    height, width = frame.shape[:2]
    if scale is None and height > rows:
        return cv2.resize(frame, (round(width * rows / height), rows), interpolation=cv2.INTER_AREA)
    times = scale or max(1, rows // height)
    return frame.repeat(times, 0).repeat(times, 1)


def captioned(picture: Frame, caption: str) -> Frame:
    """A copy of the picture with a caption in the lower left corner."""
    shown = np.concatenate([picture, np.full((26, picture.shape[1], 3), BACKGROUND, np.uint8)])
    write(shown, fitting(caption, picture.shape[1] - 12), (6, len(picture) + 18), QUIET)
    return shown


def with_bar(picture: Frame, left: str, right: str, colour: Colour = TEXT) -> Frame:
    """The picture with a line of text below it: uint8 [H, W, 3] becomes [H + BAR, W, 3].

    Args:
        picture: uint8 [H, W, 3].
        left: status.
        right: a hint.
        colour: of the left part.
    """
    bar = np.full((BAR, picture.shape[1], 3), RAISED, np.uint8)
    bar[0] = DARK
    write(bar, right, (picture.shape[1] - MARGIN, 20), FAINT, align="right")
    write(bar, fitting(left, picture.shape[1] - 3 * MARGIN - 8 * len(right)), (MARGIN, 20), colour)
    return np.concatenate([picture, bar])


def _framed(picture: Frame, height: int, gap: int) -> Frame:
    """The picture at the top of a column of `height` rows, with a gap to its left."""
    column = np.full((height, picture.shape[1] + gap, 3), BACKGROUND, np.uint8)
    column[: len(picture), gap:] = picture
    return column
