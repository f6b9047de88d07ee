"""Overlays drawn for tests: antialiased, semi-transparent, with frames, ticks and gradients, over any picture.

The reader was tuned on `TUNED` kinds alone; those of `HELD_OUT` were not read before it was finished.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

FINE = 4  # supersampling
TUNED = ("panel-bar", "line-slider", "box-key", "needle")
HELD_OUT = ("segments", "middle-bar", "pointer-slider", "dark-key", "wheel")


@dataclass(frozen=True)
class Drawn:
    """A display to draw.

    Args:
        kind: one of `TUNED` or `HELD_OUT`.
        control: what it shows.
        box: top, left, height, width in pixels.
        colour: RGB of what moves.
        back: RGB of the panel.
        opacity: of all of it.
    """

    kind: str
    control: str
    box: tuple[int, int, int, int]
    colour: tuple[int, int, int]
    back: tuple[int, int, int]
    opacity: float

    def described(self, height: int, width: int) -> dict:
        """How it is named to the reader, for pictures of `height` x `width` pixels."""
        top, left, tall, wide = self.box
        place = [round(top / height, 5), round(left / width, 5), round(tall / height, 5), round(wide / width, 5)]
        return {
            "panel-bar": {"bar": place, "towards": "up"},
            "segments": {"bar": place, "towards": "right"},
            "middle-bar": {"bar": place, "towards": "right", "middle": True},
            "line-slider": {"slider": place, "towards": "right"},
            "pointer-slider": {"slider": place, "towards": "right"},
            "box-key": {"key": place},
            "dark-key": {"key": place, "lit": "darker"},
            "needle": {"dial": place, "turn": 120},
            "wheel": {"dial": place, "turn": 90},
        }[self.kind]

    def over(self, frame: np.ndarray, value: float, strength: float = 1.0) -> None:
        """Draw it into a frame uint8 [H, W, 3]; `value` in [-1, 1], or [0, 1] of bars and keys."""
        top, left, tall, wide = self.box
        layer = np.zeros((tall * FINE, wide * FINE, 4), np.float32)
        DRAW[self.kind](layer, value, self)
        small = cv2.resize(layer, (wide, tall), interpolation=cv2.INTER_AREA)
        cover = small[..., 3:] * self.opacity * strength
        part = frame[top : top + tall, left : left + wide]
        colours = small[..., :3] / np.maximum(small[..., 3:], 1e-6)
        part[:] = np.rint(part * (1 - cover) + colours * cover).astype(np.uint8)


def _fill(layer: np.ndarray, rows: tuple[float, float], columns: tuple[float, float], colour) -> None:
    tall, wide = layer.shape[:2]
    layer[round(rows[0] * tall) : round(rows[1] * tall), round(columns[0] * wide) : round(columns[1] * wide)] = (
        *colour,
        1,
    )


def _panel_bar(layer, value, drawn) -> None:
    _fill(layer, (0, 1), (0, 1), drawn.back)
    _fill(layer, (1 - value, 1), (0, 1), drawn.colour)
    cv2.rectangle(layer, (0, 0), (layer.shape[1] - 1, layer.shape[0] - 1), (230, 230, 230, 1), FINE)


def _segments(layer, value, drawn) -> None:
    count = 12
    for block in range(count):
        lit = value * count > block
        share = block / (count - 1)
        colour = (60 + 195 * share, 230 - 170 * share, 60) if lit else drawn.back
        end = min(1.0, value * count - block) if lit else 1.0
        _fill(layer, (0.1, 0.9), ((block + 0.08) / count, (block + 0.92) / count), drawn.back)
        if lit:
            _fill(layer, (0.1, 0.9), ((block + 0.08) / count, (block + 0.08 + 0.84 * end) / count), colour)


def _middle_bar(layer, value, drawn) -> None:
    tall, wide = layer.shape[:2]
    radius = tall // 2
    for colour, begin, end in ((drawn.back, 0, wide), (drawn.colour, wide / 2, wide / 2 + value * wide / 2)):
        first, last = sorted((begin, end))
        if last - first >= 1:
            cv2.rectangle(layer, (round(first), tall // 6), (round(last), tall - tall // 6), (*colour, 1), -1)
    cv2.line(layer, (wide // 2, 0), (wide // 2, tall), (250, 250, 250, 1), max(1, radius // 8))


def _line_slider(layer, value, drawn) -> None:
    tall, wide = layer.shape[:2]
    cv2.line(layer, (0, tall // 2), (wide, tall // 2), (*drawn.back, 1), tall // 4)
    at = round((0.05 + 0.9 * (value + 1) / 2) * wide)
    cv2.line(layer, (at, 0), (at, tall), (*drawn.colour, 1), 4 * FINE)


def _pointer_slider(layer, value, drawn) -> None:
    tall, wide = layer.shape[:2]
    _fill(layer, (0.55, 0.95), (0, 1), drawn.back)
    for tick in range(11):
        _fill(layer, (0.75, 0.95), (max(0, tick / 10 - 0.004), min(1, tick / 10 + 0.004)), (240, 240, 240))
    at, half = (0.06 + 0.88 * (value + 1) / 2) * wide, 0.05 * wide
    points = np.array([[at - half, 0.05 * tall], [at + half, 0.05 * tall], [at, 0.7 * tall]]).round().astype(np.int32)
    cv2.fillPoly(layer, [points], (*drawn.colour, 1))


def _box_key(layer, value, drawn) -> None:
    _fill(layer, (0, 1), (0, 1), drawn.colour if value > 0.5 else drawn.back)
    size = layer.shape[0] / 40
    letter = np.zeros(layer.shape[:2], np.uint8)
    cv2.putText(letter, "W", (layer.shape[1] // 4, layer.shape[0] * 3 // 4), 0, size, 255, 2 * FINE)
    layer[letter > 0] = (255, 255, 255, 1)


def _dark_key(layer, value, drawn) -> None:
    tall, wide = layer.shape[:2]
    colour = tuple(channel // 3 for channel in drawn.colour) if value > 0.5 else drawn.colour
    cv2.circle(layer, (wide // 2, tall // 2), min(tall, wide) // 2, (*colour, 1), -1)
    cv2.arrowedLine(layer, (wide // 4, tall // 2), (wide * 3 // 4, tall // 2), (20, 20, 20, 1), 2 * FINE)


def _needle(layer, value, drawn) -> None:
    tall, wide = layer.shape[:2]
    middle, radius = (wide // 2, tall // 2), min(tall, wide) // 2
    cv2.circle(layer, middle, radius, (*drawn.back, 1), -1)
    for tick in range(9):
        angle = math.radians(-120 + 30 * tick)
        inner, outer = (
            (middle[0] + math.sin(angle) * radius * r, middle[1] - math.cos(angle) * radius * r) for r in (0.8, 0.95)
        )
        cv2.line(layer, tuple(map(round, inner)), tuple(map(round, outer)), (235, 235, 235, 1), 2 * FINE)
    angle = math.radians(120 * value)
    tip = (round(middle[0] + math.sin(angle) * radius * 0.9), round(middle[1] - math.cos(angle) * radius * 0.9))
    cv2.line(layer, middle, tip, (*drawn.colour, 1), 3 * FINE)


def _wheel(layer, value, drawn) -> None:
    tall, wide = layer.shape[:2]
    middle, radius = (wide // 2, tall // 2), round(min(tall, wide) * 0.44)
    cv2.circle(layer, middle, radius, (*drawn.back, 1), round(radius * 0.2))
    for spoke in (90, 180, 270):
        angle = math.radians(90 * value + spoke)
        tip = (round(middle[0] + math.sin(angle) * radius), round(middle[1] - math.cos(angle) * radius))
        cv2.line(layer, middle, tip, (*drawn.back, 1), round(radius * 0.2))
    angle = math.radians(90 * value)
    tip = (round(middle[0] + math.sin(angle) * radius), round(middle[1] - math.cos(angle) * radius))
    cv2.circle(layer, tip, round(radius * 0.12), (*drawn.colour, 1), -1)


DRAW = {
    "panel-bar": _panel_bar,
    "segments": _segments,
    "middle-bar": _middle_bar,
    "line-slider": _line_slider,
    "pointer-slider": _pointer_slider,
    "box-key": _box_key,
    "dark-key": _dark_key,
    "needle": _needle,
    "wheel": _wheel,
}


def drawn_layout(kinds: tuple[str, ...], seed: int, height: int, width: int) -> list[Drawn]:
    """Displays of kinds at drawn places that do not overlap, in drawn colours and opacities."""
    random = np.random.default_rng([seed, 22])
    controls = {"bar": "throttle", "segments": "throttle", "key": "brake"}
    taken = np.zeros((height, width), bool)
    found = []
    for kind in kinds:
        control = next((name for part, name in controls.items() if part in kind and "middle" not in kind), "steering")
        scale = random.uniform(0.8, 1.4) * height / 400
        tall, wide = {
            "panel-bar": (90, 16), "segments": (18, 120), "middle-bar": (16, 140), "line-slider": (16, 120),
            "pointer-slider": (24, 130), "box-key": (30, 30), "dark-key": (30, 30), "needle": (80, 80),
            "wheel": (80, 80),
        }[kind]  # fmt: skip
        tall, wide = round(tall * scale), round(wide * scale)
        for _ in range(1000):
            top, left = int(random.integers(4, height - tall - 4)), int(random.integers(4, width - wide - 4))
            area = (slice(max(0, top - 20), top + tall + 20), slice(max(0, left - 20), left + wide + 20))
            if not taken[area].any():
                break
        taken[area] = True
        hue = np.uint8([[[random.integers(0, 180), random.integers(120, 255), random.integers(170, 255)]]])
        colour = tuple(int(each) for each in cv2.cvtColor(hue, cv2.COLOR_HSV2RGB)[0, 0])
        back = tuple(int(each) for each in random.integers(0, 80, 3))
        found.append(Drawn(kind, control, (top, left, tall, wide), colour, back, float(random.uniform(0.55, 0.9))))
    return found
