"""A film of an episode that a person can read: the picture enlarged, and beside it score, speed and controls."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from racing_vpt.data.encode import VideoWriter
from racing_vpt.data.files import TEMPORARY, publish
from racing_vpt.types import Frame, FrameRecord

ROWS = 384  # to which a picture is enlarged, about
PANEL_WIDTH = 192
TEXT, FAINT = (235, 235, 235), (90, 90, 90)
COLOURS = {"steering": (90, 170, 255), "throttle": (90, 210, 110), "brake": (240, 90, 80)}


class FilmWriter:
    """Writes an mp4 as a rollout goes; published under its name when the episode is over.

    Args:
        path: the mp4 file.
        title: written on top, such as who drives which seed.
        frames_per_second: rate of the environment.
        scale: how many times the picture is enlarged; None: to about 384 rows.
    """

    def __init__(self, path: Path, title: str, frames_per_second: float = 50.0, scale: int | None = None) -> None:
        if scale is not None and scale < 1:
            raise ValueError(f"a film is enlarged a whole number of times from 1 on, but {scale} was given")
        self.path, self.title, self.scale = path, title, scale
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
        scale = self.scale or max(1, round(ROWS / frame.shape[0]))
        height, width = (side * scale for side in frame.shape[:2])
        large = cv2.resize(frame, (width, height), interpolation=cv2.INTER_CUBIC)
        panel = np.full((max(height, 250), PANEL_WIDTH, 3), 24, np.uint8)
        speed = record.observation.get("speed")
        lines = [self.title, f"{record.timestamp:6.2f} s", f"score {self.score:7.1f}"]
        if isinstance(speed, float):
            lines.append(f"speed {speed:7.1f}")
        if record.perturbed:
            lines.append("disturbed")
        for number, line in enumerate(lines):
            cv2.putText(panel, line, (12, 26 + 22 * number), cv2.FONT_HERSHEY_SIMPLEX, 0.45, TEXT, 1, cv2.LINE_AA)
        for number, (name, value) in enumerate(record.action.items()):
            draw_bar(panel, 150 + 36 * number, name, value)
        large = cv2.copyMakeBorder(large, 0, len(panel) - height, 0, 0, cv2.BORDER_CONSTANT)
        film = np.concatenate([large, panel], 1)
        return film[: film.shape[0] // 2 * 2, : film.shape[1] // 2 * 2]

    def close(self) -> None:
        if self.video is not None:
            self.video.close()
            publish(self.temporary, self.path)

    def abort(self) -> None:
        self.temporary.unlink(missing_ok=True)


def draw_bar(panel: Frame, top: int, name: str, value: float) -> None:
    """A control as a bar: steering to both sides of the middle, pedals from the left."""
    left, right = 12, PANEL_WIDTH - 12
    zero = (left + right) // 2 if name in ("steering", "gear_change") else left
    end = round(zero + value * (right - zero))
    label = f"{name} {value:+.2f}"
    cv2.putText(panel, label, (left, top), cv2.FONT_HERSHEY_SIMPLEX, 0.4, TEXT, 1, cv2.LINE_AA)
    cv2.rectangle(panel, (left, top + 6), (right, top + 16), FAINT, 1)
    cv2.rectangle(panel, (min(zero, end), top + 6), (max(zero, end), top + 16), COLOURS.get(name, TEXT), -1)
