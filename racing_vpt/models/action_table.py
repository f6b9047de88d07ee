"""Tables of discrete actions as control schemes.

CarRacing's own five actions are steering +-0.6, throttle 0.2 and brake 0.8, one at a time. In the continuous
environment they do exactly what the discrete environment does.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch

from racing_vpt.games.controls import ControlScheme
from racing_vpt.games.game import Game
from racing_vpt.games.heads import Joint
from racing_vpt.types import Transitions


def action_scheme(rows: Sequence[Sequence[float]] | None, game: Game) -> ControlScheme:
    """A scheme of one choice among actions.

    Args:
        rows: controls of each action, in the order of the game's own table; None: that table.
        game: the game; its scheme for a DQN is its own table, in CarRacing the five discrete actions.

    Raises:
        ValueError: a row is outside the game's limits, is repeated, or is the only one.
    """
    scheme = game.scheme(kind="dqn")
    if rows is None:
        if [type(head) for head in scheme.heads.values()] != [Joint]:
            raise ValueError(f"{scheme.name} is not a table of actions; a DQN needs one, such as carracing:five")
        return scheme
    whole, names = game.scheme("controls"), scheme.controls
    for number, row in enumerate(rows):
        if len(row) != len(names):
            raise ValueError(f"actions[{number}] is {list(row)}; expected {len(names)} numbers: {', '.join(names)}")
        try:
            whole.check(dict.fromkeys(whole.controls, 0.0) | dict(zip(names, row, strict=True)))
        except ValueError as error:
            raise ValueError(f"actions[{number}] is {list(row)}, which is not possible: {error}") from error
    table = tuple(tuple(float(value) for value in row) for row in rows)
    if len(table) < 2 or len(set(table)) < len(table):
        raise ValueError(f"a table of actions needs two or more rows, all different, but {list(table)} was given")
    return ControlScheme("actions", (Joint("action", names, table),))


def rows_of(scheme: ControlScheme) -> list[dict[str, float]]:
    """Controls by name of each action."""
    head = scheme.heads["action"]
    assert isinstance(head, Joint)
    return [dict(zip(head.controls, row, strict=True)) for row in head.rows]


def mirrored_actions(scheme: ControlScheme) -> list[int]:
    """Index of the mirror image of each action, which steers the other way.

    Raises:
        ValueError: the table lacks a mirror image.
    """
    rows = [tuple(row.values()) for row in rows_of(scheme)]
    images = [(-steering, *pedals) for steering, *pedals in rows]
    lonely = [image for image in images if image not in rows]
    if lonely:
        raise ValueError(f"to mirror, the table of actions needs {list(lonely[0])} too; add it, or give mirror 0")
    return [rows.index(image) for image in images]


def mirror_some(batch: Transitions, share: float, images: Sequence[int]) -> Transitions:
    """The batch with observations and actions of a share of its transitions mirrored.

    Args:
        batch: transitions.
        share: from 0 to 1.
        images: result of `mirrored_actions`.
    """
    B, flipped = len(batch.action), copy.copy(batch)
    start, count = int(torch.randint(B, ())), round(share * B)  # contiguous rows take a seventh of the time
    runs = [slice(start, min(B, start + count)), slice(0, max(0, start + count - B))]
    table = torch.tensor(images, device=batch.action.device)
    for name in ("observation", "next_observation", "action", "shown"):
        values = getattr(batch, name).clone()
        for run in runs:
            if name.endswith("observation"):
                values[run] = values[run].flip(-1)
            else:
                values[run] = torch.where(values[run] >= 0, table[values[run].clamp(min=0)], values[run])
        setattr(flipped, name, values)
    return flipped
