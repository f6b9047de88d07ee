"""Messages of OWAMcap, MCAP files as Open World Agents records desktops (https://github.com/open-world-agents).

Topics, names and fields of their package owa-msgs 0.6.6; the gamepad's are those of its repository, which that release
does not contain. Keys are Windows' virtual key codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from racing_vpt.exchange.contractor import KEYS
from racing_vpt.games.game import Game

PROFILE = "owa"
AXES = {  # control: axis of a gamepad
    "steering": "GAMEPAD_AXIS_LEFT_X",
    "throttle": "GAMEPAD_AXIS_RIGHT_TRIGGER",
    "brake": "GAMEPAD_AXIS_LEFT_TRIGGER",
}
CAMERA = {"camera_yaw": "last_x", "camera_pitch": "last_y"}  # turns of a mouse
MOUSE_FLAGS = {"attack": (0x0001, 0x0002), "use": (0x0004, 0x0008)}  # left and right button: down, up
SPECIAL = {  # pygame's name of a key: virtual key code
    **{"backspace": 0x08, "tab": 0x09, "return": 0x0D, "enter": 0x0D, "caps lock": 0x14, "escape": 0x1B},
    **{"space": 0x20, "page up": 0x21, "page down": 0x22, "end": 0x23, "home": 0x24, "left": 0x25, "up": 0x26},
    **{"right": 0x27, "down": 0x28, "insert": 0x2D, "delete": 0x2E, "left meta": 0x5B, "right meta": 0x5C},
    **{"left shift": 0xA0, "right shift": 0xA1, "left ctrl": 0xA2, "right ctrl": 0xA3, "left alt": 0xA4},
    **{"right alt": 0xA5, ";": 0xBA, "=": 0xBB, ",": 0xBC, "-": 0xBD, ".": 0xBE, "/": 0xBF, "`": 0xC0},
    **{"[": 0xDB, "\\": 0xDC, "]": 0xDD, "'": 0xDE},
    **{f"f{number}": 0x6F + number for number in range(1, 13)},
    **{f"[{number}]": 0x60 + number for number in range(10)},
}
MINECRAFT = {control: key.replace(".", " ").replace("control", "ctrl") for key, control in KEYS.items()}
USUAL = {  # control: key, where no game file says it
    **{"up": "up", "down": "down", "left": "left", "right": "right", "a": "x", "b": "z", "fire": "space"},
    **{"start": "return", "select": "right shift"},
}


@dataclass(frozen=True)
class Devices:
    """Where each control is found among the devices of a desktop.

    Args:
        keys: virtual key code by control that is a button.
        axes: axis of a gamepad by control.
        mouse: controls that are turns or buttons of the mouse.
        rest: controls that have no device, and are in our own topic only.
    """

    keys: dict[str, int]
    axes: dict[str, str]
    mouse: tuple[str, ...]
    rest: tuple[str, ...]


def devices_of(controls: Sequence[str], game: Game | None) -> Devices:
    """Find a key, an axis or the mouse for each control; a game's file says its keys, or they are the usual ones."""
    minecraft = "camera_yaw" in controls
    axes = {name: AXES[name] for name in controls if name in AXES}
    mouse = tuple(name for name in controls if name in CAMERA or (minecraft and name in MOUSE_FLAGS))
    usual = MINECRAFT if minecraft else USUAL
    keys: dict[str, int] = {}
    for name in controls:
        if name in axes or name in mouse:
            continue
        held = game.keys[name].all[:1] if game is not None and name in game.keys else ()
        code = key_code(held[0] if held else usual.get(name, ""))
        if code is not None and code not in keys.values():
            keys[name] = code
    rest = tuple(name for name in controls if name not in {*keys, *axes, *mouse})
    return Devices(keys, axes, mouse, rest)


def key_code(name: str) -> int | None:
    """Virtual key code of a key by pygame's name; None if it has none."""
    if len(name) == 1 and name.isascii() and name.isalnum():
        return ord(name.upper())
    return SPECIAL.get(name)


def _message(required: Sequence[str], **properties: object) -> dict[str, object]:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


_TIME = {"timestamp": {"type": ["integer", "null"], "default": None}}
_PAIR = {"type": ["array", "null"], "items": {"type": "integer"}, "minItems": 2, "maxItems": 2, "default": None}
_MEDIA = {
    "type": "object",
    "properties": {"uri": {"type": "string"}, "pts_ns": {"type": ["integer", "null"], "default": None}},
    "required": ["uri"],
}
SCHEMAS: dict[str, dict[str, object]] = {  # by name, JSON Schema
    "desktop/ScreenCaptured": _message(
        [], utc_ns={"type": ["integer", "null"], "default": None}, source_shape=_PAIR, shape=_PAIR, media_ref=_MEDIA
    ),
    "desktop/KeyboardEvent": _message(
        ["event_type", "vk"], event_type={"enum": ["press", "release"]}, vk={"type": "integer"}, **_TIME
    ),
    "desktop/KeyboardState": _message(
        ["buttons"], buttons={"type": "array", "items": {"type": "integer"}, "uniqueItems": True}, **_TIME
    ),
    "desktop/RawMouseEvent": _message(
        ["last_x", "last_y"],
        **{name: {"type": "integer"} for name in ("last_x", "last_y", "us_flags", "button_flags", "button_data")},
        device_handle={"type": ["integer", "null"], "default": None},
        **_TIME,
    ),
    "desktop/GamepadState": _message(
        ["gamepad_type", "buttons", "axes"],
        gamepad_type={"type": "string"},
        buttons={"type": "array", "items": {"type": "string"}},
        axes={"type": "object", "additionalProperties": {"type": "number"}},
        **_TIME,
    ),
    "racing_vpt/Controls": _message(
        ["frame", "controls", "first"],
        frame={"type": "integer"},
        controls={"type": "object", "additionalProperties": {"type": "number"}},
        reward={"type": "number"},
        first={"type": "boolean"},
        confidence={"type": "number"},
    ),
}
TOPICS = {  # topic: name of its messages
    "screen": "desktop/ScreenCaptured",
    "keyboard": "desktop/KeyboardEvent",
    "keyboard/state": "desktop/KeyboardState",
    "mouse/raw": "desktop/RawMouseEvent",
    "gamepad/state": "desktop/GamepadState",
    "racing_vpt/controls": "racing_vpt/Controls",
}
