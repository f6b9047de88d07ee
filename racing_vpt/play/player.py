"""The loop behind `racing-vpt play`: keys in, pictures out, whoever drives and wherever. It knows no window."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

import cv2
import numpy as np

from racing_vpt.agents.key_controls import Keys, key_controls
from racing_vpt.play.film import ROWS, film_picture
from racing_vpt.play.panel import BACKGROUND, PRESSED, RIGHT, TEXT, WRONG, Colour, fitting, write
from racing_vpt.play.scene import Scene
from racing_vpt.play.take import MOST_FRAMES, Take
from racing_vpt.types import Frame, FrameRecord

SIDE_BY_SIDE = 288  # rows to which a picture is enlarged, about, where others stand beside it: it must fit a screen
ROW = 22  # pixels of a line of text
NOTE_SECONDS = 4.0  # for which a note stands
Line = tuple[str, Colour]


class Screen(Protocol):
    """What a window, or a film, shows."""

    over: bool

    @property
    def help(self) -> str:
        """Which keys do what."""

    @property
    def frames_per_second(self) -> float:
        """How often `step` is to be called."""

    def step(self, keys: Keys) -> Frame:
        """What is seen after a frame in which these keys were used, uint8 [H, W, 3], both even."""

    def close(self) -> None:
        """Keep what is to be kept."""


class Player:
    """Somebody drives, and may hand over to somebody else at any time.

    Args:
        scene: where.
        recordings: folder of the recordings.
        checkpoint: its name, for people and recordings.
        by: who drives first.
        seed: of the first episode; the next one has the next.
        header: show more lines of information.
        save_mode: ask after each episode whether it is to be kept.
        scale: how many times frames are enlarged; to about 384 rows, or 288 beside others, if not given.
    """

    def __init__(
        self,
        scene: Scene,
        recordings: Path,
        checkpoint: str,
        by: Literal["agent", "keyboard"] = "agent",
        seed: int = 0,
        header: bool = False,
        save_mode: bool = False,
        scale: int | None = None,
    ) -> None:
        self.scene, self.recordings, self.checkpoint = scene, recordings, checkpoint
        self.by_hand, self.seed = by == "keyboard", seed
        self.header, self.save_mode, self.scale = header, save_mode, scale
        self.over = self.asks = False
        self.episodes = 0  # that are over
        self.kept: list[Path] = []
        self.take: Take | None = None
        self.trajectory: Take | None = None
        self.keys = key_controls(scene.controls, scene.stride)
        self.done = dict.fromkeys(scene.controls, 0.0)
        self.note, self.note_age = "", 0
        if self.by_hand and (why := self.no_keyboard()):
            raise ValueError(why)
        self.begin()

    @property
    def frames_per_second(self) -> float:
        return self.scene.frames_per_second

    @property
    def help(self) -> str:
        keys = f"{self.keys.help}; m: keyboard or agent; " if self.keys else ""
        return f"{keys}comma: record; escape"

    def no_keyboard(self) -> str | None:
        """Why nobody can drive by keys here."""
        if self.keys:
            return None
        return f"there are no keys for the controls of {self.scene.world}: {', '.join(self.scene.controls[:6])}"

    def begin(self) -> None:
        self.scene.begin(self.seed)
        self.first = True
        if self.keys:
            self.keys.take_over({})
        self.trajectory = self.record() if self.save_mode else None

    def record(self) -> Take:
        scene, title = self.scene, f"{self.scene.kind} {self.seed}"
        names, world = scene.controls, f"{scene.world}, seed {self.seed}"
        return Take(self.recordings, scene.kind, title, scene.frames_per_second, names, world, self.checkpoint)

    def step(self, keys: Keys) -> Frame:
        """One frame of the scene, unless it waits for an answer; ValueError where the controls are refused."""
        for key in keys.pressed:
            self.press(key)
        self.note_age += 1
        if not (self.over or self.asks):
            if self.scene.done:  # only now, so that its end was seen
                self.seed += 1
                self.begin()
            self.drive(keys)
        return self.picture()

    def press(self, key: str) -> None:
        """Do what a key is for that does not drive."""
        if key in ("escape", "q"):
            self.over = True
        elif self.asks and key in ("y", "n"):
            self.answer(keep=key == "y")
        elif key == ",":
            self.start() if self.take is None else self.stop()
        elif key == "m" and self.by_hand and not self.scene.has_agent:
            self.say("there is no agent to hand over to")
        elif key == "m" and not self.by_hand and (why := self.no_keyboard()):
            self.say(why)
        elif key == "m":
            self.by_hand = not self.by_hand
            if self.keys:
                self.keys.take_over(self.done)

    def drive(self, keys: Keys) -> None:
        said = self.scene.suggest()
        chosen = self.keys.controls(keys.held) if self.by_hand and self.keys else said
        assert chosen is not None, "nobody drives"
        controls = {name: float(chosen.get(name, 0.0)) for name in self.scene.controls}
        seen = self.scene.frame
        reward = self.scene.step(controls)
        for take in (self.take, self.trajectory):
            if take is not None:
                take.add(seen, controls, reward, self.first, self.scene.done, self.by_hand)
        self.done, self.first = controls, False
        if self.take is not None and len(self.take) == MOST_FRAMES:  # the rest in another file
            self.stop()
            self.start()
        if self.scene.done:
            self.episodes += 1
            self.asks = self.trajectory is not None
        elif self.trajectory is not None and len(self.trajectory) == MOST_FRAMES:
            self.say(f"more than {MOST_FRAMES} frames: this trajectory cannot be kept")
            self.trajectory.abort()
            self.trajectory = None

    def start(self) -> None:
        self.take = self.record()

    def stop(self) -> None:
        take, self.take = self.take, None
        self.keep(take)

    def answer(self, keep: bool) -> None:
        trajectory, self.trajectory, self.asks = self.trajectory, None, False
        if keep:
            self.keep(trajectory)
        elif trajectory is not None:
            trajectory.abort()
            self.say("not kept")

    def keep(self, take: Take | None) -> None:
        if take is not None and (path := take.close()) is not None:
            self.kept.append(path)
            self.say(f"kept {path.name} and .mp4")

    def say(self, note: str) -> None:
        self.note, self.note_age = note, 0

    def close(self) -> None:
        """Keep a recording that runs, and an episode about which nobody answered; not one that did not end."""
        try:
            if self.take is not None:
                self.stop()
        finally:
            if self.trajectory is not None:
                self.answer(keep=self.asks)

    def picture(self) -> Frame:
        scene = self.scene
        record = FrameRecord(frame=scene.age, timestamp=scene.age / scene.frames_per_second, action=self.done)
        more = scene.beside()
        rows = SIDE_BY_SIDE if more else ROWS
        scale = self.scale or max(1, round(rows / scene.frame.shape[0]))
        picture = film_picture(scene.frame, record, f"{scene.kind} {self.seed}", scene.score, scale, more)
        if more:
            write(picture, "original", (8, min(scene.frame.shape[0] * scale + 24, len(picture) - 8)))
        if self.take is not None:
            cv2.circle(picture, (14, 14), 7, WRONG, -1, cv2.LINE_AA)
        return with_lines(picture, self.lines())

    def lines(self) -> list[Line]:
        """What stands above the picture."""
        driver = "keyboard" if self.by_hand else "agent"
        status = f"{driver} drives (m)" + (f"   recording {len(self.take)} (comma)" if self.take is not None else "")
        if self.note and self.note_age <= NOTE_SECONDS * self.frames_per_second:
            status += f"   {self.note}"
        lines: list[Line] = []
        if self.header:
            scene, rate = self.scene, f"{self.frames_per_second:.4g} steps a second"
            per_step = f" of {scene.stride} frames" if scene.stride > 1 else ""
            lines = [
                (f"{self.checkpoint} in {scene.world}", TEXT),
                (f"episode {self.episodes + (not scene.done)}, step {scene.age}, {rate}{per_step}", TEXT),
            ]
        if self.asks:
            score = f"{self.scene.age} steps, score {self.scene.score:.1f}"
            return [*lines, (f"the episode is over ({score}): keep it?  y / n", RIGHT)]
        return [*lines, (status, PRESSED if self.by_hand else TEXT)]


def with_lines(picture: Frame, lines: Sequence[Line]) -> Frame:
    """The picture uint8 [H, W, 3] with lines of text above it."""
    bar = np.full((ROW * len(lines) + 6, picture.shape[1], 3), BACKGROUND, np.uint8)
    for number, (text, colour) in enumerate(lines):
        write(bar, fitting(text, picture.shape[1] - 24), (12, ROW * (number + 1) - 5), colour)
    return np.concatenate([bar, picture])
