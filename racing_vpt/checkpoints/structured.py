"""Builds the arguments of a module from plain data: nested dicts become the dataclasses of its annotations.

jsonargparse does this for YAML and the command line; this is for a checkpoint's `config.json`.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints


def structured_arguments(function: Any, arguments: Mapping[str, object]) -> dict[str, object]:
    """Arguments of a class or function, with dataclasses built.

    Raises:
        TypeError: there is no such argument; the message lists the existing ones.
        ValueError: a dataclass refuses a value.
    """
    init = vars(function)["__init__"] if isinstance(function, type) else function
    known = [name for name in inspect.signature(init).parameters if name != "self"]
    if unknown := sorted(arguments.keys() - {*known}):
        raise TypeError(f"there is no argument {', '.join(unknown)}; there are {', '.join(known)}")
    hints = get_type_hints(init)
    return {name: structured(hints.get(name), value) for name, value in arguments.items()}


def structured(annotation: Any, value: object) -> object:
    """Plain data as the dataclass in an annotation (`Size`, `Size | None`, `str | Size`); otherwise unchanged."""
    if not isinstance(value, Mapping):
        return value
    options = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    for kind in options:
        if isinstance(kind, type) and is_dataclass(kind):
            hints = get_type_hints(kind)
            if unknown := sorted({*value} - {field.name for field in fields(kind)}):
                raise TypeError(f"{kind.__name__} has no {', '.join(unknown)}; it has {', '.join(hints)}")
            return kind(**{name: structured(hints[name], each) for name, each in value.items()})
    return value
