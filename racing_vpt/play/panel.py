"""Controls as a person reads them: a steering wheel, pedals and a gear; a pad; or keys and a mouse.

Everything is drawn into a box of 208 pixels' width, whatever the game, so that boxes can stand side by side.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from racing_vpt.types import Frame

BOX_WIDTH = 208
SIZE = 0.42  # of letters, as OpenCV counts
CAMERA_LIMIT = 10.0  # degrees at which the arrow reaches the rim
BACKGROUND, TEXT, FAINT, DARK = (24, 24, 24), (235, 235, 235), (95, 95, 95), (48, 48, 48)
RIGHT, WRONG = (80, 200, 110), (250, 80, 70)  # the colours of agreement
PRESSED = (90, 170, 255)
COLOURS = {"steering": (90, 170, 255), "throttle": (90, 210, 110), "brake": (240, 150, 60)}
FULL_TURN = 120.0  # degrees by which the wheel is drawn turned at a steering of 1
Colour = tuple[int, int, int]
Point = tuple[int, int]


def write(canvas: Frame, text: str, at: Point, colour: Colour = TEXT, *, centred: bool = False) -> None:
    """Text whose baseline starts, or has its middle, at (x, y) pixels."""
    x, y = at
    if centred:
        x -= cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, SIZE, 1)[0][0] // 2
    cv2.putText(canvas, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, SIZE, colour, 1, cv2.LINE_AA)


def fitting(text: str, width: int) -> str:
    """The text, or its end after dots, so that it takes at most `width` pixels."""
    shown = text
    while len(shown) > 4 and cv2.getTextSize(shown, cv2.FONT_HERSHEY_SIMPLEX, SIZE, 1)[0][0] > width:
        shown = "..." + shown.removeprefix("...")[1:]
    return shown


@dataclass(frozen=True)
class Wheel:
    """A steering wheel that turns to the right with positive steering."""

    control: str
    middle: Point = (104, 62)
    radius: int = 52

    @property
    def bottom(self) -> int:
        return self.middle[1] + self.radius + 36

    def draw(self, canvas: Frame, controls: Mapping[str, float], edge: Colour | None) -> None:
        value = controls[self.control]
        cv2.circle(canvas, self.middle, self.radius, edge or FAINT, 9, cv2.LINE_AA)
        for spoke in (0.0, 120.0, 240.0):
            angle = np.radians(value * FULL_TURN + spoke)
            rim = np.array([np.sin(angle), -np.cos(angle)]) * self.radius + self.middle
            cv2.line(canvas, self.middle, tuple(rim.round().astype(int).tolist()), FAINT, 6, cv2.LINE_AA)
        angle = np.radians(value * FULL_TURN)
        mark = np.array([np.sin(angle), -np.cos(angle)])[None] * [[self.radius - 9], [self.radius + 5]] + self.middle
        start, end = (tuple(point) for point in mark.round().astype(int).tolist())
        cv2.line(canvas, start, end, COLOURS["steering"], 7, cv2.LINE_AA)
        cv2.circle(canvas, self.middle, 8, FAINT, -1, cv2.LINE_AA)
        write(canvas, f"{self.control} {value:+.2f}", (self.middle[0], self.middle[1] + self.radius + 26), centred=True)


@dataclass(frozen=True)
class Pedal:
    """A pedal that fills from below."""

    control: str
    left: int
    top: int = 158
    height: int = 80
    width: int = 34

    @property
    def bottom(self) -> int:
        return self.top + self.height + 40

    def draw(self, canvas: Frame, controls: Mapping[str, float], edge: Colour | None) -> None:
        value, right, bottom = controls[self.control], self.left + self.width, self.top + self.height
        full = bottom - round(float(np.clip(value, 0, 1)) * self.height)
        cv2.rectangle(canvas, (self.left, self.top), (right, bottom), DARK, -1)
        cv2.rectangle(canvas, (self.left, full), (right, bottom), COLOURS.get(self.control, PRESSED), -1)
        cv2.rectangle(canvas, (self.left, self.top), (right, bottom), edge or FAINT, 2)
        middle = self.left + self.width // 2
        write(canvas, self.control, (middle, bottom + 16), centred=True)
        write(canvas, f"{value:.2f}", (middle, bottom + 32), centred=True)


@dataclass(frozen=True)
class Gear:
    """Whether the gear changes: up, not, or down."""

    control: str
    left: int = 154
    top: int = 158

    @property
    def bottom(self) -> int:
        return self.top + 104

    def draw(self, canvas: Frame, controls: Mapping[str, float], edge: Colour | None) -> None:
        for row, (label, value) in enumerate((("+", 1.0), ("o", 0.0), ("-", -1.0))):
            top = self.top + 27 * row
            lit = abs(controls[self.control] - value) < 0.5
            key(canvas, (self.left, top, 34, 25), label, lit, edge if lit else None)
        write(canvas, "gear", (self.left + 17, self.top + 96), centred=True)


@dataclass(frozen=True)
class Key:
    """A button that lights up: left, top, width and height in pixels."""

    control: str
    label: str
    place: tuple[int, int, int, int]

    @property
    def bottom(self) -> int:
        return self.place[1] + self.place[3] + 6

    def draw(self, canvas: Frame, controls: Mapping[str, float], edge: Colour | None) -> None:
        key(canvas, self.place, self.label, controls[self.control] > 0.5, edge)


@dataclass(frozen=True)
class Mouse:
    """How the camera turns: an arrow, long as the root of the degrees, so that small turns show."""

    control: str = "camera_yaw"
    middle: Point = (48, 214)
    radius: int = 40

    @property
    def bottom(self) -> int:
        return self.middle[1] + self.radius + 6

    def draw(self, canvas: Frame, controls: Mapping[str, float], edge: Colour | None) -> None:
        turn = np.array([controls["camera_yaw"], controls["camera_pitch"]])
        size = float(np.hypot(*turn))
        cv2.circle(canvas, self.middle, self.radius, edge or FAINT, 2, cv2.LINE_AA)
        cv2.circle(canvas, self.middle, 3, FAINT, -1, cv2.LINE_AA)
        if size > 1e-3:
            tip = turn / size * self.radius * min(1.0, size / CAMERA_LIMIT) ** 0.5 + self.middle
            cv2.arrowedLine(
                canvas, self.middle, tuple(tip.round().astype(int).tolist()), PRESSED, 3, cv2.LINE_AA, tipLength=0.3
            )
        for row, (name, value) in enumerate((("yaw", turn[0]), ("pitch", turn[1]))):
            write(canvas, f"{name} {value:+.1f}", (self.middle[0] + self.radius + 14, self.middle[1] - 6 + 22 * row))


@dataclass(frozen=True)
class Bar:
    """Any other control, as a number."""

    control: str
    top: int

    @property
    def bottom(self) -> int:
        return self.top + 20

    def draw(self, canvas: Frame, controls: Mapping[str, float], edge: Colour | None) -> None:
        write(canvas, f"{self.control} {controls[self.control]:+.2f}"[:28], (8, self.top + 14), edge or TEXT)


Widget = Wheel | Pedal | Gear | Key | Mouse | Bar
CAR: dict[str, Widget] = {
    "steering": Wheel("steering"),
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
    """Slots, keys as they lie on a keyboard, the mouse's buttons and the camera."""
    for slot in range(1, 10):
        yield Key(f"hotbar.{slot}", str(slot), (5 + 22 * (slot - 1), 2, 20, 24))
    for row, names in enumerate(KEY_ROWS):
        for column, name in enumerate(names):
            yield Key(name, name, (4 + 67 * column, 34 + 30 * row, 65, 27))
    for column, name in enumerate(("attack", "use")):
        yield Key(name, name, (4 + 101 * column, 130, 98, 32))
    yield Mouse()


