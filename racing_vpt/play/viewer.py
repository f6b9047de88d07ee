"""A video with its labels in a window, with keys to play, step, and jump to disagreements."""

from __future__ import annotations

from racing_vpt.play.labelled_film import LabelledFilm
from racing_vpt.play.panel import with_bar
from racing_vpt.play.playback import HELP, SPEED_HELP, Playback
from racing_vpt.types import Frame
from racing_vpt.window.window import CLOSING, HelpLine, Keys

MOST_PICTURES = 60.0  # maximum frames per second drawn; a faster film skips frames


class Viewer:
    """A `Screen` that shows a labelled film.

    Args:
        film: the video with its labels.
        speed: factor on the video's frame rate.
        first_frame: frame to start at.
    """

    def __init__(self, film: LabelledFilm, speed: float = 1.0, first_frame: int = 0) -> None:
        self.film, self.over, self.note = film, False, ""
        self.playback = Playback(len(film), film.frames_per_second, speed, float(first_frame))
        self.begun = False

    @property
    def help(self) -> list[HelpLine]:
        jumps: list[HelpLine] = [("n, b", "next, previous disagreement")] if self.film.agreed else []
        return [*HELP, SPEED_HELP, *jumps]

    @property
    def frames_per_second(self) -> float:
        return min(MOST_PICTURES, max(10.0, self.playback.frames_per_second * self.playback.speed))

    def step(self, keys: Keys) -> Frame:
        """Handle keys; returns the next picture, uint8 [H, W, 3], both even."""
        rate = self.frames_per_second
        if self.begun:  # the first picture shows the first frame
            self.playback.advance(self.playback.frames_per_second * self.playback.speed / rate)
        self.begun = True
        for key in keys.pressed:
            if key in CLOSING:
                self.over = True
            elif key in ("n", "b") and self.film.agreed:
                self.jump(1 if key == "n" else -1)
            else:
                self.note = ""
                self.playback.press(key)
                self.playback.press_speed(key)
        return self.picture()

    def jump(self, step: int) -> None:
        """Pause at the next or previous disagreement."""
        found = self.film.time_line.next_disagreement(self.playback.index, step)
        if found is None:
            self.note = "no more disagreements here"
        else:
            self.note = ""
            self.playback.jump(found)

    def picture(self) -> Frame:
        """The current picture, uint8 [H, W, 3], both even."""
        playback = self.playback
        speed = "real time" if playback.speed == 1 else f"speed x {playback.speed:g}"
        parts = [speed if playback.plays else f"stopped   {speed}"]
        parts += [self.note] if self.note else []
        hint = "n: next disagreement   h: keys" if self.film.agreed else "h: keys"
        return with_bar(self.film.picture(playback.index), "   ".join(parts), hint)

    def close(self) -> None:
        """Nothing to save."""
