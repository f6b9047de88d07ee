"""Key scripts: the keys for each frame of a film made without a display."""

from __future__ import annotations

from collections.abc import Sequence

from racing_vpt.window.window import Keys

NOTHING = "none"  # a frame without keys
TOGGLES = (",", "m", "y", "n")
MOST_FRAMES = 100_000


def parse_keys(script: str, names: Sequence[str]) -> list[Keys]:
    """Keys of each frame from a script such as `up*20 left*5 up+left*10 , m`.

    `KEY+KEY*N` holds keys for N frames. `,`, `m`, `y` and `n` are pressed in the following frame; at the end, in a
    frame of their own. A space in a key's name is written as `_`: `right_shift`.

    Args:
        script: the script.
        names: keys that may be held, by pygame name.

    Raises:
        ValueError: for an unknown key; the message lists the keys.
    """
    known = [*(name.replace(" ", "_") for name in names), NOTHING]
    frames: list[Keys] = []
    waiting: tuple[str, ...] = ()
    for word in script.split():
        if word in TOGGLES:
            waiting += (word,)
            continue
        names, star, times = word.partition("*")
        held = names.split("+")
        unknown = [name for name in held if name not in known]
        if unknown or (star and not (times.isdecimal() and int(times) > 0)):
            wrong = f"there is no key {unknown[0]!r}" if unknown else f"{times!r} is not a number of frames (1 or more)"
            raise ValueError(
                f"--keys: {wrong} in {word!r}; keys that are held are {', '.join(known)}, as up*20 or up+left*10, and "
                f"{' '.join(TOGGLES)} stand alone, without a number"
            )
        count = int(times) if star else 1
        if len(frames) + count > MOST_FRAMES:
            raise ValueError(f"--keys: {word!r} takes the script beyond {MOST_FRAMES} frames; make shorter films")
        down = [name.replace("_", " ") for name in held if name != NOTHING]
        frames.append(Keys(frozenset(down), (*waiting, *down)))
        frames += [Keys(frozenset(down))] * (count - 1)
        waiting = ()
    if waiting:
        frames.append(Keys(pressed=waiting))
    if not frames:
        raise ValueError("--keys: the script is empty; give such as: --keys 'up*20 left*5 up+left*10 , m'")
    return frames
