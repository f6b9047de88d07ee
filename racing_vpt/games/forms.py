"""Heads as written in game files: `left: button`, `steering: {axis: [-1, 1], bins: 31, mu: 10}`."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from racing_vpt.games.heads import Axis, Button, Choice, Head, Joint
from racing_vpt.games.minecraft import CameraAxis, JointButtons, JointCamera

NAMED_HEADS: dict[type, str] = {
    JointButtons: "minecraft-buttons",
    JointCamera: "minecraft-camera",
    CameraAxis: "minecraft-camera-axis",
}
HEAD_FORMS = (
    "button, {axis: [low, high], bins: 11}, {choice: [-1, 0, 1]}, {products: [[left, right], a]} or "
    "{joint: [control, control], rows: [[0, 0], [0, 1]]}"
)


def read_heads(given: object, what: str) -> tuple[Head, ...]:
    """Heads from a game file.

    Args:
        given: parsed YAML.
        what: place in the file, for messages.

    Raises:
        ValueError: there are none, one is invalid, or two have a control in common.
    """
    heads = tuple(_head(name, form, f"{what}.{name}") for name, form in read_mapping(given, what).items())
    if not heads:
        raise ValueError(f"there are no {what}; expected at least one control, such as {what}: {{left: button}}")
    owners: dict[str, str] = {}
    for head in heads:
        for control in head.controls:
            if control in owners:
                raise ValueError(f"{what} has two heads for the control {control}: {owners[control]} and {head.name}")
            owners[control] = head.name
    return heads


def _head(name: str, form: object, what: str) -> Head:
    if form == "button":
        return Button(name)
    if isinstance(form, str):
        named = next((head for head, said in NAMED_HEADS.items() if said == form), None)
        if named is None:
            raise ValueError(
                f"{what} is {form!r}{near(form, ['button', *NAMED_HEADS.values()])}; expected {HEAD_FORMS}"
            )
        return named(name)
    given = read_mapping(form, what, ["axis", "bins", "mu", "choice", "control", "joint", "rows", "products"])
    if "axis" in given:
        low, high = _numbers(given["axis"], 2, f"{what}.axis")
        return Axis(
            name, low, high, int(given.get("bins", 11)), None if given.get("mu") is None else float(given["mu"])
        )
    if "choice" in given:
        return Choice(name, _numbers(given["choice"], None, f"{what}.choice"), given.get("control"))
    if isinstance(given.get("products"), Sequence):
        return products(name, [read_names(group, f"{what}.products") for group in given["products"]])
    if "joint" in given and isinstance(given.get("rows"), Sequence):
        controls = read_names(given["joint"], f"{what}.joint")
        return Joint(name, controls, tuple(_row(row, controls, what) for row in given["rows"]))
    raise ValueError(f"{what} is {form!r}; expected {HEAD_FORMS}")


def products(name: str, groups: Sequence[tuple[str, ...]]) -> Joint:
    """All combinations of buttons: of each group none or one, such as (left, right), (a,) for 3 x 2 classes."""
    controls = tuple(button for group in groups for button in group)
    held = itertools.product(*[(None, *group) for group in groups])
    return Joint(name, controls, tuple(tuple(float(button in row) for button in controls) for row in held))


def _row(row: object, controls: tuple[str, ...], what: str) -> tuple[float, ...]:
    """A row of a table: a number per control, or the names of the held buttons."""
    if isinstance(row, Sequence) and not isinstance(row, str) and all(isinstance(each, str) for each in row):
        unknown = [each for each in row if each not in controls]
        if unknown:
            raise ValueError(
                f"{what} holds {unknown[0]} in a row{near(unknown[0], controls)}; its controls are {controls}"
            )
        return tuple(float(control in row) for control in controls)
    return _numbers(row, len(controls), f"a row of {what}")


def _numbers(given: object, count: int | None, what: str) -> tuple[float, ...]:
    numbers = isinstance(given, Sequence) and all(type(each) in (int, float) for each in given)
    if not isinstance(given, Sequence) or not numbers or (count is not None and len(given) != count):
        raise ValueError(f"{what} is {given!r}; expected {'' if count is None else f'{count} '}numbers")
    return tuple(float(each) for each in given)


def write_heads(heads: Iterable[Head]) -> dict[str, object]:
    """Inverse of `read_heads`."""
    return {head.controls[0] if _is_button(head) else head.name: _form(head) for head in heads}


def _form(head: Head) -> object:
    if _is_button(head):
        return "button"
    if isinstance(head, Axis):
        return {"axis": [head.low, head.high], "bins": head.bins, **({} if head.mu is None else {"mu": head.mu})}
    if isinstance(head, Choice):
        return {"choice": list(head.values), **({} if head.control is None else {"control": head.control})}
    if isinstance(head, Joint):
        return {"joint": list(head.controls), "rows": [list(row) for row in head.rows]}
    return NAMED_HEADS[type(head)]


def _is_button(head: Head) -> bool:
    return isinstance(head, Choice) and head == Button(head.controls[0])


def read_mapping(given: object, what: str, known: Sequence[str] | None = None) -> dict[str, Any]:
    """A mapping from YAML, {} if there is none; ValueError for anything else or an unknown key."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ValueError(f"{what} is {given!r}; expected names with values, such as {what}: {{NAME: VALUE}}")
    unknown = [str(key) for key in given if known is not None and key not in known]
    if unknown and known is not None:
        raise ValueError(
            f"{what} has the unknown key {unknown[0]}{near(unknown[0], known)}; expected are {', '.join(known)}"
        )
    return {str(key): value for key, value in given.items()}


def read_names(given: object, what: str) -> tuple[str, ...]:
    """A name or a list of names; ValueError for anything else."""
    if isinstance(given, str):
        return (given,)
    if not isinstance(given, Sequence) or not all(isinstance(name, str | int) for name in given):
        raise ValueError(f"{what} is {given!r}; expected names, such as [left, a]")
    return tuple(str(name) for name in given)


def near(name: str, names: Iterable[str]) -> str:
    """`; did you mean X?` if one of the names is similar to `name`."""
    found = difflib.get_close_matches(name, names, 1, 0.6)
    return f"; did you mean {found[0]}?" if found else ""
