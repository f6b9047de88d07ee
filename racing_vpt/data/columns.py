"""Per-frame data of an episode as columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from racing_vpt.data.lines import RANGES
from racing_vpt.types import FrameRecord

ANY = (-np.inf, np.inf)
HELD = frozenset({"gear_change"})  # controls that are events or choices, which cannot be averaged


@dataclass(frozen=True)
class Columns:
    """Columns of T frames of an episode; None where unknown.

    Args:
        first: bool [T], true where the episode starts.
        controls: float32 [T] by name, as executed; empty for unlabelled video.
        reward: float32 [T].
        confidence: float32 [T], the IDM's, if the controls are its labels.
        perturbed: bool [T], true where the executed controls differ from the driver's intended ones.
        intended: float32 [T] by name, the driver's intended controls; equal to `controls` in unperturbed frames.
    """

    first: np.ndarray
    controls: dict[str, np.ndarray]
    reward: np.ndarray | None = None
    confidence: np.ndarray | None = None
    perturbed: np.ndarray | None = None
    intended: dict[str, np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self.first)

    @classmethod
    def unknown(cls, num_frames: int) -> Columns:
        """Columns of an unlabelled video: only `first`."""
        return cls(np.arange(num_frames) == 0, {})

    @classmethod
    def of_records(cls, records: list[FrameRecord]) -> Columns:
        """Columns of the lines of a recording or of labels."""
        names = list(records[0].action) if records else []
        perturbed = any(record.perturbed for record in records)
        wanted = [{**record.action, **(record.intended or {})} for record in records]
        return cls(
            first=np.array([record.frame == 0 if record.first is None else record.first for record in records], bool),
            controls={name: np.array([record.action[name] for record in records], np.float32) for name in names},
            reward=_known([record.reward for record in records]),
            confidence=_known([record.confidence for record in records]),
            perturbed=np.array([record.perturbed for record in records]) if perturbed else None,
            intended={n: np.array([row[n] for row in wanted], np.float32) for n in names} if perturbed else None,
        )

    @classmethod
    def of_json(cls, value: dict) -> Columns:
        """The inverse of `to_json`."""
        intended = value.get("intended")
        return cls(
            first=np.array(value["first"], bool),
            controls={name: np.array(column, np.float32) for name, column in value["controls"].items()},
            reward=_known(value.get("reward") or [None]),
            confidence=_known(value.get("confidence") or [None]),
            perturbed=None if value.get("perturbed") is None else np.array(value["perturbed"], bool),
            intended=intended and {name: np.array(column, np.float32) for name, column in intended.items()},
        )

    def check(self, num_frames: int) -> None:
        """Raise ValueError for a column of another length, or a number that is not finite or out of range."""
        named = {**self.controls, "first": self.first, "reward": self.reward, "confidence": self.confidence}
        named |= {"perturbed": self.perturbed, **{f"intended {name}": x for name, x in (self.intended or {}).items()}}
        for name, column in named.items():
            if column is None:
                continue
            if column.shape != (num_frames,):
                raise ValueError(f"{name} has the shape {column.shape}, but there are {num_frames} frames")
            low, high = (0, 1) if name == "confidence" else RANGES.get(name.removeprefix("intended "), ANY)
            good = np.isfinite(column) & (column >= low - 1e-6) & (column <= high + 1e-6)
            if not good.all():
                frame = int(np.argmin(good))
                raise ValueError(f"{name} of frame {frame} is {column[frame]}, not a number from {low:g} to {high:g}")
        if self.intended is not None and self.intended.keys() != self.controls.keys():
            raise ValueError(f"intended are {list(self.intended)}, but the controls are {list(self.controls)}")

    def to_json(self) -> dict[str, object]:
        """Plain lists for JSON, without unknown columns."""
        known: dict[str, object] = {"first": [int(flag) for flag in self.first], "controls": _lists(self.controls)}
        for name in ("reward", "confidence"):
            column = getattr(self, name)
            if column is not None:
                known[name] = _numbers(column)
        if self.perturbed is not None:
            known["perturbed"] = [int(flag) for flag in self.perturbed]
        if self.intended is not None:
            known["intended"] = _lists(self.intended)
        return known

    def __getitem__(self, rows: slice) -> Columns:
        return self._map(lambda column: column[rows])

    def spans(self, starts: np.ndarray, stop: int, mean: bool = False) -> Columns:
        """Aggregate spans of frames [starts[k], starts[k + 1]), the last up to `stop`, into one row each.

        Args:
            starts: int64 [M], non-decreasing; a span may be empty (a frame that is shown twice).
            stop: end of the last span.
            mean: average the controls over the span (except gear changes) instead of taking those of its first frame.

        Returns:
            M rows: rewards are summed; `first` and `perturbed` are true if they are for any frame of the span.
        """
        at = np.minimum(starts, len(self) - 1)
        picked = self._map(lambda column: column[at])
        bounds = np.append(starts, stop)
        if np.array_equal(np.diff(bounds), np.ones(len(starts))):
            return picked

        def total(column: np.ndarray) -> np.ndarray:
            return np.diff(np.concatenate([[0.0], np.cumsum(column, dtype=np.float64)])[bounds])

        length = np.maximum(np.diff(bounds), 1)

        def average(name: str, column: np.ndarray, first: np.ndarray) -> np.ndarray:
            if not mean or name in HELD or name not in RANGES:
                return first
            return np.where(np.diff(bounds) > 0, total(column) / length, first).astype(np.float32)

        intended = self.intended and {name: average(name, column, column[at]) for name, column in self.intended.items()}
        return Columns(
            first=total(self.first) > 0,
            controls={name: average(name, column, column[at]) for name, column in self.controls.items()},
            reward=None if self.reward is None else _float32(total(self.reward)),
            confidence=picked.confidence,
            perturbed=None if self.perturbed is None else total(self.perturbed) > 0,
            intended=intended,
        )

    @classmethod
    def join(cls, parts: list[Columns]) -> Columns:
        """Concatenate parts of an episode; a column that one part lacks is unknown, except for perturbations."""
        if len(parts) == 1:
            return parts[0]
        perturbed = any(part.perturbed is not None for part in parts)
        flags = [np.zeros(len(part), bool) if part.perturbed is None else part.perturbed for part in parts]
        names = parts[0].controls
        wanted = [part.controls if part.intended is None else part.intended for part in parts]
        return cls(
            first=np.concatenate([part.first for part in parts]),
            controls={name: np.concatenate([part.controls[name] for part in parts]) for name in names},
            reward=_concatenate([part.reward for part in parts]),
            confidence=_concatenate([part.confidence for part in parts]),
            perturbed=np.concatenate(flags) if perturbed else None,
            intended={name: np.concatenate([part[name] for part in wanted]) for name in names} if perturbed else None,
        )

    def _map(self, pick: Callable[[np.ndarray], np.ndarray]) -> Columns:
        def maybe(column: np.ndarray | None) -> np.ndarray | None:
            return None if column is None else pick(column)

        return Columns(
            first=pick(self.first),
            controls={name: pick(column) for name, column in self.controls.items()},
            reward=maybe(self.reward),
            confidence=maybe(self.confidence),
            perturbed=maybe(self.perturbed),
            intended=self.intended and {name: pick(column) for name, column in self.intended.items()},
        )


def _float32(rewards: np.ndarray) -> np.ndarray:
    """Sums float64 [T] as float32; ValueError where one is too large for it."""
    if not (np.abs(rewards) <= np.finfo(np.float32).max).all():
        raise ValueError("rewards that are added up over skipped frames are larger than a number of 32 bits")
    return rewards.astype(np.float32)


def _known(column: Sequence[float | None]) -> np.ndarray | None:
    return None if any(number is None for number in column) else np.array(column, np.float32)


def _concatenate(parts: list[np.ndarray | None]) -> np.ndarray | None:
    known = [part for part in parts if part is not None]
    return np.concatenate(known) if len(known) == len(parts) else None


def _lists(columns: dict[str, np.ndarray]) -> dict[str, list[float]]:
    return {name: _numbers(column) for name, column in columns.items()}


def _numbers(column: np.ndarray) -> list[float]:
    return [float(str(number)) for number in column.astype(np.float32)]  # the shortest text that restores the float32
