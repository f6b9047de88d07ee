"""Measures how exactly recordings place key events in frames, by a window that shows the pressed keys itself."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np

from racing_vpt.screen.calibration_window import KEYS, TITLE, keys_shown
from racing_vpt.screen.capture import Capture
from racing_vpt.screen.display import open_display
from racing_vpt.screen.held_keys import HeldKeys
from racing_vpt.screen.key_names import keycodes
from racing_vpt.screen.press import Presser
from racing_vpt.screen.watch import Seen, Watch
from racing_vpt.screen.windows import find_window

SHORTEST, LONGEST = 0.08, 0.5  # seconds between random changes of the keys
FARTHEST = 10  # frames within which a change in the picture belongs to an event


@dataclass
class Timing:
    """Timing of a recording.

    Args:
        errors: of each key event, in frames: positive where the picture shows it later than the controls say.
        unseen: events that the picture never showed.
        frames: number of frames.
        late: frames whose picture was not taken in time.
        capture_ms: time of each capture in milliseconds.
    """

    errors: list[int] = field(default_factory=list)
    unseen: int = 0
    frames: int = 0
    late: int = 0
    capture_ms: list[float] = field(default_factory=list)

    @property
    def within_one(self) -> float:
        """Share of events within one frame."""
        return sum(abs(error) <= 1 for error in self.errors) / max(1, len(self.errors) + self.unseen)

    def __str__(self) -> str:
        if not self.errors:
            return f"no key event was seen in {self.frames} frames"
        sizes = np.abs(self.errors)
        half, most = np.percentile(sizes, [50, 99])
        return (
            f"{len(sizes) + self.unseen} key events in {self.frames} frames: {self.within_one:.2%} within one frame, "
            f"error p50 {half:g}, p99 {most:g}, maximum {sizes.max()} frames, {self.unseen} unseen; "
            f"{self.late} frames dropped; a capture took {np.median(self.capture_ms):.2f} ms (p99 "
            f"{np.percentile(self.capture_ms, 99):.2f})"
        )


def measure_timing(display: str, seconds: float, frames_per_second: float, press: bool) -> Timing:
    """Watch the calibration window.

    Args:
        display: name of the display.
        seconds: length.
        frames_per_second: rate.
        press: press keys at random times by XTest; otherwise the user does.
    """
    with ExitStack() as stack:
        words = [sys.executable, "-m", "racing_vpt.screen.calibration_window", display]
        shown = stack.enter_context(
            subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        )
        stack.callback(shown.kill)
        assert shown.stdout is not None
        shown.stdout.readline()
        connection = open_display(display)
        stack.callback(connection.close)
        window = find_window(connection, TITLE, 5.0)
        window.take_focus()
        keys = HeldKeys(display, keycodes(connection, KEYS))
        stack.callback(keys.close)
        capture = stack.enter_context(Capture(display))
        over = threading.Event()
        if press:
            presser = stack.enter_context(Presser(display, KEYS))
            pressing = threading.Thread(target=press_at_random, args=(presser, over))
            pressing.start()
            stack.callback(pressing.join)
            stack.callback(over.set)
        seen: list[tuple[Seen, frozenset[str]]] = []
        until = time.monotonic() + seconds
        for each in Watch(window, capture, keys, frames_per_second).frames():
            if each.frame is not None:
                seen.append((Seen(None, each.seconds, each.input, each.late), keys_shown(each.frame)))
            if each.seconds > until or each.trouble == "closed":
                break
    return timing_of(seen, capture.milliseconds)


def press_at_random(presser: Presser, over: threading.Event) -> None:
    """Hold random keys, each for a random time, until it is over."""
    drawn = np.random.default_rng(0)
    while not over.wait(float(drawn.uniform(SHORTEST, LONGEST))):
        key = KEYS[drawn.integers(len(KEYS))]
        presser.hold(presser.held ^ {key})


def timing_of(seen: Iterable[tuple[Seen, frozenset[str]]], capture_ms: Iterable[float]) -> Timing:
    """Compare the keys that were read in each frame with those that the next picture shows.

    Args:
        seen: each frame, with the keys that its picture shows.
        capture_ms: time of each capture.
    """
    frames = list(seen)
    timing = Timing(frames=len(frames), late=sum(each.late for each, _ in frames), capture_ms=[*capture_ms])
    for key in KEYS:
        read = changes([key in each.input.held for each, _ in frames])
        shown = changes([key in keys for _, keys in frames])
        for at, down in read:
            if at >= len(frames) - FARTHEST:
                continue  # its picture may come after the end
            nearest = min((there - 1 - at for there, way in shown if way == down), key=abs, default=None)
            if nearest is None or abs(nearest) > FARTHEST:
                timing.unseen += 1
            else:
                timing.errors.append(nearest)
    return timing


def changes(flags: list[bool]) -> list[tuple[int, bool]]:
    """Places at which a flag changes, with its new value."""
    return [(place, flags[place]) for place in range(1, len(flags)) if flags[place] != flags[place - 1]]
