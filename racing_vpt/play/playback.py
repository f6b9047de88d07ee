"""Playback position of a film, controlled by keys."""

from __future__ import annotations

from dataclasses import dataclass

from racing_vpt.window.window import HelpLine

SLOWEST, FASTEST = 1 / 16, 16.0
HELP: tuple[HelpLine, ...] = (
    ("space", "pause, continue"),
    ("left, right", "one frame back, forward"),
    ("page up, down", "one second back, forward"),
    ("home, end", "first, last frame"),
)
SPEED_HELP: HelpLine = ("up, down", "twice, half as fast")


@dataclass
class Playback:
    """Playback position of a film.

    Args:
        num_frames: length of the film.
        frames_per_second: frame rate of the film.
        speed: factor on the frame rate.
        place: position in frames.
        plays: false while paused.
    """

    num_frames: int
    frames_per_second: float
    speed: float = 1.0
    place: float = 0.0
    plays: bool = True

    @property
    def index(self) -> int:
        """Index of the current frame."""
        return int(self.place + 1e-6)

    @property
    def ended(self) -> bool:
        """Whether the current frame is the last one."""
        return self.index >= self.num_frames - 1

    def advance(self, frames: float) -> None:
        """Advance by a number of frames, unless paused; stops at the last frame."""
        if self.plays:
            self.place = min(self.place + frames, self.num_frames - 1)
            self.plays = not self.ended

    def press(self, key: str) -> None:
        """Handle a key; unknown ones are ignored."""
        second = round(self.frames_per_second)
        steps = {"right": 1, "left": -1, "page down": second, "page up": -second}
        if key == "space":
            self.plays = not self.plays
            if self.plays and self.ended:
                self.place = 0.0
        elif key in steps:
            self.jump(self.index + steps[key])
        elif key in ("home", "end"):
            self.jump(0 if key == "home" else self.num_frames)

    def press_speed(self, key: str) -> None:
        """Change the speed on up and down."""
        if key in ("up", "down"):
            self.speed = min(FASTEST, max(SLOWEST, self.speed * (2 if key == "up" else 0.5)))

    def jump(self, index: int) -> None:
        """Pause at a frame, clamped to the film."""
        self.plays = False
        self.place = float(min(max(index, 0), self.num_frames - 1))
