"""Counts the pictures that a program draws into its window, by the Damage extension."""

from __future__ import annotations

import select
import time

from Xlib.ext import damage

from racing_vpt.screen.display import open_display
from racing_vpt.screen.windows import ScreenWindow

LEAST = 0.5  # share of the window that a drawn rectangle covers, to count as a picture


class Draws:
    """Counts pictures of a window.

    Args:
        display: name of the display.
        window: the window.

    Raises:
        ValueError: the display lacks the extension.
    """

    def __init__(self, display: str, window: ScreenWindow) -> None:
        self._display = open_display(display)
        if not self._display.has_extension("DAMAGE"):
            raise ValueError(f"the X display {display} lacks the Damage extension, by which pictures are counted")
        self._display.damage_query_version()
        drawn = self._display.create_resource_object("window", window.window.id)
        drawn.damage_create(damage.DamageReportRawRectangles)
        self._kind = self._display.extension_event.DamageNotify
        place = window.place()
        assert place is not None
        self._least = LEAST * place.width * place.height
        self._display.sync()

    def wait(self, count: int, seconds: float) -> int:
        """Wait until so many pictures are drawn, or the time is over; returns how many were."""
        found, until = 0, time.monotonic() + seconds
        while True:
            while self._display.pending_events():
                event = self._display.next_event()
                if event.type == self._kind and event.area.width * event.area.height >= self._least:
                    found += 1
            left = until - time.monotonic()
            if found >= count or left <= 0:
                return found
            select.select([self._display.fileno()], [], [], left)

    def close(self) -> None:
        """Close the connection."""
        self._display.close()
