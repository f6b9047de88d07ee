"""Learning curves of runs from tensorboard events and `drives.csv`."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from racing_vpt.play.picture_file import write_picture

Curve = tuple[np.ndarray, np.ndarray]  # steps int64 [N], values float64 [N]
Drives = tuple[list[float], list[float], list[float]]  # decisions, seconds of training, mean returns


def read_scalars(run: Path) -> dict[str, Curve]:
    """Steps and values by key from all event files of a run folder; for a step logged twice, the last value."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    points: dict[str, dict[int, float]] = {}
    for file in sorted(run.glob("events.out.tfevents.*"), key=lambda path: path.stat().st_mtime):
        events = EventAccumulator(str(file), size_guidance={"scalars": 0})
        events.Reload()
        for key in events.Tags()["scalars"]:
            points.setdefault(key, {}).update({event.step: event.value for event in events.Scalars(key)})
    return {
        key: (np.array(sorted(values)), np.array([values[step] for step in sorted(values)]))
        for key, values in points.items()
    }


def plot_training(runs: dict[str, Path], path: Path) -> None:
    """Plot losses, validation metrics and returns of runs (title: folder) as a PNG, one column per run.

    Raises:
        FileNotFoundError: a run has logged nothing.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = {
        "loss": ("train/loss", "val/loss"),
        "R2 and F1 (validation)": ("val/steering_r2_clipped", "val/steering_r2", "val/throttle_r2", "val/brake_f1"),
        "return of a drive (validation tracks)": ("rollout/return",),
    }
    figure, axes = pyplot.subplots(len(rows), len(runs), figsize=(5.5 * len(runs), 9), squeeze=False)
    for column, (title, run) in enumerate(runs.items()):
        curves = read_scalars(run)
        if not curves:
            raise FileNotFoundError(f"{run} holds no tensorboard events; train it with: racing-vpt fit")
        axes[0, column].set_title(title)
        for axis, (what, keys) in zip(axes[:, column], rows.items(), strict=True):
            shown = [key for key in keys if key in curves]
            for key in shown:
                steps, values = curves[key]
                axis.plot(steps, values, label=key, marker="o" if len(steps) < 30 else None, markersize=3)
            axis.set(xlabel="training step", ylabel=what)
            axis.grid(alpha=0.3)
            if shown:
                axis.legend(fontsize=7)
            else:
                axis.set_visible(False)
        axes[1, column].set_ylim(-0.1, 1.02)
    figure.tight_layout()
    write_picture(figure, path, dpi=120)
    pyplot.close(figure)


def plot_returns(runs: dict[str, Drives], path: Path) -> None:
    """Plot validation returns of runs, by title, against decisions and hours of training, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure((11, 4.5), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for title, (decisions, seconds, returns) in runs.items():
        axes[0].plot(decisions, returns, label=title, marker="o", markersize=2)
        axes[1].plot([second / 3600 for second in seconds], returns, label=title, marker="o", markersize=2)
    axes[0].set(xlabel="decisions", ylabel="return of validation drives")
    axes[1].set(xlabel="hours of training")
    for axis in axes:
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=8)
    write_picture(figure, path, dpi=120)


def read_drives(run: Path) -> Drives:
    """Decisions, seconds of training and mean return at each validation of an online run.

    Raises:
        FileNotFoundError: the run has no `drives.csv`.
        ValueError: there was no validation yet.
    """
    file = run / "drives.csv"
    if not file.is_file():
        raise FileNotFoundError(f"{run} holds no drives.csv; train it with: racing-vpt fit (configs/dqn.yaml)")
    with file.open() as lines:
        rows = list(csv.DictReader(lines))
    if not rows:
        raise ValueError(f"{file} is empty: no validation yet; wait, or continue the run with: --ckpt_path last")
    decisions, seconds, returns = ([float(row[name]) for row in rows] for name in ("decisions", "seconds", "return"))
    return decisions, seconds, returns
