"""Goes through a game's menus, waiting for pictures and not for seconds."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from racing_vpt.games.screen import MenuStep
from racing_vpt.screen.press import Presser
from racing_vpt.screen.windows import Place
from racing_vpt.types import Frame

POLL_SECONDS = 0.05
PATIENCE = 2.0  # seconds after which a click that had no effect is repeated
SAME = 1.0  # mean difference of two pictures, of 255, up to which they count as the same
STEADY = 16  # polls in a row in which a picture is still, or moves
Look = Callable[[], Frame]


def go_through(
    step: MenuStep, name: str, look: Look, presser: Presser, place: Place, wait: Callable[[float], None]
) -> None:
    """Take one step through a menu.

    Args:
        step: what to click or press, and what is waited for.
        name: of the step, for the message.
        look: takes a picture of the window; raises if the game is gone.
        presser: of keys and clicks.
        place: of the window on the screen.
        wait: lets time of the game pass.

    Raises:
        ValueError: the picture did not answer in time.
    """
    before, began, acted = look(), time.monotonic(), -PATIENCE
    last, steady = before, 0
    while time.monotonic() - began < step.seconds:
        if time.monotonic() - acted > PATIENCE and (step.click or step.press) and steady == 0:
            act(step, presser, place, wait)
            acted = time.monotonic()
        wait(POLL_SECONDS)
        now = look()
        # A clock in the picture is enough to move; a menu is still although something small in it shimmers.
        moves = difference(last, now) > (0 if step.until == "moving" else SAME / 10)
        last = now
        if step.until == "changed":
            if difference(before, now) > SAME:
                return
            continue
        steady = steady + 1 if moves == (step.until == "moving") else 0
        if steady >= STEADY:
            return
    raise ValueError(f"{name} of the game's menu: the picture was not {step.until} within {step.seconds:g} s")


def act(step: MenuStep, presser: Presser, place: Place, wait: Callable[[float], None]) -> None:
    """Click and press, with the pauses that games need to notice."""
    if step.click:
        down, right = step.click
        x, y = place.left + int(right * place.width), place.top + int(down * place.height)
        presser.move(x, y)
        wait(2 * POLL_SECONDS)
        presser.click(x, y)
    if step.press:
        presser.hold([step.press])
        wait(2 * POLL_SECONDS)
        presser.hold([])


def difference(one: Frame, other: Frame) -> float:
    """Mean absolute difference of two pictures, of 255."""
    if one.shape != other.shape:
        return 255.0
    return float(np.abs(one.astype(np.int16) - other).mean())
