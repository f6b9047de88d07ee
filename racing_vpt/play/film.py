"""A film of an episode that a person can read: the picture enlarged, and beside it score, speed and controls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from racing_vpt.files import TEMPORARY, publish
from racing_vpt.play.panel import BACKGROUND, BOX_WIDTH, box_height, draw_box, fitting, write
from racing_vpt.types import Controls, Frame, FrameRecord
from racing_vpt.video.encode import VideoWriter

Beside = Callable[[Frame, Controls], list[tuple[str, Frame]]]
"""Pictures uint8 [H, W, 3] to be shown beside a frame that is answered with controls, each with its name."""

ROWS = 384  # to which a picture is enlarged, about
PANEL_WIDTH = BOX_WIDTH + 16
BOX_TOP = 136  # rows of text above the controls
GAP = 4  # columns between pictures


class FilmWriter:
    """Writes an mp4 as a rollout goes; published under its name when the episode is over.

    Args:
        path: the mp4 file.
        title: written on top, such as who drives which seed.
        frames_per_second: rate of the environment.
        scale: how many times the picture is enlarged; None: to about 384 rows.
        beside: makes what is shown between the frame and the panel, as wide as the frame.
    """

    def __init__(
        self,
        path: Path,
        title: str,
        frames_per_second: float = 50.0,
        scale: int | None = None,
        beside: Beside | None = None,
    ) -> None:
        if scale is not None and scale < 1:
            raise ValueError(f"a film is enlarged a whole number of times from 1 on, but {scale} was given")
        self.path, self.title, self.scale, self.beside = path, title, scale, beside
        self.frames_per_second = frames_per_second
        self.meta: dict[str, object] = {}
        self.score = 0.0
        self.temporary = path.with_name(TEMPORARY + path.name)
        self.video: VideoWriter | None = None
        path.parent.mkdir(parents=True, exist_ok=True)

    def add(self, frame: Frame, record: FrameRecord) -> None:
        picture = self.draw(frame, record)
        if self.video is None:
            height, width = picture.shape[:2]
            # Players and browsers want yuv420p; on an enlarged picture it loses nothing.
            self.video = VideoWriter(
                self.temporary, self.frames_per_second, height, width, crf=20, pixel_format="yuv420p"
            )
        self.video.add(picture)
        self.score += record.reward or 0.0

    def draw(self, frame: Frame, record: FrameRecord) -> Frame:
        """The enlarged frame with its panel, uint8 [H', W', 3], both even."""
        more = self.beside(frame, dict(record.action)) if self.beside else []
        return film_picture(frame, record, self.title, self.score, self.scale, more)

    def close(self) -> None:
        if self.video is not None:
            self.video.close()
            publish(self.temporary, self.path)

    def abort(self) -> None:
        self.temporary.unlink(missing_ok=True)


def film_picture(
    frame: Frame,
    record: FrameRecord,
    title: str,
    score: float,
    scale: int | None = None,
    more: Sequence[tuple[str, Frame]] = (),
) -> Frame:
    """A frame enlarged, with title, score and controls beside it, uint8 [H', W', 3], both even.

    Args:
        frame: uint8 [H, W, 3].
        record: its time and controls.
        title: written on top.
        score: so far.
        scale: how many times the frame is enlarged; None: to about 384 rows.
        more: pictures between the frame and the panel, each with its name; all are made as wide as the frame.
    """
    scale = scale or max(1, round(ROWS / frame.shape[0]))
    height, width = (side * scale for side in frame.shape[:2])
    large = cv2.resize(frame, (width, height), interpolation=cv2.INTER_CUBIC)
    panel = np.full((max(height, BOX_TOP + box_height([*record.action])), PANEL_WIDTH, 3), BACKGROUND, np.uint8)
    speed = record.observation.get("speed")
    lines = [fitting(title, PANEL_WIDTH - 24), f"{record.timestamp:6.2f} s", f"score {score:7.1f}"]
    if isinstance(speed, float):
        lines.append(f"speed {speed:7.1f}")
    if record.perturbed:
        lines.append("disturbed")
    for number, line in enumerate(lines):
        write(panel, line, (12, 26 + 22 * number))
    draw_box(panel, (8, BOX_TOP), record.action)
    large = cv2.copyMakeBorder(large, 0, len(panel) - height, 0, 0, cv2.BORDER_CONSTANT, value=BACKGROUND)
    others = [captioned(picture, name, large.shape, width) for name, picture in more]
    film = np.concatenate([large, *others, panel], 1)
    return film[: film.shape[0] // 2 * 2, : film.shape[1] // 2 * 2]


def captioned(picture: Frame, name: str, shape: tuple[int, ...], width: int) -> Frame:
    """The picture as wide as asked for in a column uint8 of that shape, its name below it or, without room, on it."""
    column = np.full((shape[0], width + GAP, 3), BACKGROUND, np.uint8)
    height = min(shape[0], round(width * picture.shape[0] / picture.shape[1]))
    column[:height, GAP:] = cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC)
    write(column, name, (GAP + 8, min(height + 24, shape[0] - 8)))
    return column