def widgets_of(names: Sequence[str]) -> list[Widget]:
    """What draws the controls of these names: a game's pictures where all of its controls are there, else numbers."""
    found: list[Widget] = [CAR[name] for name in names if name in CAR]
    for game in (PAD, JOYSTICK, tuple(minecraft_widgets())):
        if {one.control for one in game} <= {*names}:
            found += game
    drawn = {one.control for one in found}
    if "camera_yaw" in drawn:
        drawn.add("camera_pitch")
    below = max((one.bottom for one in found), default=0)
    rest = [name for name in names if name not in drawn]
    return found + [Bar(name, below + 20 * row) for row, name in enumerate(rest)]


def box_height(names: Sequence[str]) -> int:
    """Rows of the box for controls of these names, in pixels."""
    return max(one.bottom for one in widgets_of(names))


def draw_box(
    canvas: Frame, at: Point, controls: Mapping[str, float], marks: Mapping[str, Colour] | None = None
) -> None:
    """Draw controls by name into the canvas uint8 [H, W, 3]; the box's upper left corner is at (x, y).

    Args:
        canvas: is drawn into; large enough.
        at: x and y, pixels.
        controls: values by name.
        marks: colours of the edges of controls that are to stand out.
    """
    marks = marks or {}
    widgets, height, (left, top) = widgets_of([*controls]), box_height([*controls]), at
    box = np.ascontiguousarray(canvas[top : top + height, left : left + BOX_WIDTH])
    for one in widgets:
        names = ("camera_yaw", "camera_pitch") if isinstance(one, Mouse) else (one.control,)
        edges = [marks[name] for name in names if name in marks]
        one.draw(box, controls, WRONG if WRONG in edges else edges[0] if edges else None)
    canvas[top : top + len(box), left : left + BOX_WIDTH] = box


def key(canvas: Frame, place: tuple[int, int, int, int], label: str, lit: bool, edge: Colour | None) -> None:
    """A key at left, top, width and height."""
    left, top, width, height = place
    right, bottom = left + width - 1, top + height - 1
    cv2.rectangle(canvas, (left, top), (right, bottom), PRESSED if lit else DARK, -1)
    cv2.rectangle(canvas, (left, top), (right, bottom), edge or FAINT, 2 if edge else 1)
    write(canvas, label, (left + width // 2, top + height // 2 + 5), DARK if lit else TEXT, centred=True)
