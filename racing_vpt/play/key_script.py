"""Key scripts: the keys of each frame of a film that is made without a display."""

from __future__ import annotations

from racing_vpt.agents.key_controls import DRIVING
from racing_vpt.window.window import Keys

HELD = (*sorted(DRIVING), "home", "none")  # `none`: the keyboard is left alone
TOGGLES = (",", "m", "y", "n")
MOST_FRAMES = 100_000


def parse_keys(script: str) -> list[Keys]:
    """Keys of each frame from a script such as `up*20 left*5 up+left*10 , m`.

    `KEY+KEY*N` holds keys for N frames. `,`, `m`, `y` and `n` are pressed in the frame that follows; at the end, in a
    frame of their own.

    Raises:
        ValueError: for an unknown key; the message lists the keys.
    """
    frames: list[Keys] = []
    waiting: tuple[str, ...] = ()
    for word in script.split():
        if word in TOGGLES:
            waiting += (word,)
            continue
        names, star, times = word.partition("*")
        held = names.split("+")
        unknown = [name for name in held if name not in HELD]
        if unknown or (star and not (times.isdecimal() and int(times) > 0)):
            wrong = (
                f"there is no key {unknown[0]!r} to be held" if unknown else f"{times!r} is no number of frames from 1"
            )
            raise ValueError(
                f"--keys: {wrong} in {word!r}; keys that are held are {', '.join(HELD)}, as up*20 or up+left*10, and "
                f"{' '.join(TOGGLES)} stand alone, without a number"
            )
        count = int(times) if star else 1
        if len(frames) + count > MOST_FRAMES:
            raise ValueError(f"--keys: {word!r} makes it more than {MOST_FRAMES} frames; make shorter films")
        down = frozenset(held) - {"none"}
        frames.append(Keys(down, (*waiting, *(name for name in held if name != "none"))))
        frames += [Keys(down)] * (count - 1)
        waiting = ()
    if waiting:
        frames.append(Keys(pressed=waiting))
    if not frames:
        raise ValueError("--keys: the script is empty; give such as: --keys 'up*20 left*5 up+left*10 , m'")
    return frames
