"""Reads and writes NAME.jsonl, one line per frame (data/README.md). Errors name file and line."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from io import TextIOWrapper
from pathlib import Path

import numpy as np

from racing_vpt.files import open_regular
from racing_vpt.types import FrameRecord

HUGE = float(np.finfo(np.float32).max)  # range of float32
LONGEST_LINE = 1 << 20  # characters
RANGES = {"steering": (-1.0, 1.0), "throttle": (0.0, 1.0), "brake": (0.0, 1.0), "gear_change": (-1.0, 1.0)}


def to_line(record: FrameRecord) -> str:
    """One line of JSON, without unknown fields."""
    line: dict[str, object] = {"frame": record.frame, "timestamp": round(record.timestamp, 6)}
    if record.observation:
        line["observation"] = dict(record.observation)
    line["action"] = dict(record.action)
    for name in ("reward", "first", "confidence"):
        if getattr(record, name) is not None:
            line[name] = getattr(record, name)
    if record.expected_error:
        line["expected_error"] = dict(record.expected_error)
    if record.perturbed:
        line["perturbed"] = True
    if record.intended is not None:
        line["intended"] = dict(record.intended)
    try:
        return json.dumps(line, allow_nan=False)
    except ValueError as error:
        raise ValueError(f"frame {record.frame} holds NaN or infinity: {line}") from error


def write_lines(path: Path, records: Iterable[FrameRecord]) -> int:
    """Write records to this path, not atomically (the caller publishes it); returns their number."""
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
        ValueError: a line is not JSON, lacks a field, is out of order, has other controls than the first line, or a
            control that is NaN or out of range; the message names file and line.
    """
    records: list[FrameRecord] = []
    with TextIOWrapper(open_regular(path), "utf-8", "replace") as file:  # bad bytes are reported as not JSON below
        for number, text in enumerate(iter(lambda: file.readline(LONGEST_LINE), ""), 1):
            where = f"{path}, line {number}"
            if len(text) == LONGEST_LINE:
                raise ValueError(f"{where} is longer than {LONGEST_LINE} characters; a line holds one frame")
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
    """Raise ValueError for a control that is not a finite number, or outside the range of its name."""
    for name, value in controls.items():
        if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not abs(value) <= HUGE:
            raise ValueError(f"{where}: control {name} is {value!r}; it should be a finite number")
        low, high = RANGES.get(name, (-math.inf, math.inf))
        if not low - 1e-6 <= value <= high + 1e-6:
            raise ValueError(f"{where}: control {name} is {value}; it should lie between {low:g} and {high:g}")


def _parse(text: str, where: str) -> FrameRecord:
    try:
        line = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: not JSON ({error}): {text.strip()[:80]!r}") from error
    if not isinstance(line, dict) or not isinstance(line.get("action"), dict):
        raise ValueError(f"{where}: a line is an object with frame, timestamp and action: {text.strip()[:80]!r}")
    check_controls(line["action"], where)
    intended, observation = line.get("intended"), line.get("observation") or {}
    if not isinstance(observation, dict) or not isinstance(intended, dict | None):
        raise ValueError(f"{where}: observation and intended should be objects: {text.strip()[:80]!r}")
    if intended is not None:
        check_controls(intended, f"{where}, intended")
        if intended.keys() != line["action"].keys():
            raise ValueError(f"{where}: intended has {list(intended)}, but action has {list(line['action'])}")
    expected_error = line.get("expected_error")
    if not isinstance(expected_error, dict | None):
        raise ValueError(f"{where}: expected_error should be an object: {text.strip()[:80]!r}")
    for name, value in (expected_error or {}).items():
        if _number(value, f"{where}: expected_error of {name}") is None:
            raise ValueError(f"{where}: expected_error of {name} should be a number, but is null")
    if not isinstance(line.get("first"), bool | int | None):
        raise ValueError(f"{where}: first should be true or false, but is {line['first']!r}")
    for name, value in observation.items():
        if isinstance(value, int | float) and not abs(value) <= HUGE:
            raise ValueError(f"{where}: observation {name} is {str(value)[:40]}; it should be a finite number")
    reward, confidence = (_number(line.get(name), f"{where}: {name}") for name in ("reward", "confidence"))
    if confidence is not None and not 0 <= confidence <= 1:
        raise ValueError(f"{where}: confidence is {confidence}; it should lie between 0 and 1")
    frame, timestamp = line.get("frame"), _number(line.get("timestamp"), f"{where}: timestamp")
    if not isinstance(frame, int) or timestamp is None:
        raise ValueError(f"{where}: frame and timestamp should be numbers: {text.strip()[:80]!r}")
    return FrameRecord(
        frame=frame,
        timestamp=timestamp,
        action=line["action"],
        observation=observation,
        reward=reward,
        first=line.get("first"),
        perturbed=bool(line.get("perturbed", False)),
        intended=intended,
        confidence=confidence,
        expected_error=expected_error,
    )


def _number(value: object, what: str) -> float | None:
    """A number that float32 can hold, or None if unknown."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{what} should be a number, but is {value!r}")
    if not abs(value) <= HUGE:  # nor NaN
        raise ValueError(f"{what} should be a finite number of 32 bits, but is {str(value)[:40]}")
    return float(value)
