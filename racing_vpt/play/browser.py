"""Films and trajectories of a run, to be leafed through and played again."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from racing_vpt.agents.key_controls import Keys
from racing_vpt.data.trajectory import Trajectory, read_trajectory
from racing_vpt.files import TEMPORARY
from racing_vpt.play.film import ROWS, film_picture
from racing_vpt.play.panel import BACKGROUND, TEXT, WRONG
from racing_vpt.play.player import Line, with_lines
from racing_vpt.types import Frame, FrameRecord
from racing_vpt.video.decode import open_video
from racing_vpt.video.decoders import Video

FOLDERS = ("episodes", "recordings", "rollouts")  # of `media`, in this order
WIDTH = 640  # of a picture that says that there is none


def films_of(media: Path) -> list[Path]:
    """Films and trajectories of a run's media folder; a film that has its trajectory beside it is left out.

    Raises:
        FileNotFoundError: there are none.
    """
    found: list[Path] = []
    for folder in FOLDERS:
        files = sorted(path for path in (media / folder).rglob("*") if path.suffix in (".mp4", ".npz"))
        whole = [path for path in files if not path.name.startswith(TEMPORARY)]
        found += [path for path in whole if path.suffix == ".npz" or path.with_suffix(".npz") not in whole]
    if not found:
        raise FileNotFoundError(
            f"there is no .mp4 or .npz in {', '.join(FOLDERS)} of {media}; a comma records one while racing-vpt play "
            "runs, and training films its validation drives"
        )
    return found


class Browser:
    """A `Screen` that plays one film after the other.

    Args:
        files: films and trajectories; one that cannot be read is shown as that.
        media: the folder that they are named from.
        header: show where trajectories come from.
    """

    help = "up, down: episode; left, right: frame; space: stop and go; home; escape"

    def __init__(self, files: list[Path], media: Path, header: bool = False) -> None:
        self.files, self.media, self.header = files, media, header
        self.over = False
        self.turn_to(0)
        self.index = -1  # the first step shows the first frame

    def turn_to(self, number: int) -> None:
        """Open the file of that number, counted round."""
        self.number = number % len(self.files)
        self.index, self.plays, self.fault = 0, True, ""
        self.shown: Trajectory | Video | None = None
        path = self.files[self.number]
        try:
            self.shown = read_trajectory(path) if path.suffix == ".npz" else open_video(path)
            self.frames_per_second = self.shown.frames_per_second
            self.scores = self.shown.rewards.cumsum() if isinstance(self.shown, Trajectory) else np.zeros(0)
        except (ValueError, OSError) as error:
            self.fault, self.frames_per_second = str(error), 50.0

    @property
    def num_frames(self) -> int:
        shown = self.shown
        return len(shown.frames) if isinstance(shown, Trajectory) else shown.num_frames if shown else 1

    @property
    def ended(self) -> bool:
        """Whether the last frame is shown."""
        return self.index >= self.num_frames - 1

    def step(self, keys: Keys) -> Frame:
        """The frame after these keys; it goes on by itself up to the last."""
        self.index += self.plays
        for key in keys.pressed:
            if key in ("escape", "q"):
                self.over = True
            elif key in ("up", "down"):
                self.turn_to(self.number + (1 if key == "down" else -1))
            elif key in ("left", "right"):
                self.index += (1 if key == "right" else -1) - self.plays
                self.plays = False
            elif key == "space":
                self.plays = not self.plays
                self.index = 0 if self.plays and self.ended else self.index
            elif key == "home":
                self.index = 0
        self.index = min(max(self.index, 0), self.num_frames - 1)
        return self.picture()

    def picture(self) -> Frame:
        shown, at = self.shown, self.index
        name = self.files[self.number].relative_to(self.media)
        lines: list[Line] = [
            (f"{self.number + 1} of {len(self.files)}: {name}, frame {at + 1} of {self.num_frames}", TEXT)
        ]
        if isinstance(shown, Trajectory):
            controls = dict(zip(shown.names, shown.controls[at].tolist(), strict=True))
            record = FrameRecord(frame=at, timestamp=at / shown.frames_per_second, action=controls)
            title = "keyboard" if shown.by_hand[at] else "agent"
            if self.header:
                lines.append(
                    (f"{shown.checkpoint} in {shown.world}, {shown.frames_per_second:.4g} frames a second", TEXT)
                )
            return with_lines(film_picture(shown.frames[at], record, title, float(self.scores[at])), lines)
        if shown is not None:
            try:
                return with_lines(enlarged(shown.read([at])[0]), lines)
            except ValueError as error:
                self.fault = str(error)
        lines.append((self.fault, WRONG))
        return with_lines(np.full((ROWS, WIDTH, 3), BACKGROUND, np.uint8), lines)

    def close(self) -> None:
        """Nothing is to be kept."""


def enlarged(frame: Frame) -> Frame:
    """A small frame enlarged a whole number of times, with even sides."""
    scale = max(1, ROWS // frame.shape[0])
    large = cv2.resize(frame, (frame.shape[1] * scale, frame.shape[0] * scale), interpolation=cv2.INTER_CUBIC)
    return large[: large.shape[0] // 2 * 2, : large.shape[1] // 2 * 2]
