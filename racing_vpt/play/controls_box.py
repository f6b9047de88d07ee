"""The box that shows the controls of a game: its widgets and their layout."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from racing_vpt.play.widgets import BOX_WIDTH, Bar, Gear, Key, Look, Mouse, Pedal, Wheel, Widget
from racing_vpt.types import Frame
from racing_vpt.window.text import WRONG, Colour, Point

CAR: dict[str, Widget] = {
    "steering": Wheel("steering"),
    "throttle": Pedal("throttle", left=52),
    "brake": Pedal("brake", left=122),
}
STEERING_KEYS: tuple[Widget, ...] = (Key("left", "left", (38, 4, 62, 36)), Key("right", "right", (108, 4, 62, 36)))
CAR_BY_KEYS: dict[str, Widget] = {
    "throttle": Pedal("throttle", left=52, top=50),
    "brake": Pedal("brake", left=122, top=50),
}
CAR_WITH_GEARS: dict[str, Widget] = {
    **CAR,
    "throttle": Pedal("throttle", left=22),
    "brake": Pedal("brake", left=88),
    "gear_change": Gear("gear_change"),
}
CROSS: tuple[Widget, ...] = (
    *(Key("up", "up", (40, 3, 36, 36)), Key("left", "left", (4, 39, 36, 36))),
    *(Key("right", "right", (76, 39, 36, 36)), Key("down", "down", (40, 75, 36, 36))),
)
JOYSTICK: tuple[Widget, ...] = (*CROSS, Key("fire", "fire", (132, 33, 48, 48)))
PAD: tuple[Widget, ...] = (
    *(*CROSS, Key("b", "b", (124, 61, 38, 38)), Key("a", "a", (166, 43, 38, 38))),
    *(Key("select", "select", (34, 125, 66, 26)), Key("start", "start", (108, 125, 66, 26))),
)
KEY_ROWS = (("drop", "forward", "inventory"), ("left", "back", "right"), ("sneak", "sprint", "jump"))


def minecraft_widgets() -> Iterator[Widget]:
    """Slots, keys as on a keyboard, mouse buttons and camera."""
    for slot in range(1, 10):
        yield Key(f"hotbar.{slot}", str(slot), (5 + 22 * (slot - 1), 2, 20, 24))
    for row, names in enumerate(KEY_ROWS):
        for column, name in enumerate(names):
            yield Key(name, name, (4 + 67 * column, 34 + 30 * row, 65, 27))
    for column, name in enumerate(("attack", "use")):
        yield Key(name, name, (4 + 101 * column, 130, 98, 32))
    yield Mouse()


def used(controls: Mapping[str, np.ndarray | float]) -> list[str]:
    """Names of the controls to show: all but a gear that never changes."""
    return [name for name, values in controls.items() if name != "gear_change" or np.any(values)]


def widgets_of(names: Sequence[str]) -> list[Widget]:
    """Widgets for controls: those of a game if all its controls are among them, numbers otherwise."""
    car = CAR_WITH_GEARS if "gear_change" in names else CAR if "steering" in names else CAR_BY_KEYS
    found: list[Widget] = [car[name] for name in names if name in car]
    for game in (PAD, JOYSTICK, tuple(minecraft_widgets())):
        if {one.control for one in game} <= {*names}:
            found += game
    drawn = {one.control for one in found}
    if car is CAR_BY_KEYS and {"left", "right"} <= {*names} - drawn:
        found += STEERING_KEYS
        drawn |= {"left", "right"}
    if "camera_yaw" in drawn:
        drawn.add("camera_pitch")
    below = max((one.bottom for one in found), default=0)
    rest = [name for name in names if name not in drawn]
    return found + [Bar(name, below + 20 * row) for row, name in enumerate(rest)]


def box_height(names: Sequence[str]) -> int:
    """Height of the box for controls, in pixels."""
    return max(one.bottom for one in widgets_of(names))


def draw_box(
    canvas: Frame,
    at: Point,
    controls: Mapping[str, float],
    marks: Mapping[str, Colour] | None = None,
    strength: float = 1.0,
) -> None:
    """Draw controls by name into the canvas uint8 [H, W, 3]; the box's upper left corner is at (x, y).

    Args:
        canvas: picture to draw into, large enough.
        at: x and y, pixels.
        controls: values by name.
        marks: edge colours of controls to highlight, by name.
        strength: strength of the colours (`strength_of`).
    """
    marks = marks or {}
    widgets, height, (left, top) = widgets_of([*controls]), box_height([*controls]), at
    box = np.ascontiguousarray(canvas[top : top + height, left : left + BOX_WIDTH])
    for one in widgets:
        names = ("camera_yaw", "camera_pitch") if isinstance(one, Mouse) else (one.control,)
        edges = [marks[name] for name in names if name in marks]
        one.draw(box, controls, Look(WRONG if WRONG in edges else edges[0] if edges else None, strength))
    canvas[top : top + len(box), left : left + BOX_WIDTH] = box
