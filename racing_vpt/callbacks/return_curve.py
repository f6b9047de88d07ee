"""Learning curve: returns of training episodes and validation drives against decisions, kept across resumed runs."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch import Trainer

from racing_vpt.callbacks.images import log_picture
from racing_vpt.files import published
from racing_vpt.types import Frame

EPISODE = ("decisions", "seconds", "return", "frames", "lap", "cut_off")
DRIVE = ("decisions", "seconds", "return", "laps_finished")
MEAN_OF = 50  # episodes
SIZE = (8.0, 4.5)  # inches


class ReturnCurve:
    """Episodes and validation drives of a run, in the order in which they finished."""

    def __init__(self) -> None:
        self.episodes: list[tuple[float, ...]] = []
        self.drives: list[tuple[float, ...]] = []

    def recent(self, column: str) -> float:
        """Mean of a column over the last episodes; NaN before the first one finished."""
        values = [row[EPISODE.index(column)] for row in self.episodes[-MEAN_OF:]]
        return float(np.mean(values)) if values else float("nan")

    def state(self) -> dict[str, torch.Tensor]:
        """State for a checkpoint."""
        rows = {"curve_episodes": (self.episodes, EPISODE), "curve_drives": (self.drives, DRIVE)}
        return {
            name: torch.tensor(kept, dtype=torch.float64).reshape(-1, len(columns))
            for name, (kept, columns) in rows.items()
        }

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Restore `state`."""
        kept = (state["curve_episodes"], state["curve_drives"])
        self.episodes, self.drives = ([tuple(row) for row in rows.tolist()] for rows in kept)

    def publish(self, folder: Path, trainer: Trainer) -> None:
        """Write `episodes.csv`, `drives.csv` and `returns.png` to the run folder, and the picture to the loggers."""
        for name, columns, rows in (("episodes", EPISODE, self.episodes), ("drives", DRIVE, self.drives)):
            with published(folder / f"{name}.csv") as temporary:
                temporary.write_text(table(columns, rows))
        picture = draw(self.episodes, self.drives)
        with published(folder / "returns.png") as temporary:
            temporary.write_bytes(picture)
        log_picture(trainer, "experience/returns", pixels(picture))


def table(columns: Sequence[str], rows: Sequence[Sequence[float]]) -> str:
    """Rows as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([[f"{value:.10g}" for value in row] for row in rows])
    return text.getvalue()


def draw(episodes: Sequence[Sequence[float]], drives: Sequence[Sequence[float]]) -> bytes:
    """PNG of returns against decisions: episodes, their running mean, and validation drives."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(SIZE, layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    axis.set(xlabel="decisions", ylabel="return")
    axis.grid(alpha=0.3)
    if episodes:
        decisions, earned = (
            np.array([row[EPISODE.index(name)] for row in episodes]) for name in ("decisions", "return")
        )
        axis.plot(decisions, earned, ".", markersize=2, alpha=0.3, label="episodes, exploring")
        sums = np.cumsum(np.concatenate([[0.0], earned]))
        counts = np.minimum(np.arange(1, len(earned) + 1), MEAN_OF)
        ends = np.arange(1, len(earned) + 1)
        axis.plot(decisions, (sums[ends] - sums[ends - counts]) / counts, label=f"mean of {MEAN_OF}")
    if drives:
        axis.plot(
            [row[0] for row in drives], [row[2] for row in drives], "o-", markersize=4, label="validation, greedy"
        )
    if episodes or drives:
        axis.legend(loc="lower right", fontsize=8)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=100)
    return file.getvalue()


def pixels(picture: bytes) -> Frame:
    """Pixels uint8 [H, W, 3] of a PNG."""
    import cv2

    decoded = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)
