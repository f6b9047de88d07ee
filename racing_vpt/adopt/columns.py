"""Which columns of a table are controls, of what kind, and how their numbers become values of controls."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

NAMES = {
    "steering": ("steer", "wheel", "turn"),
    "throttle": ("throttle", "gas", "accel"),
    "brake": ("brake", "braking"),
}
TIMES = ("timestamp", "time", "t", "seconds", "time_s", "ts", "time_ms", "timestamp_ms", "ms")
COUNTERS = ("frame", "index", "frame_index", "row", "id")
SPANS = (1.0, 2.0, 100.0, 127.0, 128.0, 255.0, 32767.0, 32768.0, 65535.0)  # what devices and logs count to


@dataclass(frozen=True)
class Control:
    """A column that is a control.

    Args:
        name: of the control.
        column: of the table.
        low: the column's number for the lowest value.
        high: for the highest.
        kind: `axis` (of -1 to 1 or 0 to 1) or `button`.
    """

    name: str
    column: str
    low: float
    high: float
    kind: str

    @property
    def limits(self) -> tuple[float, float]:
        """Lowest and highest value of the control."""
        return (-1.0, 1.0) if self.name == "steering" else (0.0, 1.0)

    def values(self, numbers: np.ndarray) -> np.ndarray:
        """Values of the control float64 [T] of a column's numbers."""
        low, high = self.limits
        share = (numbers - self.low) / (self.high - self.low)
        return np.clip(low + share * (high - low), low, high)


@dataclass(frozen=True)
class Proposal:
    """What the columns of tables are.

    Args:
        controls: the controls.
        time: column of time stamps and the seconds of its unit; None: rows are frames.
        questions: what cannot be told, each with the option that answers it.
        unused: columns of which nothing is made.
    """

    controls: tuple[Control, ...]
    time: tuple[str, float] | None
    questions: tuple[str, ...]
    unused: tuple[str, ...]


def propose(
    columns: Mapping[str, np.ndarray],
    named: Mapping[str, str] | None,
    ranges: Mapping[str, Sequence[float]],
    ignored: Sequence[str],
    seconds: float,
) -> Proposal:
    """What columns are.

    Args:
        columns: of all tables together, by name; float64 [N] if they are numbers.
        named: column by control, as the user says; None: told by name.
        ranges: numbers of the lowest and the highest value by control, as the user says.
        ignored: columns that are no controls, as the user says.
        seconds: of video that the tables go with.

    Raises:
        ValueError: a named column does not exist.
    """
    numbers = {name: column for name, column in columns.items() if column.dtype.kind == "f"}
    time = next((name for name in numbers if name.lower() in TIMES), None)
    chosen = dict((named or {}).items())
    missing = [column for column in chosen.values() if column not in numbers]
    if missing:
        raise ValueError(
            f"--controls names {missing[0]}, which is no column of numbers; there are: {', '.join(numbers)}"
        )
    questions = []
    rest = [name for name in numbers if name != time and name.lower() not in COUNTERS and name not in ignored]
    if named is None:
        for control, words in NAMES.items():
            fitting = [name for name in rest if any(word in name.lower() for word in words)]
            if len(fitting) > 1:
                questions.append(f"{', '.join(fitting)} may all be {control}: --controls '{{{control}: {fitting[0]}}}'")
            elif fitting:
                chosen[control] = fitting[0]
        keys = [name for name in rest if name not in chosen.values() and set(np.unique(numbers[name])) == {0.0, 1.0}]
        chosen |= {re.sub(r"[^A-Za-z0-9_]", "_", name.removeprefix("action.")): name for name in keys}
        open_ = [name for name in rest if name not in chosen.values() and np.ptp(numbers[name]) > 0]
        asked = {word for question in questions for word in question.split(":")[0].replace(",", " ").split()}
        open_ = [name for name in open_ if name not in asked]
        if open_:
            questions.append(
                f"{', '.join(open_)} may be controls or not: --ignore {' '.join(open_)}, or name every control: "
                "--controls '{NAME: COLUMN}'"
            )
        if not chosen:
            questions.append("no column is known as a control: --controls '{steering: COLUMN}'")
    controls = []
    for control, column in chosen.items():
        given = ranges.get(control)
        low, high = (float(given[0]), float(given[1])) if given else _range(numbers[column], control) or (0.0, 0.0)
        if low == high:
            seen = f"{numbers[column].min():g} to {numbers[column].max():g}"
            questions.append(f"{column} holds {seen}; what is its whole range? --ranges '{{{control}: [LOW, HIGH]}}'")
            continue
        button = control not in NAMES and set(np.unique(numbers[column])) <= {0.0, 1.0}
        controls.append(Control(control, column, low, high, "button" if button else "axis"))
    unit = None if time is None else (time, _unit(numbers[time], seconds))
    used = {*chosen.values(), *([time] if time else [])}
    return Proposal(tuple(controls), unit, tuple(questions), tuple(name for name in columns if name not in used))


def _range(numbers: np.ndarray, control: str) -> tuple[float, float] | None:
    """The whole range of numbers, if it is a usual one that they nearly fill; None if it cannot be told."""
    low, high = float(numbers.min()), float(numbers.max())
    two_sided = control == "steering"
    for span in SPANS:
        if max(abs(low), abs(high)) <= span * 1.0001 and max(abs(low), abs(high)) > 0.5 * span:
            if two_sided and low >= 0:
                return None  # from 0: where is its middle?
            return (-span, span) if low < 0 else (0.0, span)
    return None


def _unit(times: np.ndarray, seconds: float) -> float:
    """Seconds of the unit of time stamps: the one in which they last as long as the video."""
    lasting = float(np.abs(np.diff(times)[np.diff(times) > 0]).sum())
    return min((1.0, 1e-3, 1e-6, 1e-9), key=lambda unit: abs(np.log(max(lasting * unit, 1e-9) / seconds)))
