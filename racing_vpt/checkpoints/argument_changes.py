"""Changes to arguments of an earlier version's classes: renamed, moved into groups, removed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Arguments = dict[str, Any]
Change = Callable[[Arguments], None]
"""Changes arguments of an earlier version to the current ones, in place; leaves current ones as they are."""


class MigrationError(ValueError):
    """Settings of an earlier version that this one cannot express."""


def renamed(old: str, new: str) -> Change:
    """Rename an argument, or move it into a group (`network.size`)."""

    def change(arguments: Arguments) -> None:
        if old not in arguments:
            return
        *outer, name = new.split(".")
        value, place = arguments.pop(old), arguments
        for part in outer:
            place = place.setdefault(part, {})
        place.setdefault(name, value)

    return change


def removed(name: str, *harmless: object) -> Change:
    """Remove an argument; MigrationError if its value is not among the `harmless` ones (none given: all are)."""

    def change(arguments: Arguments) -> None:
        if name not in arguments:
            return
        value = arguments.pop(name)
        if harmless and value not in harmless:
            raise MigrationError(f"{name} is {value!r}, but this version has no such option")

    return change


def into(group: str, *names: str, **renamed_names: str) -> tuple[Change, ...]:
    """Move arguments into `group`, keeping their names or with new ones (`old="new"`)."""
    same = {name: name for name in names}
    return tuple(renamed(old, f"{group}.{new}") for old, new in {**same, **renamed_names}.items())


def number_to(name: str, inner: str) -> Change:
    """Replace a number by a group of the same name that has it as argument `inner`."""

    def change(arguments: Arguments) -> None:
        if isinstance(arguments.get(name), int | float):
            arguments[name] = {inner: arguments[name]}

    return change


def unless_none(name: str) -> Change:
    """Drop an argument that may no longer be None; None was its default."""

    def change(arguments: Arguments) -> None:
        if name in arguments and arguments[name] is None:
            del arguments[name]

    return change
