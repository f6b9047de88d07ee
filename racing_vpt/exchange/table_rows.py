"""Tables of one row per frame: csv, jsonl and parquet, read as columns and written."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from racing_vpt.files import open_regular, require_regular

if TYPE_CHECKING:
    import pyarrow

SUFFIXES = (".csv", ".jsonl", ".parquet")
TRUTH = {"true": "1", "false": "0"}
Table = dict[str, np.ndarray]  # float64 [T] by name, or texts where a value is no number


def read_table(path: Path) -> Table:
    """The columns of a file, one row per frame; nested fields of jsonl are named `OUTER.INNER`.

    Raises:
        ValueError: it has no rows, or one that cannot be read; the message names it.
    """
    rows = {".csv": _read_csv, ".jsonl": _read_jsonl, ".parquet": _read_parquet}[path.suffix](path)
    if not rows or not len(next(iter(rows.values()))):
        raise ValueError(f"{path} has no rows; one per frame is expected")
    return rows


def write_table(path: Path, table: Mapping[str, np.ndarray], rows: str) -> None:
    """Write columns [T] as csv, jsonl or parquet; numbers are the shortest decimals that restore them."""
    if rows == "parquet":
        arrow, parquet = pyarrow_of("parquet")
        parquet.write_table(arrow.table(dict(table)), path)
        return
    with path.open("w", newline="") as file:
        if rows == "csv":
            lines = csv.writer(file, lineterminator="\n")
            lines.writerow(table)
            lines.writerows(zip(*(_plain(column) for column in table.values()), strict=True))
            return
        for values in zip(*(_plain(column) for column in table.values()), strict=True):
            file.write(json.dumps(dict(zip(table, values, strict=True)), allow_nan=False) + "\n")


def pyarrow_of(what: str) -> tuple:
    """The modules pyarrow and pyarrow.parquet; ValueError if they are not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ValueError(f"{what} needs the package pyarrow: pip install 'racing-vpt[lerobot]'") from error
    return pyarrow, pyarrow.parquet


def columns_of_arrow(table: pyarrow.Table) -> Table:
    """Columns of an Arrow table; a list of N numbers per row becomes N columns `NAME[0]`, `NAME[1]`, ..."""
    arrow, _ = pyarrow_of("parquet")
    found: Table = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        if arrow.types.is_list(column.type) or arrow.types.is_fixed_size_list(column.type):
            lengths = set(arrow.compute.list_value_length(column).to_pylist())
            if len(lengths) != 1 or None in lengths:
                continue  # lists of several lengths are no columns
            values = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
            for place, part in enumerate(values.reshape(-1, *lengths).T):
                found[f"{name}[{place}]"] = _numbers(part)
        else:
            found[name] = _numbers(column.to_numpy())
    return found


def _read_csv(path: Path) -> Table:
    with TextIOWrapper(open_regular(path), "utf-8-sig", "replace", newline="") as file:
        rows = csv.reader(file)
        try:
            names = [name.strip() for name in next(rows, [])]
            values = [row for row in rows if row]
        except csv.Error as error:
            raise ValueError(f"{path}, line {rows.line_num}: {error}") from error
    if len(set(names)) < len(names):
        raise ValueError(f"{path}: its first line should name each column once, but is {','.join(names)[:80]!r}")
    for number, row in enumerate(values):
        if len(row) != len(names):
            raise ValueError(f"{path}: row {number} has {len(row)} fields, but the first line names {len(names)}")
    return {name: _numbers(np.array(column)) for name, column in zip(names, zip(*values, strict=True), strict=False)}


def _read_jsonl(path: Path) -> Table:
    columns: dict[str, list] = {}
    count = 0
    with TextIOWrapper(open_regular(path), "utf-8", "replace") as file:
        for number, text in enumerate(file, 1):
            if not text.strip():
                continue
            try:
                row = json.loads(text)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"{path}, line {number}: not JSON ({error}): {text.strip()[:80]!r}") from error
            if not isinstance(row, dict):
                raise ValueError(f"{path}, line {number}: an object is expected: {text.strip()[:80]!r}")
            for name, value in _flat(row):
                columns.setdefault(name, [None] * count).append(value)
            count += 1
            for column in columns.values():
                column.extend([None] * (count - len(column)))
    return {name: _numbers(np.array(column, object)) for name, column in columns.items()}


def _read_parquet(path: Path) -> Table:
    arrow, parquet = pyarrow_of(f"{path.name}")
    require_regular(path)
    try:
        return columns_of_arrow(parquet.read_table(path))
    except (arrow.ArrowException, OSError) as error:
        raise ValueError(f"{path} is not a parquet file that can be read: {str(error).splitlines()[0]}") from error


def _flat(row: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in row.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _numbers(column: np.ndarray) -> np.ndarray:
    """A column as float64, if all its values are numbers (or true and false); otherwise as it is."""
    if column.dtype.kind in "biuf":
        return column.astype(np.float64)
    try:
        if column.dtype.kind in "US":
            column = np.array([TRUTH.get(value.strip().lower(), value) for value in column.tolist()])
        return column.astype(np.float64)  # None becomes NaN, which is found where the column is used
    except (TypeError, ValueError):
        return column


def _plain(column: np.ndarray) -> list:
    """A column as values that csv and JSON write without loss."""
    if column.dtype == np.float32:
        return [float(str(number)) for number in column]
    return column.astype(int).tolist() if column.dtype == bool else column.tolist()
