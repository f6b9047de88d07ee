"""Widgets that draw controls: steering wheel, pedals and gear; a gamepad; or keys and a mouse.

The box is 208 pixels wide for every game, so that boxes can be placed side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from racing_vpt.types import Frame
from racing_vpt.window.text import DARK, FAINT, PRESSED, TEXT, Colour, Point, mixed, text_width, write

BOX_WIDTH = 208
CAMERA_LIMIT = 10.0  # camera degrees at which the arrow reaches the rim
COLOURS = {"steering": (90, 170, 255), "throttle": (90, 210, 110), "brake": (240, 150, 60)}
FULL_TURN = 120.0  # degrees by which the wheel is turned at steering 1
FAINTEST = 0.12  # strength of colours where the confidence is 0


@dataclass(frozen=True)
class Look:
    """Style of a widget.

    Args:
        edge: colour of the edge of a highlighted widget.
        strength: strength of the colours, 0 to 1; lower for an uncertain label.
    """

    edge: Colour | None = None
    strength: float = 1.0

    def lit(self, colour: Colour) -> Colour:
        """The colour, scaled by `strength`."""
        return mixed(DARK, colour, self.strength)

    @property
    def letters(self) -> Colour:
        """Text colour."""
        return mixed(FAINT, TEXT, self.strength)


def strength_of(confidence: float | None) -> float:
    """Strength of the colours for a label's confidence: its root, because a product over several heads is small. A
    confidence of 0.09 is drawn at 0.38.
    """
    return 1.0 if confidence is None else FAINTEST + (1 - FAINTEST) * float(np.clip(confidence, 0, 1)) ** 0.5


@dataclass(frozen=True)
class Wheel:
    """A steering wheel that turns to the right with positive steering."""

    control: str
    middle: Point = (104, 62)
    radius: int = 52

    @property
    def bottom(self) -> int:
        return self.middle[1] + self.radius + 36

    def draw(self, canvas: Frame, controls: Mapping[str, float], look: Look) -> None:
        value = controls[self.control]
        cv2.circle(canvas, self.middle, self.radius, look.edge or FAINT, 9, cv2.LINE_AA)
        for spoke in (0.0, 120.0, 240.0):
            angle = np.radians(value * FULL_TURN + spoke)
            rim = np.array([np.sin(angle), -np.cos(angle)]) * self.radius + self.middle
            cv2.line(canvas, self.middle, tuple(rim.round().astype(int).tolist()), FAINT, 6, cv2.LINE_AA)
        angle = np.radians(value * FULL_TURN)
        mark = np.array([np.sin(angle), -np.cos(angle)])[None] * [[self.radius - 9], [self.radius + 5]] + self.middle
        start, end = (tuple(point) for point in mark.round().astype(int).tolist())
        cv2.line(canvas, start, end, look.lit(COLOURS["steering"]), 7, cv2.LINE_AA)
        cv2.circle(canvas, self.middle, 8, FAINT, -1, cv2.LINE_AA)
        below = (self.middle[0], self.middle[1] + self.radius + 26)
        write(canvas, f"{self.control} {round(value, 2) + 0.0:+.2f}", below, look.letters, align="centre")


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

    def draw(self, canvas: Frame, controls: Mapping[str, float], look: Look) -> None:
        value, right, bottom = controls[self.control], self.left + self.width, self.top + self.height
        full = bottom - round(float(np.clip(value, 0, 1)) * self.height)
        cv2.rectangle(canvas, (self.left, self.top), (right, bottom), DARK, -1)
        cv2.rectangle(canvas, (self.left, full), (right, bottom), look.lit(COLOURS.get(self.control, PRESSED)), -1)
        cv2.rectangle(canvas, (self.left, self.top), (right, bottom), look.edge or FAINT, 2)
        middle = self.left + self.width // 2
        write(canvas, self.control, (middle, bottom + 17), look.letters, align="centre")
        write(canvas, f"{value:.2f}", (middle, bottom + 34), look.letters, align="centre")


@dataclass(frozen=True)
class Gear:
    """Whether the gear changes: up, not, or down."""

    control: str
    left: int = 154
    top: int = 158

    @property
    def bottom(self) -> int:
        return self.top + 104

    def draw(self, canvas: Frame, controls: Mapping[str, float], look: Look) -> None:
        for row, (label, value) in enumerate((("+", 1.0), ("o", 0.0), ("-", -1.0))):
            top = self.top + 27 * row
            lit = abs(controls[self.control] - value) < 0.5
            key(canvas, (self.left, top, 34, 25), label, lit, look if lit else Look(None, look.strength))
        write(canvas, "gear", (self.left + 17, self.top + 97), look.letters, align="centre")


@dataclass(frozen=True)
class Key:
    """A button that lights up: left, top, width and height in pixels."""

    control: str
    label: str
    place: tuple[int, int, int, int]

    @property
    def bottom(self) -> int:
        return self.place[1] + self.place[3] + 6

    def draw(self, canvas: Frame, controls: Mapping[str, float], look: Look) -> None:
        key(canvas, self.place, self.label, controls[self.control] > 0.5, look)


@dataclass(frozen=True)
class Mouse:
    """Camera movement as an arrow; its length is the root of the degrees, which keeps small turns visible."""

    control: str = "camera_yaw"
    middle: Point = (48, 214)
    radius: int = 40

    @property
    def bottom(self) -> int:
        return self.middle[1] + self.radius + 6

    def draw(self, canvas: Frame, controls: Mapping[str, float], look: Look) -> None:
        turn = np.array([controls["camera_yaw"], controls["camera_pitch"]])
        size = float(np.hypot(*turn))
        cv2.circle(canvas, self.middle, self.radius, look.edge or FAINT, 2, cv2.LINE_AA)
        cv2.circle(canvas, self.middle, 3, FAINT, -1, cv2.LINE_AA)
        if size > 1e-3:
            tip = turn / size * self.radius * min(1.0, size / CAMERA_LIMIT) ** 0.5 + self.middle
            cv2.arrowedLine(
                canvas,
                self.middle,
                tuple(tip.round().astype(int).tolist()),
                look.lit(PRESSED),
                3,
                cv2.LINE_AA,
                tipLength=0.3,
            )
        for row, (name, value) in enumerate((("yaw", turn[0]), ("pitch", turn[1]))):
            place = (self.middle[0] + self.radius + 14, self.middle[1] - 6 + 22 * row)
            write(canvas, f"{name} {value:+.1f}", place, look.letters)


@dataclass(frozen=True)
class Bar:
    """Any other control as a number."""

    control: str
    top: int

    @property
    def bottom(self) -> int:
        return self.top + 20

    def draw(self, canvas: Frame, controls: Mapping[str, float], look: Look) -> None:
        write(
            canvas, f"{self.control} {controls[self.control]:+.2f}"[:28], (8, self.top + 15), look.edge or look.letters
        )


Widget = Wheel | Pedal | Gear | Key | Mouse | Bar


def key(canvas: Frame, place: tuple[int, int, int, int], label: str, lit: bool, look: Look) -> None:
    """A key at left, top, width and height."""
    left, top, width, height = place
    right, bottom = left + width - 1, top + height - 1
    cv2.rectangle(canvas, (left, top), (right, bottom), look.lit(PRESSED) if lit else DARK, -1)
    cv2.rectangle(canvas, (left, top), (right, bottom), look.edge or FAINT, 2 if look.edge else 1)
    colour = DARK if lit and look.strength > 0.5 else TEXT
    size = next((size for size in (13, 12, 11, 10) if text_width(label, size) <= width - 4), 9)
    write(canvas, label, (left + width // 2, top + height // 2 + 5), colour, size=size, align="centre")
