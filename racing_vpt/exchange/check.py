"""Checks of controls that come from others: errors for what cannot be used, remarks on what looks wrong."""

from __future__ import annotations

import numpy as np

from racing_vpt.data.columns import Columns
from racing_vpt.data.game_check import misfit
from racing_vpt.games.game import Game

LONG = 10.0  # seconds without any control that are worth a remark
MOSTLY = 0.5  # share of frames without any control that is worth a remark
OFF_RATE = 0.02  # relative difference between the rates of a table and its video


def check_columns(columns: Columns, num_frames: int, frames_per_second: float, game: Game | None = None) -> list[str]:
    """Remarks on the controls of an episode: the share of frames without any, and their longest run.

    Raises:
        ValueError: they are not one per frame, not finite, out of range, or not those of `game`.
    """
    columns.check(num_frames)
    if game is not None and (fault := misfit(columns, game)):
        raise ValueError(f"{fault} (--game {game.name})")
    if not columns.controls:
        return ["no controls: it is a video to label"]
    idle = ~np.any([column != 0 for column in columns.controls.values()], axis=0)
    begin, length = longest_run(idle)
    remarks = []
    if idle.mean() > MOSTLY:
        remarks.append(f"{idle.mean():.0%} of the frames have no control")
    if length / frames_per_second > LONG:
        remarks.append(f"no control for {length / frames_per_second:.1f} s from frame {begin} on")
    return remarks


def longest_run(flags: np.ndarray) -> tuple[int, int]:
    """Begin and length of the longest run of true in bool [T]; (0, 0) if there is none."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    if not len(edges):
        return 0, 0
    begins, lengths = edges[::2], edges[1::2] - edges[::2]
    longest = int(lengths.argmax())
    return int(begins[longest]), int(lengths[longest])


def check_times(times: np.ndarray, where: str) -> None:
    """Raise ValueError unless times float64 [T] are finite and rise."""
    if not np.isfinite(times).all():
        raise ValueError(f"{where}: the time stamp of row {int(np.argmin(np.isfinite(times)))} is not a finite number")
    back = np.flatnonzero(np.diff(times) <= 0)
    if len(back):
        row = int(back[0]) + 1
        raise ValueError(
            f"{where}: the time stamp of row {row} is {times[row]:g} s after {times[row - 1]:g} s; time stamps should "
            "rise; if they mean something else, leave them out with: --timestamps false"
        )


def mean_rate(times: np.ndarray) -> float:
    """Rows per second of rising times float64 [T]; 0 for a single row."""
    return (len(times) - 1) / float(times[-1] - times[0]) if len(times) > 1 else 0.0
