"""Connections to an X display, and its clock."""

from __future__ import annotations

import time
import uuid

from Xlib import X
from Xlib.display import Display
from Xlib.error import ConnectionClosedError, DisplayError, XError

from racing_vpt.screen.installed import display_name

GONE = (XError, ConnectionClosedError)  # errors of a window or display that is no longer there


def open_display(name: str | None = None) -> Display:
    """A connection to a display.

    Args:
        name: such as `:0`; None: the session's.

    Raises:
        ValueError: there is no display, or it does not answer.
    """
    name = name or display_name()
    try:
        return Display(name)
    except (DisplayError, OSError) as error:
        raise ValueError(f"the X display {name} does not answer ({error}); is it running, and yours?") from error


class ServerClock:
    """Converts time stamps of a display's events to this process's `time.monotonic()`.

    Args:
        display: a connection of which nobody else reads events.
    """

    def __init__(self, display: Display) -> None:
        self._display = display
        self._window = display.screen().root.create_window(
            0, 0, 1, 1, 0, X.CopyFromParent, event_mask=X.PropertyChangeMask
        )
        self._atom, self._text = display.intern_atom("RACING_VPT_CLOCK"), display.intern_atom("STRING")
        self.uncertainty = float("inf")  # seconds
        self._offset = 0.0
        for _ in range(20):
            self.synchronize()

    def synchronize(self) -> None:
        """Ask the display for its time once more; the answer that came quickest counts."""
        before = time.monotonic()
        self._window.change_property(self._atom, self._text, 8, uuid.uuid4().bytes)
        while True:
            event = self._display.next_event()
            if event.type == X.PropertyNotify and event.window.id == self._window.id:
                break
        after = time.monotonic()
        if after - before < self.uncertainty:
            self.uncertainty = after - before
            self._offset = (before + after) / 2 - event.time / 1000

    def seconds(self, stamp: int) -> float:
        """`time.monotonic()` at an event's time stamp in ms, which starts again at 0 after 49.7 days."""
        since = (time.monotonic() - self._offset) * 1000  # the display's time now, if it had not started again
        turns = round((since - stamp) / 2**32)
        return self._offset + (stamp + turns * 2**32) / 1000

    def close(self) -> None:
        """Close its connection."""
        self._display.close()
