"""NAME.jsonl: one line a frame, as design.md says. Errors name the file and the line."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from racing_vpt.types import FrameRecord

RANGES = {"steering": (-1.0, 1.0), "throttle": (0.0, 1.0), "brake": (0.0, 1.0), "gear_change": (-1.0, 1.0)}


def to_line(record: FrameRecord) -> str:
    """One line of JSON; fields that are not known are left out."""
    line: dict[str, object] = {"frame": record.frame, "timestamp": round(record.timestamp, 6)}
    if record.observation:
        line["observation"] = dict(record.observation)
    line["action"] = dict(record.action)
    for name in ("reward", "first", "confidence"):
        if getattr(record, name) is not None:
            line[name] = getattr(record, name)
    if record.perturbed:
        line["perturbed"] = True
    if record.intended is not None:
        line["intended"] = dict(record.intended)
    return json.dumps(line, allow_nan=False)


def write_lines(path: Path, records: Iterable[FrameRecord]) -> int:
    """Write records to exactly this path (the caller publishes it); returns their number."""
    count = 0
    with path.open("w") as file:
        for record in records:
            check_controls(record.action, f"frame {record.frame}")
            file.write(to_line(record) + "\n")
            count += 1
    return count


def read_lines(path: Path) -> list[FrameRecord]:
    """All records of a file, checked.

    Raises:
        ValueError: names the file and the line that is no JSON, lacks a field, has frames out of order, names other
            controls than the first line, or holds a control that is NaN or out of range.
    """
    records: list[FrameRecord] = []
    with path.open() as file:
        for number, text in enumerate(file, 1):
            where = f"{path}, line {number}"
            if not text.strip():
                continue
            record = _parse(text, where)
            if record.frame != len(records):
                raise ValueError(f"{where}: frame {record.frame} stands where frame {len(records)} should")
            if records and record.action.keys() != records[0].action.keys():
                raise ValueError(f"{where}: controls {list(record.action)}, but line 1 has {list(records[0].action)}")
            records.append(record)
    return records


def columns(records: list[FrameRecord]) -> dict[str, np.ndarray]:
    """Controls float32 [T] by name."""
    names = list(records[0].action) if records else []
    return {name: np.array([record.action[name] for record in records], np.float32) for name in names}


def check_controls(controls: Mapping[str, float], where: str) -> None:
    """Raise ValueError where a control is not a finite number, or out of the range of controls of that name."""
    for name, value in controls.items():
        if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not math.isfinite(value):
            raise ValueError(f"{where}: control {name} is {value!r}; it should be a finite number")
        low, high = RANGES.get(name, (-math.inf, math.inf))
        if not low - 1e-6 <= value <= high + 1e-6:
            raise ValueError(f"{where}: control {name} is {value}; it should lie between {low:g} and {high:g}")


def _parse(text: str, where: str) -> FrameRecord:
    try:
        line = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where}: not JSON ({error}): {text.strip()[:80]!r}") from error
    if not isinstance(line, dict) or not isinstance(line.get("action"), dict):
        raise ValueError(f"{where}: a line is an object with frame, timestamp and action: {text.strip()[:80]!r}")
    check_controls(line["action"], where)
    known = {name: line.get(name) for name in ("reward", "first", "confidence", "intended")}
    try:
        return FrameRecord(
            frame=int(line["frame"]),
            timestamp=float(line["timestamp"]),
            action=line["action"],
            observation=line.get("observation") or {},
            perturbed=bool(line.get("perturbed", False)),
            **known,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{where}: frame and timestamp should be numbers: {text.strip()[:80]!r}") from error
