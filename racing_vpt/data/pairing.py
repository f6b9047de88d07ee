"""Recordings with their controls: recorded, or an IDM's labels, paired by the video's sha256."""

from __future__ import annotations

import hashlib
import logging
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from racing_vpt.data.columns import Columns
from racing_vpt.data.label_files import read_labels
from racing_vpt.data.recording import Recording
from racing_vpt.data.recordings import find_recordings
from racing_vpt.files import TEMPORARY, read_json

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PairedRecording:
    """A recording and the source of its controls.

    Args:
        name: unique name; letters, digits, `-` and `_` only.
        recording: the video.
        labels: label file that replaces the recording's own controls, or None.
        actions_from: `{"kind": "recorded"}`, `{"kind": "idm", "checkpoint": FINGERPRINT, ...}`, or None: no controls.
        part_of: name of the whole recording, where this is a part of one.
        span: frames [start, stop) of that part; None: the whole recording.
    """

    name: str
    recording: Recording
    labels: Path | None
    actions_from: dict | None
    part_of: str | None = None
    span: tuple[int, int] | None = None

    @property
    def drive(self) -> str:
        """Name shared by renditions and parts of one drive, never divided between training and validation."""
        return str(self.recording.meta.get("rendition_of") or self.part_of or self.name)

    def columns(self) -> Columns:
        """Columns of all frames of the whole recording; ValueError if the number of lines is not that of frames."""
        if self.actions_from is None:
            return Columns.unknown(self.recording.num_frames)
        if self.labels is None:
            return Columns.of_records(self.recording.records())
        records, _ = read_labels(self.labels)
        if len(records) != self.recording.num_frames:
            raise ValueError(
                f"{self.labels} has {len(records)} lines, but {self.recording.video} has "
                f"{self.recording.num_frames} frames; label it again with: racing-vpt predict"
            )
        return Columns.of_records(records)


def pair_recordings(
    folder: Path, labels: Path | None = None, failed: dict[Path, Exception] | None = None
) -> list[PairedRecording]:
    """All recordings in a folder, in a fixed order; with `labels`, only those labelled there, with these labels.

    Args:
        folder: of recordings.
        labels: folder of labels.
        failed: receives files that cannot be opened, with the error; None: the first of them is an error.

    Raises:
        FileNotFoundError: there are no recordings, or none of the labels belongs to one.
    """
    recordings = find_recordings(folder, failed)
    if not recordings and failed:
        raise ValueError(f"none of the {len(failed)} recordings in {folder} can be read: {next(iter(failed.values()))}")
    if not recordings:
        raise FileNotFoundError(f"{folder} holds no recordings; make some with: racing-vpt collect")
    base = folder if folder.is_dir() else folder.parent
    inner = [recording.video.relative_to(base) for recording in recordings]
    names = [_safe(str(path.with_suffix("")) if path.name else base.resolve().name) for path in inner]
    repeated = {name for name, count in Counter(names).items() if count > 1}
    labelled = None if labels is None else labels_by_video(labels)
    episodes = []
    for name, recording in zip(names, recordings, strict=True):
        try:
            name = f"{name}-{recording.sha256[:8]}" if name in repeated else name
            if labelled is None:
                origin = {"kind": "recorded"} if recording.has_actions else None
                episodes.append(PairedRecording(name, recording, None, origin))
            elif recording.sha256 in labelled:
                file, origin = labelled[recording.sha256]
                episodes.append(PairedRecording(name, recording, file, origin))
        except Exception as error:  # its video cannot be read, so that it has no sha256
            if failed is None:
                raise
            failed[recording.video] = error
    if not episodes:
        raise FileNotFoundError(
            f"none of the {len(labelled or {})} labels in {labels} belongs to one of the {len(recordings)} videos in "
            f"{folder} (they are paired by sha256); label them with: racing-vpt predict --data.videos {folder}"
        )
    if len(episodes) < len(recordings):
        log.warning("%d of %d videos in %s have labels in %s", len(episodes), len(recordings), folder, labels)
    return episodes


def split_episodes(names: list[str], val_fraction: float, seed: int = 0) -> list[str]:
    """`train` or `val` for each episode: the fraction with the smallest hashes of (seed, name) is `val`.

    Episodes of one name stay together. Of two or more names at least one is `val` if the fraction is above 0, and at
    least one `train` if it is below 1.
    """
    if not 0 <= val_fraction <= 1:
        raise ValueError(f"val_fraction must lie in [0, 1], but {val_fraction} was given")
    different = list(dict.fromkeys(names))
    count = round(len(different) * val_fraction)
    if 0 < val_fraction < 1 and len(different) > 1:
        count = min(max(count, 1), len(different) - 1)
    hashed = sorted(different, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())
    validation = set(hashed[:count])
    return ["val" if name in validation else "train" for name in names]


def labels_by_video(folder: Path) -> dict[str, tuple[Path, dict]]:
    """Label files NAME.jsonl of a folder, with the source of their controls, by the sha256 of their video."""
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder of labels {folder}; make them with: racing-vpt predict")
    found: dict[str, tuple[Path, dict]] = {}
    for file in sorted(folder.rglob("*.meta.json")):
        meta = read_json(file)
        if file.name.startswith(TEMPORARY) or meta.get("kind") not in ("labels", "truth"):
            continue
        lines = file.with_name(file.name.removesuffix(".meta.json") + ".jsonl")
        if meta["kind"] == "truth":
            origin: dict = {"kind": "recorded"}
        else:
            kind = "overlay" if "overlay" in meta else "idm"
            origin = {"kind": kind, "checkpoint": meta.get("checkpoint"), "name": meta.get("checkpoint_name")}
        if not isinstance(meta.get("video_sha256"), str):
            raise ValueError(f"{file} names no video_sha256, by which labels belong to a video; label it again")
        found[meta["video_sha256"]] = (lines, origin)
    return found


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)
