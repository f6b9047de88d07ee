"""A window's pictures at an even rate, each with the keys held in it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from racing_vpt.screen.capture import Capture
from racing_vpt.screen.held_keys import FrameInput, HeldKeys
from racing_vpt.screen.windows import Place, ScreenWindow
from racing_vpt.types import Frame

LOOKS = 0.1  # seconds between looks whether the window is covered
LONGEST_GAP = 1.0  # seconds without a picture after which a recording is cut instead of filled


@dataclass(frozen=True)
class Seen:
    """One frame of a window, or the reason why there is none.

    Args:
        frame: picture uint8 [H, W, 3]; None: there is none, because of `trouble`.
        seconds: time of the picture, as `time.monotonic()`.
        input: keys and mouse from this picture to the next.
        late: the picture was not taken in time, so that the one before is repeated.
        trouble: what became of the window: `closed`, `covered by ...`, `resized`, `moved`, ...
    """

    frame: Frame | None
    seconds: float
    input: FrameInput = field(default_factory=FrameInput)
    late: bool = False
    trouble: str | None = None


class Watch:
    """Takes a picture when each frame is due. A frame is passed on once the next is there and its keys are known.

    Args:
        window: what is looked at.
        capture: takes the pictures.
        keys: reads the keys.
        frames_per_second: rate.
    """

    def __init__(self, window: ScreenWindow, capture: Capture, keys: HeldKeys, frames_per_second: float) -> None:
        self.window, self.capture, self.keys = window, capture, keys
        self.frames_per_second, self.interval = frames_per_second, 1 / frames_per_second
        self._place: Place | None = None
        self._looked = 0.0
        self._trouble: str | None = None

    def frames(self) -> Iterator[Seen]:
        """Frames without end; the caller leaves when the window is closed or the driving is over."""
        due = time.monotonic()
        last: tuple[Frame | None, float, bool, str | None] | None = None
        while True:
            time.sleep(max(0.0, due - time.monotonic()))
            missed = int(max(0.0, time.monotonic() - due) / self.interval)
            seconds = time.monotonic()
            frame, trouble = self._look(seconds)
            if last is not None:
                yield from self._passed_on(last, seconds, missed)
            last = (frame, seconds, False, trouble)
            due += self.interval * (missed + 1)

    def _passed_on(self, last: tuple[Frame | None, float, bool, str | None], now: float, missed: int) -> Iterator[Seen]:
        """The frame before, and as many repetitions as frames were missed since."""
        frame, seconds, late, trouble = last
        if missed * self.interval > LONGEST_GAP:
            yield Seen(frame, seconds, self.keys.until(seconds, seconds + self.interval), late, trouble)
            gap = f"no picture for {now - seconds:.1f} s"
            yield Seen(None, now, self.keys.until(seconds + self.interval, now), trouble=gap)
            return
        step = (now - seconds) / (missed + 1)
        for place in range(missed + 1):
            start = seconds + place * step
            stop = now if place == missed else start + step
            yield Seen(frame, start, self.keys.until(start, stop), late or place > 0, trouble)

    def _look(self, now: float) -> tuple[Frame | None, str | None]:
        place = self.window.place()
        if place is None:
            return None, "closed"
        if now - self._looked >= LOOKS:
            self._looked, self._trouble = now, self.window.hidden()
        if self._trouble is not None:
            return None, self._trouble
        before, self._place = self._place, place
        frame = self.capture.take(place)
        if frame is None:
            return None, "partly off the screen"
        if before is not None and (before.width, before.height) != (place.width, place.height):
            return frame, f"resized to {place.width}x{place.height}"
        return frame, None if before in (None, place) else "moved"
