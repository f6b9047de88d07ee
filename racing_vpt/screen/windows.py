"""Windows of a display: by title, where they are, and whether their picture can be seen."""

from __future__ import annotations

import difflib
import time
from dataclasses import dataclass
from typing import Any

from Xlib import X
from Xlib.display import Display

from racing_vpt.games.screen import Screen
from racing_vpt.screen.display import GONE

DEEPEST = 4  # windows of programs lie in at most so many frames of a window manager
XWindow = Any  # python-xlib has no types


@dataclass(frozen=True)
class Place:
    """A rectangle on the screen, in pixels from its upper left corner."""

    left: int
    top: int
    width: int
    height: int

    def overlaps(self, other: Place) -> bool:
        """Whether the two have a pixel in common."""
        across = self.left < other.left + other.width and other.left < self.left + self.width
        return across and self.top < other.top + other.height and other.top < self.top + self.height

    def within(self, width: int, height: int) -> bool:
        """Whether it lies on a screen of this size as a whole."""
        return min(self.left, self.top) >= 0 and self.left + self.width <= width and self.top + self.height <= height


class ScreenWindow:
    """A window, or a fixed region of the screen.

    Args:
        display: connection to its display.
        window: the window; None: a region.
        title: title of the window, or a name of the region.
        region: the region.
    """

    def __init__(self, display: Display, window: XWindow, title: str, region: Place | None = None) -> None:
        self.display, self.window, self.title, self.region = display, window, title, region
        screen = display.screen()
        self.root, self.screen_size = screen.root, (screen.width_in_pixels, screen.height_in_pixels)

    def place(self) -> Place | None:
        """Where it is now; None if it is closed."""
        if self.window is None:
            return self.region
        try:
            return place_of(self.root, self.window)
        except GONE:
            return None

    def hidden(self) -> str | None:
        """Why its picture cannot be seen whole: `minimised`, `covered by ...`, `partly off the screen`; else None."""
        try:
            place = self.region if self.window is None else place_of(self.root, self.window)
            assert place is not None
            if not place.within(*self.screen_size):
                return "partly off the screen"
            if self.window is None:
                return None
            if self.window.get_attributes().map_state != X.IsViewable:
                return "minimised"
            siblings = self.root.query_tree().children  # from the lowest to the highest
            above = siblings[siblings.index(self._outermost()) + 1 :]
            for other in above:
                if other.get_attributes().map_state == X.IsViewable and place.overlaps(place_of(self.root, other)):
                    return f"covered by {title_of(self.display, other) or 'another window'}"
        except (*GONE, ValueError):  # the stack changed while it was read
            return None
        return None

    def has_focus(self) -> bool:
        """Whether keys reach it."""
        focus = self.display.get_input_focus().focus
        if self.window is None:
            return True
        if focus in (X.PointerRoot, X.NONE):  # without a window manager keys go to the window under the pointer
            place, pointer = self.place(), self.root.query_pointer()
            return place is not None and place.overlaps(Place(pointer.root_x, pointer.root_y, 1, 1))
        while focus.id != self.root.id:
            if focus.id in (self.window.id, self._outermost().id):
                return True
            focus = focus.query_tree().parent
        return False

    def take_focus(self) -> None:
        """Move the pointer into its middle and direct keys to it, as a click would."""
        place = self.place()
        assert place is not None, "a closed window takes no focus"
        self.root.warp_pointer(place.left + place.width // 2, place.top + place.height // 2)
        if self.window is not None:
            self.window.set_input_focus(X.RevertToPointerRoot, X.CurrentTime)
        self.display.sync()

    def _outermost(self) -> XWindow:
        window = self.window
        while (parent := window.query_tree().parent).id != self.root.id:
            window = parent
        return window


def place_of(root: XWindow, window: XWindow) -> Place:
    """Rectangle of a window on the screen, without its border."""
    size, corner = window.get_geometry(), root.translate_coords(window, 0, 0)
    return Place(corner.x, corner.y, size.width, size.height)


def title_of(display: Display, window: XWindow) -> str:
    """Title of a window, or an empty text."""
    found = window.get_full_property(display.intern_atom("_NET_WM_NAME"), X.AnyPropertyType)
    title = found.value if found is not None else window.get_wm_name()
    return (title.decode("utf-8", "replace") if isinstance(title, bytes) else title or "").strip()


def titled_windows(display: Display) -> list[tuple[str, XWindow]]:
    """Visible windows that have a title."""
    found: list[tuple[str, XWindow]] = []
    level = [display.screen().root]
    for _ in range(DEEPEST):
        below: list[XWindow] = []
        for window in level:
            try:
                below += window.query_tree().children
            except GONE:
                continue
        for window in below:
            try:
                if (title := title_of(display, window)) and window.get_attributes().map_state == X.IsViewable:
                    found.append((title, window))
            except GONE:
                continue
        level = below
    return found


def find_window(display: Display, title: str, seconds: float = 0.0) -> ScreenWindow:
    """The window whose title is, or else contains, a text, whatever its case.

    Args:
        display: connection to the display.
        title: the title or a part of it.
        seconds: to wait for it at most.

    Raises:
        ValueError: there is none, or several contain the text; the message names the nearest titles.
    """
    until = time.monotonic() + seconds
    while True:
        there = titled_windows(display)
        same = [pair for pair in there if pair[0].lower() == title.lower()]
        containing = same or [pair for pair in there if title.lower() in pair[0].lower()]
        if len(containing) == 1 or same:
            return ScreenWindow(display, containing[0][1], containing[0][0])
        if containing:
            several = ", ".join(repr(name) for name, _ in containing[:5])
            raise ValueError(f"{len(containing)} windows have {title!r} in their title: {several}; give more of it")
        if time.monotonic() >= until:
            names = [name for name, _ in there]
            near = difflib.get_close_matches(title, names, 3, 0.2) or names[:3]
            shown = ", ".join(map(repr, near))
            raise ValueError(
                f"no window has {title!r} in its title"
                + (
                    f"; the nearest titles are {shown}"
                    if shown
                    else f"; {display.get_display_name()} shows no window with a title"
                )
            )
        time.sleep(0.05)


def window_of(display: Display, screen: Screen, seconds: float = 0.0) -> ScreenWindow:
    """The window or region of a game.

    Args:
        display: connection to its display.
        screen: the game's.
        seconds: to wait for a window at most.

    Raises:
        ValueError: there is no such window, or the region leaves the screen.
    """
    if not screen.region:
        return find_window(display, screen.window, seconds)
    region = Place(*screen.region)
    there = display.screen()
    width, height = there.width_in_pixels, there.height_in_pixels
    if not region.within(width, height):
        raise ValueError(f"the region {','.join(map(str, screen.region))} leaves the screen, which is {width}x{height}")
    return ScreenWindow(display, None, f"region {','.join(map(str, screen.region))}", region)
