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
    """Draw the losses and, below, the scores of the runs (title: folder) side by side as a PNG.

    Raises:
        FileNotFoundError: a run has logged nothing.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, len(runs), figsize=(5.5 * len(runs), 6.5), squeeze=False, sharex="col")
    for column, (title, run) in enumerate(runs.items()):
        curves = read_scalars(run)
        if not curves:
            raise FileNotFoundError(f"{run} holds no tensorboard events; train it with: racing-vpt fit")
        losses = {key: curve for key, curve in curves.items() if key.split("/")[-1].split("_")[0] == "loss"}
        scores = {key: curve for key, curve in curves.items() if _is_score(key)}
        for axis, chosen in zip(axes[:, column], (losses, scores), strict=True):
            for key, (steps, values) in sorted(chosen.items()):
                axis.plot(steps, values, label=key, marker="o" if len(steps) < 30 else None, markersize=3)
            axis.grid(alpha=0.3)
            if chosen:
                axis.legend(fontsize=7)
        axes[0, column].set_title(title)
        axes[0, column].set_yscale("log")
        axes[1, column].set_xlabel("training step")
    figure.tight_layout()
    temporary = path.with_name(f".tmp-{path.name}")
    figure.savefig(temporary, dpi=120, format="png")
    pyplot.close(figure)
    temporary.replace(path)


def _is_score(key: str) -> bool:
    room, _, metric = key.partition("/")
    return room == "rollout" or (room == "val" and metric.endswith(("_r2", "_f1", "_accuracy")))
