"""The text of `racing-vpt inspect`: what is in data, how a game uses it, and how far labels agree with the truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from racing_vpt.data.columns import Columns
from racing_vpt.data.game_check import misfit
from racing_vpt.data.label_files import read_labels
from racing_vpt.data.pairing import labels_by_video
from racing_vpt.data.recordings import find_recordings
from racing_vpt.models.idm_protocol import Episode, agreement

if TYPE_CHECKING:
    from racing_vpt.data.overview import Overview
    from racing_vpt.games.game import Game


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


def as_of_game(overview: Overview, game: Game) -> str:
    """Which episodes are not of a game, and how the classes of each of its heads are used in the others."""
    named = zip(overview.episodes, overview.columns, strict=True)
    faults = {name: misfit(columns, game) for (name, _, _), columns in named}
    wrong = [f"  {name}: {fault}" for name, fault in faults.items() if fault]
    lines = [f"game {game.name}: {len(faults) - len(wrong)} of {len(faults)} episodes are of it", *wrong]
    labelled = [part.controls for part in overview.columns if part.controls and not misfit(part, game)]
    if not labelled:
        return "\n".join(lines)
    scheme = game.scheme("controls")
    table = {name: np.concatenate([controls[name] for controls in labelled]) for name in scheme.controls}
    classes = scheme.encode({name: torch.from_numpy(values) for name, values in table.items()})
    for name, head in scheme.heads.items():
        counts = torch.bincount(classes[name], minlength=head.num_classes)
        most = int(counts.argmax())
        lines.append(
            f"{name}: {int((counts > 0).sum())} of {head.num_classes} classes used, class {most} in "
            f"{counts[most] / counts.sum():.1%} of the frames"
        )
    return "\n".join(lines)


def beside_truth(labels: Path, truth: Path, game: Game) -> str:
    """Table of how far labels agree with the true controls, by the protocol of `racing-vpt test`.

    Args:
        labels: folder of labels.
        truth: folder of the true controls.
        game: their game.
    """
    said, true = labels_by_video(labels), labels_by_video(truth)
    recorded = {recording.sha256: recording for recording in find_recordings(truth) if recording.has_actions}
    shared = sorted({*said} & ({*true} | {*recorded}))
    if not shared:
        raise FileNotFoundError(
            f"none of the {len(said)} label files in {labels} is of a video whose true controls are in {truth}, which "
            f"has those of {len({*true} | {*recorded})} (they are paired by the video's sha256)"
        )
    scheme, episodes = game.scheme(), []
    for video in shared:
        known = recorded[video].records() if video in recorded else read_labels(true[video][0])[0]
        ours, theirs = (Columns.of_records(lines).controls for lines in (read_labels(said[video][0])[0], known))
        ours, theirs = ({name: each[name].astype(float) for name in scheme.controls} for each in (ours, theirs))
        episodes.append(Episode(np.arange(len(ours[scheme.controls[0]])), ours, theirs, {}, {}))
    lines = [f"beside the true controls of {len(shared)} video{'s' * (len(shared) > 1)} (95% intervals over videos):"]
    for control, figures in agreement(scheme, episodes, game.stops).items():
        for name, (value, low, high) in figures.items():
            lines.append(f"  {control:14}{name:18}{value:8.3f}  ({low:.3f} to {high:.3f})")
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
