"""Which keys are held, and how the mouse moves, whatever window they go to.

Raw events of the X Input Extension (version 2.2: https://www.x.org/releases/current/doc/inputproto/XI2proto.txt) carry
the display's time, so that a press is placed in the right frame even if it is read later. Auto-repeat makes none.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from Xlib.ext import ge, xinput

from racing_vpt.screen.display import ServerClock, open_display

KEY_DOWN, KEY_UP, MOTION = 13, 14, 17  # XI_RawKeyPress, XI_RawKeyRelease, XI_RawMotion
RAW, MASK_AT = "=HIIHHI4x", 22  # xXIRawEvent after its first 10 bytes: device, time, detail, source, words, flags


@dataclass(frozen=True)
class KeyEvent:
    """A key that went down or up.

    Args:
        key: its name.
        down: whether it went down.
        seconds: when, as `time.monotonic()`.
    """

    key: str
    down: bool
    seconds: float


@dataclass
class FrameInput:
    """Keys and mouse of one frame.

    Args:
        held: keys that count as held in it.
        pressed: keys that went down in it, in order.
        moved: pixels that the mouse moved, to the right and down.
        events: the key events in it.
    """

    held: frozenset[str] = frozenset()
    pressed: tuple[str, ...] = ()
    moved: tuple[float, float] = (0.0, 0.0)
    events: list[KeyEvent] = field(default_factory=list)


class HeldKeys:
    """Reads the keyboard and mouse of a display.

    Args:
        display: name of the display.
        keys: names of the keys that count, by keycode.
    """

    def __init__(self, display: str, keys: Mapping[int, str]) -> None:
        self._display = open_display(display)
        self.clock = ServerClock(open_display(display))
        self._keys = dict(keys)
        if not self._display.has_extension(xinput.extname):
            raise ValueError(f"the X display {display} lacks the X Input Extension, by which keys are read")
        mask = 1 << KEY_DOWN | 1 << KEY_UP | 1 << MOTION
        self._display.xinput_query_version()
        self._display.screen().root.xinput_select_events([(xinput.AllMasterDevices, mask)])
        self._display.sync()
        bits = self._display.query_keymap()
        self.frames = KeyFrames({name for code, name in self._keys.items() if bits[code // 8] >> code % 8 & 1})
        self._moves: list[tuple[float, float, float]] = []  # seconds, right, down

    def until(self, start: float, stop: float) -> FrameInput:
        """Keys and mouse between two times (`time.monotonic()`); each span begins where the one before ended."""
        self._read()
        found = self.frames.until(start, stop)
        now = [move for move in self._moves if move[0] < stop]
        self._moves = self._moves[len(now) :]
        found.moved = (sum(move[1] for move in now), sum(move[2] for move in now))
        return found

    def _read(self) -> None:
        self._display.sync()  # afterwards all events of the past have arrived
        while self._display.pending_events():
            event = self._display.next_event()
            if event.type != ge.GenericEventCode or event.evtype not in (KEY_DOWN, KEY_UP, MOTION):
                continue
            _, stamp, detail, _, words, _ = struct.unpack_from(RAW, event.data)
            seconds = self.clock.seconds(stamp)
            if event.evtype == MOTION:
                self._moves.append((seconds, *motion(event.data, words)))
            elif detail in self._keys:
                self.frames.add(KeyEvent(self._keys[detail], event.evtype == KEY_DOWN, seconds))

    def close(self) -> None:
        """Close the connections."""
        self._display.close()
        self.clock.close()


def motion(data: bytes, words: int) -> tuple[float, float]:
    """Movement of the first two valuators, the mouse's axes, of a raw event."""
    mask = int.from_bytes(data[MASK_AT : MASK_AT + 4 * words], "little")
    count, moved = mask.bit_count(), [0.0, 0.0]
    at = MASK_AT + 4 * words
    for place, axis in enumerate(axis for axis in range(mask.bit_length()) if mask >> axis & 1):
        if axis < 2:
            whole, part = struct.unpack_from("=iI", data, at + 8 * (count + place))  # the raw values follow the others
            moved[axis] = whole + part / 2**32
    return moved[0], moved[1]


class KeyFrames:
    """Turns key events into the keys held in each frame.

    A key counts in a frame if it is held for at least half of it. A press so short that it would count in none counts
    in the frame in which it ends.

    Args:
        down: keys that are held at the beginning.
    """

    def __init__(self, down: set[str]) -> None:
        self._down = set(down)
        self._counted = set(down)  # keys whose press has counted in a frame
        self._events: list[KeyEvent] = []

    def add(self, event: KeyEvent) -> None:
        """Add an event; later ones come later."""
        self._events.append(event)

    def until(self, start: float, stop: float) -> FrameInput:
        """Keys of the frame between two times. An event that was read too late for its frame counts in this one."""
        events = [event for event in self._events if event.seconds < stop]
        self._events = self._events[len(events) :]
        held, since, total = set(), dict.fromkeys(self._down, start), dict[str, float]()
        for event in events:
            at = max(start, event.seconds)
            if event.down and event.key not in self._down:
                self._down.add(event.key)
                self._counted.discard(event.key)
                since[event.key] = at
            elif not event.down and event.key in self._down:
                self._down.discard(event.key)
                total[event.key] = total.get(event.key, 0.0) + at - since.pop(event.key)
                if event.key not in self._counted:
                    held.add(event.key)
        for key, at in since.items():
            total[key] = total.get(key, 0.0) + stop - at
        held |= {key for key, seconds in total.items() if seconds >= (stop - start) / 2}
        self._counted |= held
        pressed = tuple(event.key for event in events if event.down)
        return FrameInput(frozenset(held), pressed, events=events)
