"""Driving styles of the scripted driver of Atari's Enduro (`enduro_expert.py`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class EnduroStyle:
    """Parameters of the driver. Places and distances to the side in widths of the road; 15 decisions a second.

    Args:
        top: share of the highest speed from which it lets go of the throttle; above 1 it never does.
        place: where on the road it likes to be, 0 (left edge) to 1.
        room: distance to the side from another car that it wants, beyond what they need to pass.
        patience: decisions before reaching a car that it cannot pass, at which it slows down, beyond those for
            braking.
        deadband: distance beside its line that it does not correct.
        horizon: decisions ahead in which other cars matter.
        reaction: decisions from seeing to pressing.
        hold: decisions for which the steering is held.
        lapses: probability per decision that random buttons are held for a moment.
        lapse: most decisions of that moment.
    """

    top: float = 2.0
    place: float = 0.5
    room: float = 0.06
    patience: float = 2.0
    deadband: float = 0.03
    horizon: float = 40.0
    reaction: int = 0
    hold: int = 1
    lapses: float = 0.0
    lapse: int = 6

    def __post_init__(self) -> None:
        if self.hold < 1 or self.reaction < 0 or not 0 <= self.lapses <= 1 or self.lapse < 2:
            raise ValueError(f"a style needs hold >= 1, lapse >= 2, reaction >= 0 and lapses in [0, 1]; given: {self}")


ENDURO_STYLES = {
    "limit": EnduroStyle(),
    "calm": EnduroStyle(top=0.45, room=0.08, patience=5.0, deadband=0.045),
    # Held out: its video is watched without buttons, and inverse dynamics models are judged on it, so none may be
    # trained on it. It keeps to the right, reacts late and corrects in steps; no style below has these three together.
    "watched": EnduroStyle(
        top=0.5, place=0.6, room=0.07, patience=4.0, deadband=0.045, reaction=1, hold=2,
        lapses=0.004, lapse=5,  # from which it recovers, so that a policy learns how
    ),
}  # fmt: skip
VARIED, WILD = "varied", "wild"  # a random style every few seconds; the same with many lapses
STRETCH = (120, 360)  # decisions that such a style lasts: 8 to 24 s
REACTIONS, HOLDS = (0, 0, 2), (1, 1, 3, 4)  # none of the held-out driver's


def drawn_enduro_style(random: np.random.Generator, wild: bool) -> EnduroStyle:
    """A random style, each parameter drawn independently."""
    ranges = {
        "top": (0.2, 1.2),
        "place": (0.3, 0.7),
        "room": (0.04, 0.1),
        "patience": (1.0, 8.0),
        "deadband": (0.025, 0.06),
        "horizon": (20.0, 60.0),
        "lapses": (0.05, 0.12) if wild else (0.0, 0.01),
    }
    numbers: dict[str, Any] = {name: float(random.uniform(low, high)) for name, (low, high) in ranges.items()}
    return EnduroStyle(**numbers, reaction=int(random.choice(REACTIONS)), hold=int(random.choice(HOLDS)))


def enduro_style_names() -> tuple[str, ...]:
    """Names after `enduro-expert:`."""
    return (*ENDURO_STYLES, VARIED, WILD)
