"""Presses and releases keys, and moves the mouse, by the XTest extension; a watchdog releases what a crash leaves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from Xlib import X
from Xlib.display import Display
from Xlib.ext import xtest

from racing_vpt.screen.display import open_display
from racing_vpt.screen.key_names import keycode
from racing_vpt.screen.watchdog import Watchdog


class Presser:
    """Holds keys down; a context manager, at whose end all are released.

    Args:
        display: name of the display.
        keys: names of the keys that it may hold.

    Raises:
        ValueError: a name is no key's, or the display lacks XTest.
    """

    def __init__(self, display: str, keys: Iterable[str]) -> None:
        self.display: Display = open_display(display)
        if not self.display.has_extension("XTEST"):
            raise ValueError(f"the X display {display} lacks the XTest extension, by which keys are pressed")
        self.codes: Mapping[str, int] = {name: keycode(self.display, name) for name in keys}
        self.held: frozenset[str] = frozenset()
        self.watchdog = Watchdog(display)

    def hold(self, names: Iterable[str]) -> None:
        """Hold exactly these keys from now on."""
        wanted = frozenset(names)
        for name in sorted(wanted - self.held):
            self.watchdog.tell(f"+{self.codes[name]}")  # first, so that no moment is left in which nobody knows of it
            xtest.fake_input(self.display, X.KeyPress, self.codes[name])
        for name in sorted(self.held - wanted):
            xtest.fake_input(self.display, X.KeyRelease, self.codes[name])
            self.watchdog.tell(f"-{self.codes[name]}")
        if wanted != self.held:
            self.display.sync()
        self.held = wanted

    def move(self, x: int, y: int, relative: bool = False) -> None:
        """Move the pointer to a pixel of the screen, or by so many pixels."""
        xtest.fake_input(self.display, X.MotionNotify, int(relative), x=x, y=y)
        self.display.sync()

    def click(self, x: int, y: int, button: int = 1) -> None:
        """Click at a pixel of the screen."""
        self.move(x, y)
        for kind in (X.ButtonPress, X.ButtonRelease):
            xtest.fake_input(self.display, kind, button)
            self.display.sync()

    def close(self) -> None:
        """Release all keys, and end the watchdog."""
        try:
            self.hold(())
        finally:
            self.display.close()
            self.watchdog.close()  # last: it may end the display itself

    def __enter__(self) -> Presser:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
