"""From the columns of a foreign format to controls, rewards and flags."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from racing_vpt.data.columns import Columns
from racing_vpt.data.lines import HUGE, RANGES
from racing_vpt.exchange.options import ColumnMapping
from racing_vpt.exchange.table_rows import Table
from racing_vpt.games.forms import near

ACTION = "action."  # prefix of controls in our own tables
OTHERS = ("reward", "first", "confidence", "timestamp", "image")  # what else a column can be


@dataclass(frozen=True)
class Mapped:
    """Columns that were found in a table.

    Args:
        columns: controls, reward, confidence and flags.
        times: float64 [T], seconds from the first row on; None: no time stamps.
        images: name of each frame's picture; None: no such column.
        unused: columns of the table that nothing was made of.
    """

    columns: Columns
    times: np.ndarray | None
    images: list[str] | None
    unused: list[str]


def map_columns(table: Table, mapping: ColumnMapping, where: str) -> Mapped:
    """Find controls, rewards and flags in a table.

    Args:
        table: columns by name.
        mapping: which column is which control, and factors.
        where: name of the table in errors.

    Raises:
        ValueError: a column does not exist (with the nearest name), holds no finite numbers, or no control was found.
    """
    chosen = _chosen(table, mapping, where)
    controls = {name: column for name, column in chosen.items() if name not in OTHERS}
    if not controls:
        raise ValueError(
            f"{where} has no column that is known as a control; its columns are {_listed(table)}; say which they are "
            "with: --mapping.columns '{steering: COLUMN}'"
        )
    if mapping.scale and (strange := [name for name in mapping.scale if name not in controls]):
        raise ValueError(f"--mapping.scale names {strange[0]}, which is no control of {where}: {_listed(controls)}")
    numbers = {name: _finite(table[column], column, where) for name, column in chosen.items() if name != "image"}
    factors = mapping.scale or {}
    count = len(next(iter(table.values())))
    columns = Columns(
        first=numbers["first"] != 0 if "first" in numbers else np.arange(count) == 0,
        controls={name: (numbers[name] * factors.get(name, 1.0)).astype(np.float32) for name in controls},
        reward=numbers["reward"].astype(np.float32) if "reward" in numbers else None,
        confidence=numbers["confidence"].astype(np.float32) if "confidence" in numbers else None,
    )
    times = numbers.get("timestamp")
    images = [str(name) for name in table[chosen["image"]].tolist()] if "image" in chosen else None
    unused = [name for name in table if name not in chosen.values() and name != "frame"]
    return Mapped(columns, None if times is None else times - times[0], images, unused)


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean X?` with the most similar name; otherwise all names."""
    names = list(known)
    return near(word, names) or f"; there are {_listed(names)}"


def _chosen(table: Table, mapping: ColumnMapping, where: str) -> dict[str, str]:
    """Column by control, or by one of `OTHERS`."""
    known = {name: name for name in (*OTHERS, *RANGES) if name in table}
    known |= {name.removeprefix(ACTION): name for name in table if name.startswith(ACTION)}
    if mapping.columns is None:
        return known
    for column in mapping.columns.values():
        if column not in table:
            raise ValueError(f"{where} has no column {column!r}{nearest(column, table)}")
    return {name: column for name, column in known.items() if name in OTHERS} | mapping.columns


def _finite(column: np.ndarray, name: str, where: str) -> np.ndarray:
    if column.dtype.kind != "f":
        bad = next(value for value in column.tolist() if not _is_number(value))
        raise ValueError(f"{where}: column {name} should hold numbers, but holds {str(bad)[:40]!r}")
    good = np.abs(column) <= HUGE  # false for NaN
    if not good.all():
        row = int(np.argmin(good))
        raise ValueError(f"{where}: column {name} of row {row} is {column[row]}; a finite number is expected")
    return column


def _is_number(value: object) -> bool:
    try:
        float(str(value))
    except ValueError:
        return False
    return True


def _listed(names: Iterable[str], most: int = 12) -> str:
    given = list(names)
    return ", ".join(given[:most]) + (", ..." if len(given) > most else "")
