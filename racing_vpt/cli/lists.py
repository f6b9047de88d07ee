"""Lists on the command line: `--checkpoints a b` and `--checkpoints a,b` mean `--checkpoints [a,b]`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import UnionType
from typing import Union, get_args, get_origin

from jsonargparse import ArgumentParser

PLAIN = (str, Path, int, float)


def with_lists(parser: ArgumentParser, words: Sequence[str]) -> list[str]:
    """The command line with the values of each option or argument that takes a list of plain values in brackets."""
    words = _with_positional_list(parser, words)
    lists = {name for action in parser._actions if takes_list(action) for name in action.option_strings}
    rest: list[str] = []
    pending = list(words)
    while pending:
        word = pending.pop(0)
        rest.append(word)
        if word not in lists:
            continue
        values = []
        while pending and not pending[0].startswith("--"):
            values.append(pending.pop(0))
        bracketed = len(values) == 1 and values[0].startswith("[")
        rest += values if bracketed or not values else [f"[{','.join(values)}]"]
    return rest


def _with_positional_list(parser: ArgumentParser, words: Sequence[str]) -> list[str]:
    """The command line with its first words, if the only positional argument takes them as a list, in brackets."""
    places = [action for action in parser._actions if not action.option_strings]
    first = next((place for place, word in enumerate(words) if word.startswith("-")), len(words))
    if len(places) != 1 or not takes_list(places[0]) or not first or words[0].startswith("["):
        return list(words)
    return [json.dumps([*words[:first]]), *words[first:]]


def takes_list(action: object) -> bool:
    """Whether an option takes a list of words or numbers."""
    hint = getattr(action, "_typehint", None)
    choices = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return any(get_origin(choice) is list and get_args(choice)[0] in PLAIN for choice in choices)
