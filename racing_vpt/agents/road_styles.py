"""Driving styles of the scripted driver of nes-road (`road_expert.py`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class RoadStyle:
    """Parameters of the driver. Lengths in pixels of the picture; 60 frames of the console and 20 decisions a second.

    Args:
        top: speed that it does not exceed, in pixels a frame of the console; the car makes 4.
        place: where on the road it likes to be, -1 (left edge) to 1 (right edge).
        look: distance to the point of the road that it steers for, in frames of the console at its speed.
        room: pixels between its middle and another car's that it wants when passing.
        patience: frames before reaching a car that it cannot pass, at which it slows down.
        deadband: pixels beside its line that it does not correct.
        coast: speed above the wanted one from which it brakes; below, it lets go.
        reaction: decisions from seeing to pressing.
        hold: decisions for which the steering is held.
        lapses: probability per decision that random buttons are held for a moment.
        lapse: most decisions of that moment.
    """

    top: float = 4.0
    place: float = 0.0
    look: float = 9.0
    room: float = 17.0
    patience: float = 18.0
    deadband: float = 2.0
    coast: float = 0.5
    reaction: int = 0
    hold: int = 1
    lapses: float = 0.0
    lapse: int = 8

    def __post_init__(self) -> None:
        if self.hold < 1 or self.reaction < 0 or not 0 <= self.lapses <= 1 or self.lapse < 1:
            raise ValueError(f"a style needs hold and lapse >= 1, reaction >= 0 and lapses in [0, 1]; given: {self}")


ROAD_STYLES = {
    "limit": RoadStyle(),
    "calm": RoadStyle(top=3.2, room=20.0, patience=28.0, deadband=3.0),
    # Held out: its video is watched without buttons, and inverse dynamics models are judged on it, so none may be
    # trained on it. It keeps to the right, reacts late and corrects in steps; no style below has these three together.
    "watched": RoadStyle(
        top=3.4, place=0.25, look=10.0, room=20.0, patience=28.0, deadband=3.0, coast=0.3, reaction=1, hold=2,
        lapses=0.004, lapse=5,  # from which it recovers, so that a policy learns how
    ),
}  # fmt: skip
VARIED, WILD = "varied", "wild"  # a random style in each episode; the same with many lapses
REACTIONS, HOLDS = (0, 0, 2, 3), (1, 1, 3, 4)  # none of the held-out driver's


def drawn_road_style(random: np.random.Generator, wild: bool) -> RoadStyle:
    """A random style, each parameter drawn independently."""
    ranges = {
        "top": (2.6, 4.0),
        "place": (-0.5, 0.5),
        "look": (5.0, 13.0),
        "room": (15.0, 22.0),
        "patience": (12.0, 32.0),
        "deadband": (1.0, 5.0),
        "coast": (0.1, 0.8),
        "lapses": (0.05, 0.12) if wild else (0.0, 0.01),
    }
    numbers: dict[str, Any] = {name: float(random.uniform(low, high)) for name, (low, high) in ranges.items()}
    return RoadStyle(**numbers, reaction=int(random.choice(REACTIONS)), hold=int(random.choice(HOLDS)))


def road_style_names() -> tuple[str, ...]:
    """Names after `road-expert:`."""
    return (*ROAD_STYLES, VARIED, WILD)
