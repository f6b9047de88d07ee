"""Check that controls on disk are those of a game: same names, values within the limits."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from racing_vpt.data.columns import Columns
from racing_vpt.games.game import Game

TOLERANCE = 1e-6  # lines hold rounded decimals


def misfit(columns: Columns, game: Game) -> str:
    """Why the controls of an episode are not those of `game`; empty if they are.

    An unlabelled episode fits every game.
    """
    if not columns.controls:
        return ""
    if {*columns.controls} != {*game.control_names}:
        return (
            f"its controls are {listed(columns.controls)}, but those of the game {game.name} are "
            f"{listed(game.control_names)}"
        )
    for name, (low, high) in game.scheme("controls").limits.items():
        values = columns.controls[name]
        outside = (values < low - TOLERANCE) | (values > high + TOLERANCE)
        if outside.any():
            frame = int(np.argmax(outside))
            return f"{name} of frame {frame} is {values[frame]:g}; the game {game.name} allows {low:g} to {high:g}"
    return ""


def listed(names: Iterable[str], most: int = 6) -> str:
    """The first names, separated by commas."""
    given = list(names)
    return ", ".join(given[:most]) + (", ..." if len(given) > most else "")
