"""Recordings as demonstrations: a decision every k frames, with the nearest of the model's actions.

The reader forms the decisions (`FrameSpec.stride`): the frame, the sum of the rewards and the mean of the executed
controls until the next one. A recording lacks the frame after its last action; its outcome is known only if the lap was
finished, which terminates the episode.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from racing_vpt.data.columns import Columns
from racing_vpt.data.lines import RANGES
from racing_vpt.data.reader import EpisodeReader
from racing_vpt.types import LaneStep

Actions = Sequence[Mapping[str, float]] | Sequence[str]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Demonstrations:
    """Consecutive episodes.

    Args:
        steps: a `LaneStep` whose N is time.
        imitated: bool [T], false where the driver was perturbed: a transition, but not to be imitated.
        distance: mean distance of the executed controls from the chosen actions; see `nearest_actions`.
    """

    steps: LaneStep
    imitated: np.ndarray
    distance: float


def read_demonstrations(reader: EpisodeReader, actions: Actions, seen: tuple[int, int] | None = None) -> Demonstrations:
    """All episodes of a reader.

    Args:
        reader: reader with the model's `FrameSpec`, stride included, and `mean_controls`; grey frames become [H, W].
        actions: controls by name of each discrete action, or the names of continuous controls.
        seen: height and width of the environment's frames, which the recorded ones must have. None: they must not be
            smaller than the model's, because enlarged frames are more blurred than the environment's.

    Raises:
        ValueError: recordings with another frame size or other controls, or without controls or rewards.
    """
    rows = [row for row in actions if not isinstance(row, str)]
    names = list(rows[0]) if rows else [name for name in actions if isinstance(name, str)]
    table = np.array([[row[name] for name in names] for row in rows]) if rows else None
    episodes, imitated, distances = [], [], []
    for number, length in enumerate(reader.lengths):
        check_size(reader, number, seen)
        columns = reader.columns(number, 0, length)
        controls = controls_of(columns, names, reader.name(number))
        done, distance = (controls, np.zeros(length)) if table is None else nearest_actions(controls, table, names)
        frames = reader.frames(number, 0, length)
        first, terminated = columns.first.copy(), np.zeros(length, bool)
        first[0], terminated[-1] = True, reader.finished(number)
        assert columns.reward is not None
        nothing, everything = np.zeros(length, bool), np.ones(length, bool)
        frames = frames[..., 0] if reader.spec.grey else frames
        episodes.append(LaneStep(frames, done, columns.reward, terminated, nothing, first, everything))
        imitated.append(everything if columns.perturbed is None else ~columns.perturbed)
        distances.append(distance)
    columns_kept = [name for name, column in vars(episodes[0]).items() if column is not None]
    steps = LaneStep(**{name: np.concatenate([vars(one)[name] for one in episodes]) for name in columns_kept})
    kept = Demonstrations(steps, np.concatenate(imitated), float(np.concatenate(distances).mean()))
    log.info(
        "%d demonstrations: %d decisions, %.0f%% of them undisturbed, %d ends known, mean return %.1f; executed "
        "controls are %.3f from the nearest of %s actions in the mean",
        len(episodes), len(kept.imitated), 100 * kept.imitated.mean(), steps.terminated.sum(),
        steps.rewards.sum() / len(episodes), kept.distance, "all" if table is None else len(table),
    )  # fmt: skip
    return kept


def nearest_actions(controls: np.ndarray, table: np.ndarray, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The nearest row of a table for each row of controls.

    Args:
        controls: float32 [T, A].
        table: [rows, A].
        names: names of the A controls.

    Returns:
        Rows int64 [T] and their distances float [T]: the sum of differences, each as a share of the control's largest
        value (of its largest in the table, if it has no range).
    """
    known = [max(map(abs, RANGES.get(name, (0.0, 0.0)))) for name in names]
    scale = np.array([size or np.abs(table[:, at]).max() or 1.0 for at, size in enumerate(known)])
    apart = (np.abs(controls[:, None] - table) / scale).sum(-1)  # (T, rows)
    return apart.argmin(1), apart.min(1)


def controls_of(columns: Columns, names: Sequence[str], episode: str) -> np.ndarray:
    """The named controls, float32 [T, A]; ValueError if the recording has other controls or no rewards."""
    missing = [name for name in names if name not in columns.controls]
    used = [name for name, column in columns.controls.items() if name not in names and column.any()]
    if missing or used:
        raise ValueError(
            f"demonstration {episode} has the controls {', '.join(columns.controls) or 'none'}, but the model acts "
            f"with {', '.join(names)}: {' and '.join(missing + used)} cannot be translated; record its game with: "
            "racing-vpt collect"
        )
    if columns.reward is None:
        raise ValueError(
            f"demonstration {episode} has no rewards, so nothing can be learnt from what its actions earned; record it "
            "with: racing-vpt collect"
        )
    return np.stack([columns.controls[name] for name in names], -1).astype(np.float32)


def check_size(reader: EpisodeReader, episode: int, seen: tuple[int, int] | None) -> None:
    """Raise ValueError if an episode's frames differ in size from those of the environment."""
    height, width = reader.recorded_size(episode)
    spec = reader.spec
    if seen is not None and (height, width) != seen:
        raise ValueError(
            f"demonstration {reader.name(episode)} has frames of {height}x{width}, but the environment gives "
            f"{seen[0]}x{seen[1]}; record it with: racing-vpt collect, or pack it at that size"
        )
    if round(height * (1 - spec.crop_bottom)) < spec.height or width < spec.width:
        raise ValueError(
            f"demonstration {reader.name(episode)} has frames of {height}x{width}, too small for the model's "
            f"{spec.height}x{spec.width}; record it with: racing-vpt collect, or pack it at a larger size"
        )
