"""Keys to hold for controls by name: the inverse of `agents/key_controls.py`."""

from __future__ import annotations

from collections.abc import Mapping

from racing_vpt.games.game import Game


class KeyPresses:
    """Chooses the keys of each frame.

    An axis whose keys move it (`less`, `more`) is followed by the key after which it would stand nearest to what is
    asked for. A key that is either held or not stands for an axis by its share of frames (`hold`): asked for half of
    its value, it is held in every second frame.

    Args:
        game: its file names the keys.
    """

    def __init__(self, game: Game) -> None:
        self.game = game
        self._limits = game.scheme("controls").limits
        self.reset()

    def reset(self) -> None:
        """Start anew, with all keys released."""
        self._values = {name: 0.0 for name, keys in self.game.keys.items() if keys.less or keys.more}
        self._owed = {name: 0.0 for name, keys in self.game.keys.items() if keys.hold}

    def held(self, controls: Mapping[str, float]) -> tuple[str, ...]:
        """Keys to hold in this frame, the first that the file names for each."""
        found: list[str] = []
        for name, keys in self.game.keys.items():
            wanted = float(controls[name])
            if name in self._values:
                ways = [(False, False), (bool(keys.less), False), (False, bool(keys.more))]
                moved = {way: keys.moved(self._values[name], self._limits[name], *way) for way in ways}
                less, more = min(moved, key=lambda way: abs(moved[way] - wanted))
                self._values[name] = moved[less, more]
                found += [*keys.less[: int(less)], *keys.more[: int(more)]]
            elif keys.value:
                self._owed[name] += wanted / keys.value
                if self._owed[name] >= 0.5:
                    found.append(keys.hold[0])
                    self._owed[name] -= 1.0
                self._owed[name] = min(self._owed[name], 1.0)  # more than the key can give is not made up for
        return tuple(dict.fromkeys(found))
