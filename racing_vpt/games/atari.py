"""Atari's joystick: four directions and a button, and which of its positions a game is played with.

The order and the names of the 18 positions are those of the Arcade Learning Environment (Bellemare et al. 2013,
arXiv:1207.4708), and a game's own its minimal action set in ale-py 0.12 (a test compares).
"""

from __future__ import annotations

from collections.abc import Mapping

ATARI = "ALE/"  # what gymnasium's names of Atari's games begin with
JOYSTICK = ("up", "down", "left", "right", "fire")
POSITIONS = (
    *("NOOP", "FIRE", "UP", "RIGHT", "LEFT", "DOWN", "UPRIGHT", "UPLEFT", "DOWNRIGHT", "DOWNLEFT"),
    *("UPFIRE", "RIGHTFIRE", "LEFTFIRE", "DOWNFIRE", "UPRIGHTFIRE", "UPLEFTFIRE", "DOWNRIGHTFIRE", "DOWNLEFTFIRE"),
)
MINIMAL = {  # by games that have a scheme of their own
    "enduro": ("NOOP", "FIRE", "RIGHT", "LEFT", "DOWN", "DOWNRIGHT", "DOWNLEFT", "RIGHTFIRE", "LEFTFIRE"),
    "breakout": ("NOOP", "FIRE", "RIGHT", "LEFT"),
}


def scheme_of(game: str) -> str:
    """The control scheme of a game by ALE's name: its own, or that of the whole joystick."""
    return f"atari-{game}" if game in MINIMAL else "atari"


def rows_of(names: tuple[str, ...]) -> tuple[tuple[float, ...], ...]:
    """What is held, 0 or 1 by `JOYSTICK`, in the positions of these names."""
    return tuple(tuple(float(control.upper() in name) for control in JOYSTICK) for name in names)


def position_of(controls: Mapping[str, float]) -> int:
    """Number of the position of controls by name; opposite directions together are neither.

    Raises:
        ValueError: for a missing or unknown control, or one that is not between 0 and 1.
    """
    if controls.keys() != {*JOYSTICK}:
        raise ValueError(f"a joystick's controls are {', '.join(JOYSTICK)}, but {sorted(controls)} were given")
    wrong = {name: value for name, value in controls.items() if not 0 <= value <= 1}  # true for NaN too
    if wrong:
        raise ValueError(f"what is held on a joystick is a number from 0 to 1, but these were given: {wrong}")
    held = {name: controls[name] > 0.5 for name in JOYSTICK}
    for one, other in (("up", "down"), ("left", "right")):
        held[one], held[other] = held[one] and not held[other], held[other] and not held[one]
    return NUMBERS[tuple(float(held[name]) for name in JOYSTICK)]


NUMBERS = {row: number for number, row in enumerate(rows_of(POSITIONS))}
