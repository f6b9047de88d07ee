"""A game's controls from the keys that are held down, whoever reads the keyboard: a window, or a script.

Which key gives which control stands in the game's file (`keys`, `opposites`).
"""

from __future__ import annotations

from collections.abc import Collection, Set

from racing_vpt.games.game import Game, Keys
from racing_vpt.games.heads import Axis
from racing_vpt.types import Controls
from racing_vpt.window.window import HelpLine


class KeyControls:
    """Controls for keys. A control without keys, such as CarRacing's gear change, stays at 0.

    Args:
        game: its file names the keys.
        frames: frames of the environment for which controls are held; an axis moves so many steps at once.
    """

    def __init__(self, game: Game, frames: int = 1) -> None:
        self.game, self.frames = game, frames
        self.limits = {head.name: (head.low, head.high) for head in game.controls if isinstance(head, Axis)}
        self.values: Controls = {}
        self.take_over({})

    def take_over(self, controls: Controls) -> None:
        """From now on the keys decide; axes move on from these controls."""
        self.values = {name: controls.get(name, 0.0) for name, keys in self.game.keys.items() if keys.less or keys.more}

    @property
    def names(self) -> tuple[str, ...]:
        """All keys that have a meaning."""
        return tuple(dict.fromkeys(key for keys in self.game.keys.values() for key in keys.all))

    @property
    def help(self) -> tuple[HelpLine, ...]:
        """Each control with its keys."""
        lines = []
        for name, keys in self.game.keys.items():
            held = [", ".join(group) for group in (keys.hold, keys.less, keys.more) if group]
            lines.append((" / ".join(held), name.replace("_", " ")))
        return tuple(lines)

    def controls(self, held: Set[str]) -> Controls:
        """Controls by name for the names of the keys held in this frame."""
        found: Controls = dict.fromkeys(self.game.control_names, 0.0)
        for name, keys in self.game.keys.items():
            moves = name in self.values
            found[name] = self.moved(name, keys, held) if moves else keys.value * bool(held & {*keys.hold})
        pressed = {name for name, value in found.items() if value}
        for pair in self.game.opposites:
            if pressed.issuperset(pair):
                found |= dict.fromkeys(pair, 0.0)
        return found

    def moved(self, name: str, keys: Keys, held: Set[str]) -> float:
        """An axis a step further towards the end whose keys are held, or back to 0."""
        less, more = bool(held & {*keys.less}), bool(held & {*keys.more})
        self.values[name] = keys.moved(self.values[name], self.limits[name], less, more, self.frames)
        return self.values[name]


def key_controls(game: Game, controls: Collection[str], frames: int = 1) -> KeyControls | None:
    """Keys for these controls of a game; None where its file names keys for none of them."""
    return KeyControls(game, frames) if {*controls} & {*game.keys} else None


def no_keys(game: Game) -> str:
    """Why nobody can play a game with the keyboard, and what to do about it."""
    return (
        f"the file of the game {game.name} names no keys, so that it cannot be driven from the keyboard; copy it, add "
        "keys such as `keys: {left: [left, a]}`, and give it with --game FILE.yaml"
    )
