"""Browser for the recordings and films of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from racing_vpt.play.kept_episodes import KeptEpisode, open_episode
from racing_vpt.play.panel import ROWS, Panel, enlarged, figures_of, progress_of, with_bar, with_panel
from racing_vpt.play.playback import HELP, Playback
from racing_vpt.types import Frame
from racing_vpt.window.text import BACKGROUND, WRONG
from racing_vpt.window.window import CLOSING, HelpLine, Keys

WIDTH = 640  # of the picture shown for an unreadable file


class Browser:
    """A `Screen` that plays one file after another.

    Args:
        files: files from `episodes_of`; for one that cannot be read the reason is shown.
        media: folder that displayed names are relative to.
        header: show who drove where.
    """

    help: tuple[HelpLine, ...] = (("up, down", "previous, next episode"), *HELP)
    script_keys = ("up", "down", "left", "right", "space", "home")

    def __init__(self, files: list[Path], media: Path, header: bool = False) -> None:
        self.files, self.media, self.header = files, media, header
        self.over = False
        self.turn_to(0)
        self.playback.place = -1.0  # the first step shows the first frame

    def turn_to(self, number: int) -> None:
        """Open file `number`, modulo the number of files."""
        self.number = number % len(self.files)
        self.fault, self.shown = "", None  # type: tuple[str, KeptEpisode | None]
        try:
            self.shown = open_episode(self.files[self.number])
            self.scores = np.cumsum([record.reward or 0.0 for record in self.shown.records])
            self.playback = Playback(len(self.shown), self.shown.frames_per_second)
        except (ValueError, OSError) as error:
            self.fault, self.playback = str(error), Playback(1, 50.0)

    @property
    def frames_per_second(self) -> float:
        return self.playback.frames_per_second

    @property
    def ended(self) -> bool:
        """Whether the current frame is the last one."""
        return self.playback.ended

    def step(self, keys: Keys) -> Frame:
        """Handle keys and advance by a frame; stops at the last one."""
        if not keys.pressed:
            self.playback.advance(1.0)
        for key in keys.pressed:
            if key in CLOSING:
                self.over = True
            elif key in ("up", "down"):
                self.turn_to(self.number + (1 if key == "down" else -1))
            else:
                self.playback.press(key)
        return self.picture()

    def picture(self) -> Frame:
        """Picture of the current frame, uint8 [H, W, 3], both even."""
        shown, at = self.shown, max(0, self.playback.index)
        name = str(self.files[self.number].relative_to(self.media)).removesuffix(".meta.json")
        line = f"{self.number + 1} of {len(self.files)}: {name}, frame {at + 1} of {self.playback.num_frames}"
        if shown is not None:
            try:
                frame = shown.frame(at)
            except ValueError as error:
                self.fault = str(error)
            else:
                return with_bar(self.framed(shown, frame, at), line, "h: keys")
        return with_bar(np.full((ROWS, WIDTH, 3), BACKGROUND, np.uint8), self.fault, "h: keys", WRONG)

    def framed(self, shown: KeptEpisode, frame: Frame, at: int) -> Frame:
        """The frame, with a panel of its controls if they are known."""
        if not shown.records:
            large = enlarged(frame)
            return large[: large.shape[0] // 2 * 2, : large.shape[1] // 2 * 2]
        record = shown.records[at]
        figures = [("driver", "a person" if shown.by_hand[at] else "the agent")]
        figures += figures_of(record, float(self.scores[at]))
        title = shown.about if self.header else self.files[self.number].name.split(".")[0]
        return with_panel([enlarged(frame)], Panel(title, figures, progress_of(record), record.action))

    def close(self) -> None:
        """Nothing to save."""
