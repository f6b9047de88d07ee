"""Atari's joystick: four directions and a button, and its 18 positions.

The order and the names of the positions are those of the Arcade Learning Environment (Bellemare et al. 2013,
arXiv:1207.4708), as of ale-py 0.12. Those of a game are in its file (`enduro.yaml`).
"""

from __future__ import annotations

from collections.abc import Mapping

ATARI = "ALE/"  # prefix of gymnasium's ids of Atari games
JOYSTICK = ("up", "down", "left", "right", "fire")
POSITIONS = (
    *("NOOP", "FIRE", "UP", "RIGHT", "LEFT", "DOWN", "UPRIGHT", "UPLEFT", "DOWNRIGHT", "DOWNLEFT"),
    *("UPFIRE", "RIGHTFIRE", "LEFTFIRE", "DOWNFIRE", "UPRIGHTFIRE", "UPLEFTFIRE", "DOWNRIGHTFIRE", "DOWNLEFTFIRE"),
)


def held_in(position: str) -> tuple[float, ...]:
    """Controls of `JOYSTICK` in a position, each 0 or 1."""
    return tuple(float(control.upper() in position) for control in JOYSTICK)


def position_of(controls: Mapping[str, float]) -> int:
    """Index of the position for controls by name; opposite directions held together cancel.

    Raises:
        ValueError: a control is missing, unknown or not between 0 and 1.
    """
    if controls.keys() != {*JOYSTICK}:
        raise ValueError(f"a joystick's controls are {', '.join(JOYSTICK)}, but {sorted(controls)} were given")
    wrong = {name: value for name, value in controls.items() if not 0 <= value <= 1}  # also for NaN
    if wrong:
        raise ValueError(f"a joystick's controls are numbers from 0 to 1, but these were given: {wrong}")
    held = {name: controls[name] > 0.5 for name in JOYSTICK}
    for one, other in (("up", "down"), ("left", "right")):
        held[one], held[other] = held[one] and not held[other], held[other] and not held[one]
    return INDEX_OF[tuple(float(held[name]) for name in JOYSTICK)]


INDEX_OF = {held_in(position): index for index, position in enumerate(POSITIONS)}
