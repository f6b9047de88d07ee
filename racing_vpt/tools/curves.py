"""The curves of a run: what it logged to tensorboard, as numbers and as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np

Curve = tuple[np.ndarray, np.ndarray]  # steps int64 [N], values float64 [N]


def read_scalars(run: Path) -> dict[str, Curve]:
    """Steps and values by key of all event files in a run folder; of a step logged twice (a resumed run) the last."""
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
    """Draw the losses, the fit and the drives of the runs (title: folder) as a PNG, a column for each run.

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
    temporary = path.with_name(f".tmp-{path.name}")
    figure.savefig(temporary, dpi=120, format="png")
    pyplot.close(figure)
    temporary.replace(path)
