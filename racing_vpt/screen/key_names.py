"""Names of keys: those of pygame, which game files use, and those of X, as keycodes of a display."""

from __future__ import annotations

from Xlib import XK
from Xlib.display import Display

from racing_vpt.games.forms import near

SPECIAL = {  # pygame's name: X's
    "left": "Left",
    "right": "Right",
    "up": "Up",
    "down": "Down",
    "return": "Return",
    "enter": "KP_Enter",
    "escape": "Escape",
    "tab": "Tab",
    "backspace": "BackSpace",
    "delete": "Delete",
    "insert": "Insert",
    "home": "Home",
    "end": "End",
    "page up": "Prior",
    "page down": "Next",
    "caps lock": "Caps_Lock",
    "left shift": "Shift_L",
    "right shift": "Shift_R",
    "left ctrl": "Control_L",
    "right ctrl": "Control_R",
    "left alt": "Alt_L",
    "right alt": "Alt_R",
    "left meta": "Super_L",
    "right meta": "Super_R",
    ",": "comma",
    ".": "period",
    "-": "minus",
    "=": "equal",
    ";": "semicolon",
    "'": "apostrophe",
    "/": "slash",
    "\\": "backslash",
    "[": "bracketleft",
    "]": "bracketright",
    "`": "grave",
    **{f"f{number}": f"F{number}" for number in range(1, 13)},
    **{f"[{number}]": f"KP_{number}" for number in range(10)},
}


def keycode(display: Display, name: str) -> int:
    """Keycode of a key on a display's keyboard.

    Args:
        display: its keyboard decides.
        name: pygame's name, such as `left` or `right shift`, or X's, such as `Shift_R`.

    Raises:
        ValueError: there is no such key.
    """
    symbol = XK.string_to_keysym(SPECIAL.get(name, name))
    if symbol == X_NO_SYMBOL:
        raise ValueError(
            f"there is no key {name!r}{near(name, [*SPECIAL, 'space'])}; keys are named as by pygame: left, w, space"
        )
    code = display.keysym_to_keycode(symbol)
    if not code:
        raise ValueError(f"the keyboard of {display.get_display_name()} has no key {name!r}")
    return code


def keycodes(display: Display, names: tuple[str, ...]) -> dict[int, str]:
    """Name of each of these keys by its keycode; ValueError for a name that does not exist."""
    return {keycode(display, name): name for name in names}


X_NO_SYMBOL = 0
