"""`racing-vpt inspect`: what is in recordings, labels or shards, as text and one picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from racing_vpt.data.overview import Overview


def inspect_data(path: str, *, out: Path = Path("inspect.png")) -> None:
    """Show what is in recordings, labels or shards: counts, lengths, how controls are used, how sure an IDM was.

    Args:
        path: folder of recordings, labels or shards, a URL of shards, or a single recording or video.
        out: the picture to write: histograms and strips of sample frames.
    """
    from racing_vpt.data.overview import survey
    from racing_vpt.play.overview_picture import write_overview

    overview = survey(path)
    print(describe(path, overview))
    write_overview(overview, joined(overview), out)
    print(f"picture: {out}")


def describe(path: str, overview: Overview) -> str:
    """The text of an overview."""
    columns, lengths = overview.columns, np.array([len(part) for part in overview.columns])
    seconds = sum(duration for _, _, duration in overview.episodes)
    lines = [
        f"{path}: {len(lengths)} {overview.kind if overview.kind != 'shards' else 'episodes in shards'}",
        *overview.notes,
    ]
    lines.append(
        f"frames: {lengths.sum()} ({seconds / 60:.1f} minutes); an episode has {lengths.min()} to {lengths.max()}, "
        f"median {np.median(lengths):.0f}"
    )
    groups = {group: sum(one == group for _, one, _ in overview.episodes) for _, group, _ in overview.episodes}
    lines.append("episodes by group: " + ", ".join(f"{group} {count}" for group, count in groups.items()))
    unlabelled = sum(len(part) for part in columns if not part.controls)
    if unlabelled:
        lines.append(f"without controls: {unlabelled} frames")
    perturbed = sum(int(part.perturbed.sum()) for part in columns if part.perturbed is not None)
    if perturbed:
        lines.append(f"perturbed: {perturbed} frames ({perturbed / lengths.sum():.1%})")
    table = joined(overview)
    if table:
        lines.append(f"{'':14}{'mean':>9}{'std':>9}{'min':>9}{'5%':>9}{'50%':>9}{'95%':>9}{'max':>9}{'zero':>9}")
    for name, values in table.items():
        numbers = [values.mean(), values.std(), values.min(), *np.percentile(values, [5, 50, 95]), values.max()]
        zero = float((np.abs(values) < 1e-3).mean())
        lines.append(f"{name:14}" + "".join(f"{number:9.3f}" for number in numbers) + f"{zero:9.1%}")
    if "confidence" in table:
        counts, _ = np.histogram(table["confidence"], bins=10, range=(0, 1))
        peak = max(counts.max(), 1)
        lines.append("confidence of the labels:")
        for step, count in enumerate(counts):
            bar = "#" * round(40 * count / peak)
            lines.append(f"  {step / 10:.1f}-{step / 10 + 0.1:.1f} {bar:40} {count / counts.sum():6.1%}")
    return "\n".join(lines)


def joined(overview: Overview) -> dict[str, np.ndarray]:
    """Values of all frames by name: controls, and `reward` and `confidence` where they are known."""
    parts: dict[str, list[np.ndarray]] = {}
    for columns in overview.columns:
        known = {**columns.controls, "reward": columns.reward, "confidence": columns.confidence}
        for name, column in known.items():
            if column is not None and len(column):
                parts.setdefault(name, []).append(column)
    return {name: np.concatenate(columns) for name, columns in parts.items()}
