"""Records a window of the screen with the keys held in each frame, as recordings that can be trained on."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from racing_vpt.agents.key_controls import KeyControls
from racing_vpt.games.game import Game
from racing_vpt.games.screen import Screen
from racing_vpt.play.screen_recorded import Recorded
from racing_vpt.play.screen_take import ScreenTake
from racing_vpt.play.take import Take
from racing_vpt.screen.capture import Capture
from racing_vpt.screen.display import open_display
from racing_vpt.screen.held_keys import HeldKeys
from racing_vpt.screen.key_names import keycodes
from racing_vpt.screen.watch import Seen, Watch
from racing_vpt.screen.windows import window_of

RESERVE = 256 << 20  # bytes of free disk below which a recording is ended while it can still be finished
STATUS_SECONDS = 0.5


@dataclass(frozen=True)
class RecordOptions:
    """Options of a recording, explained in `verbs/record.py`."""

    frames_per_second: float
    max_seconds: float | None = None
    start_key: str = "f9"
    stop_key: str = "f10"
    at_once: bool = False
    video_only: bool = False
    wait: float = 0.0
    origin: Mapping[str, object] = field(default_factory=dict)


class ScreenRecorder:
    """Records a window; a context manager.

    Args:
        game: its keys become controls.
        screen: the window or region.
        display: name of the display.
        options: keys and limits.

    Raises:
        ValueError: there is no such window or key, or the display lacks an extension.
    """

    def __init__(self, game: Game, screen: Screen, display: str, options: RecordOptions) -> None:
        self.game, self.options, self.recorded = game, options, Recorded()
        self.controls = KeyControls(game)
        self._take: ScreenTake | None = None
        self._said = self._checked = 0.0
        used = [key for key in (options.start_key, options.stop_key) if key in self.controls.names]
        if used:
            raise ValueError(f"the key {used[0]} drives in {game.name}; give another --start_key or --stop_key")
        with ExitStack() as stack:
            connection = open_display(display)
            stack.callback(connection.close)
            codes = keycodes(connection, (*self.controls.names, options.start_key, options.stop_key))
            self.window = window_of(connection, screen, options.wait)
            keys = HeldKeys(display, codes)
            stack.callback(keys.close)
            self.watch = Watch(self.window, stack.enter_context(Capture(display)), keys, options.frames_per_second)
            self._open = stack.pop_all()

    def __enter__(self) -> ScreenRecorder:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def run(self, out: Path) -> Recorded:
        """Record until the stop key, the limit, the window's end, Ctrl-C or a disk that is nearly full."""
        recording, start, stop = self.options.at_once, self.options.start_key, self.options.stop_key
        self._note(f"{self.window.title!r}: {start} {'pauses' if recording else 'starts'}, {stop} ends")
        try:
            for seen in self.watch.frames():
                recording = self._recording_after(seen, recording)
                if recording and seen.frame is not None and not self.recorded.ended:
                    self._add(seen, out)
                elif not recording:
                    self._finish()
                if self.recorded.ended:
                    break
                self._status(recording, seen)
        except KeyboardInterrupt:
            self.recorded.ended = "ended by Ctrl-C"
        finally:  # also what SIGTERM or an error interrupts is kept
            self._finish()
        return self.recorded

    def _recording_after(self, seen: Seen, recording: bool) -> bool:
        """Whether to record from this frame on, by the keys and by what became of the window."""
        if self.options.stop_key in seen.input.pressed:
            self.recorded.ended = f"ended by {self.options.stop_key}"
        if self.options.start_key in seen.input.pressed:
            recording = not recording
            self._note("recording" if recording else "paused")
        if seen.trouble == "moved":
            self._note("the window was moved, and is followed")
        elif seen.trouble is not None:
            self._finish()  # the frames before are whole
            self._note(f"the window is {seen.trouble}" if seen.frame is None else f"the window was {seen.trouble}")
            if seen.trouble == "closed":
                self.recorded.ended = "ended because the window was closed"
        return recording

    def _add(self, seen: Seen, out: Path) -> None:
        if self._is_full(out):
            self.recorded.ended = f"ended because the disk of {out} is full: {RESERVE >> 20} MiB are left"
            return
        if self._take is None:
            meta = {"game": self.game.name, "window": self.window.title, **self.options.origin}
            rate, actions = self.options.frames_per_second, not self.options.video_only
            self._take = ScreenTake(Take(out, self.game.name, rate, meta, "", actions), seen.seconds)
            self.controls.take_over({})
        try:
            self._take.add(seen, self.controls.controls(seen.input.held))
        except OSError as error:  # the encoder could not write: what it holds cannot be finished
            take, self._take = self._take, None
            take.take.abort()
            raise OSError(
                error.errno, f"{error.strerror}; {take.num_frames} frames of this recording are lost, "
                f"{len(self.recorded.paths)} recordings before it are whole", str(take.take.path)
            ) from error  # fmt: skip
        self.recorded.frames += 1
        self.recorded.late += seen.late
        if self.options.max_seconds and self.recorded.frames >= self.options.max_seconds * self.watch.frames_per_second:
            self.recorded.ended = f"ended after {self.options.max_seconds:g} s"

    def _is_full(self, out: Path) -> bool:
        if time.monotonic() - self._checked < 1.0:
            return False
        self._checked = time.monotonic()
        return shutil.disk_usage(out).free < RESERVE

    def _finish(self) -> None:
        if self._take is not None:
            take, self._take = self._take, None
            path = take.finish()
            if path is not None:
                self.recorded.paths.append(path)

    def _note(self, text: str) -> None:
        """Say something once, not in every frame."""
        if not self.recorded.notes or self.recorded.notes[-1] != text:
            self.recorded.notes.append(text)
            print(("\r\033[K" if sys.stderr.isatty() else "") + text, file=sys.stderr)

    def _status(self, recording: bool, seen: Seen) -> None:
        if not sys.stderr.isatty() or time.monotonic() - self._said < STATUS_SECONDS:
            return
        self._said = time.monotonic()
        seconds = self.recorded.frames / self.watch.frames_per_second
        state = "recording" if recording and seen.frame is not None else "waiting"
        keys = " ".join(sorted(seen.input.held)) or "none"
        late = f"{self.recorded.late} dropped"
        print(f"\r\033[K{state} {seconds:6.1f} s, {late}, keys: {keys}", end="", file=sys.stderr, flush=True)
