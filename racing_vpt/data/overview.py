"""Summary of recordings, labels or shards: their columns and sample pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from racing_vpt.data.columns import Columns
from racing_vpt.data.label_files import read_labels
from racing_vpt.data.manifest import MANIFEST, read_manifest
from racing_vpt.data.origin import joined
from racing_vpt.data.pairing import pair_recordings
from racing_vpt.data.remote import AT_A_TERMINAL, RemoteFiles, is_remote
from racing_vpt.data.shards import ShardStore
from racing_vpt.data.store import RecordingStore, Store, StoredEpisode
from racing_vpt.files import TEMPORARY, read_json

Kind = Literal["recordings", "labels", "shards"]


@dataclass
class Overview:
    """Summary of a data set.

    Args:
        kind: recordings, labels or shards.
        episodes: name, group (a split, a checkpoint, ...) and length in seconds of each.
        columns: columns of each.
        strips: caption, frames uint8 [8, H, W, 3] and their columns, for a few episodes.
        notes: further lines of text.
    """

    kind: Kind
    episodes: list[tuple[str, str, float]] = field(default_factory=list)
    columns: list[Columns] = field(default_factory=list)
    strips: list[tuple[str, np.ndarray, Columns]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def kind_of(path: str) -> Kind:
    """Kind of the data at a path; a folder without a manifest or labels counts as recordings."""
    if is_remote(path) or (Path(path) / MANIFEST).is_file():
        return "shards"
    folder = Path(path)
    if not folder.exists():
        raise FileNotFoundError(f"there is no {path}; recordings, labels, shards or a video were expected")
    if folder.is_dir() and any(folder.glob("*.tar")):
        raise FileNotFoundError(f"{path} holds shards but no {MANIFEST}: finish packing with: racing-vpt pack")
    return "labels" if any(True for _ in label_metas(folder, failed={})) else "recordings"


def label_metas(folder: Path, failed: dict[Path, Exception] | None = None) -> Iterator[Path]:
    """Meta files of the labels in a folder and its subfolders, or of one label file.

    Args:
        folder: searched.
        failed: receives meta files that cannot be read, with the error; None: the first of them is an error.
    """
    files = sorted(folder.rglob("*.meta.json")) if folder.is_dir() else [folder.with_suffix(".meta.json")]
    for file in files:
        if not file.exists() or file.name.startswith(TEMPORARY):
            continue
        try:
            kind = read_json(file).get("kind")
        except (ValueError, OSError) as error:
            if failed is None:
                raise
            failed[file] = error
            continue
        if kind in ("labels", "truth"):
            yield file


def survey(path: str, num_strips: int = 6) -> Overview:
    """Read the columns of all episodes at a path, and pictures of a few."""
    kind = kind_of(path)
    overview = Overview(kind)
    if kind == "labels":
        parts: list[dict] = []
        for meta_file in label_metas(Path(path)):
            records, meta = read_labels(meta_file.with_name(meta_file.name.removesuffix(".meta.json") + ".jsonl"))
            name = meta.get("checkpoint_name") or str(meta.get("checkpoint"))[:12]
            seconds = records[-1].timestamp if records else 0.0
            overview.episodes.append((meta_file.name.removesuffix(".meta.json"), name, seconds))
            overview.columns.append(Columns.of_records(records))
            parts.append(meta)
        overview.notes = [_licences(parts)]
        return overview
    stores: list[tuple[str, Store]] = []
    if kind == "shards":
        manifest = read_manifest(path, RemoteFiles(AT_A_TERMINAL))
        stores = [(split, ShardStore(path, split, remote=AT_A_TERMINAL)) for split in manifest["splits"]]
        size = sum(shard["bytes"] for shard in manifest["shards"]) / 2**20
        overview.notes = [
            f"{len(manifest['shards'])} shards, {size:.1f} MiB",
            *(f"{split}: {counts}" for split, counts in manifest["splits"].items()),
            f"actions from: {manifest['actions_from']}",
            _licences(manifest["episodes"].values()),
            f"clips: {manifest.get('clip_format', 'the manifest does not say how they were made')}",
        ]
    else:
        episodes = pair_recordings(Path(path))
        stores = [("recordings", RecordingStore(episodes))]
        agents = sorted({str(episode.recording.meta.get("agent", "unknown")) for episode in episodes})
        overview.notes = [
            f"drivers: {', '.join(agents)}",
            _licences(episode.recording.meta for episode in episodes),
        ]
    shown = [(group, store, episode) for group, store in stores for episode in store.episodes]
    for group, store, episode in shown:
        overview.episodes.append((episode.name, group, episode.num_frames / episode.frames_per_second))
        overview.columns.append(Columns.join([store.columns(clip) for clip in episode.clips]))
    for index in np.unique(np.linspace(0, len(shown) - 1, num_strips).astype(int)):
        group, store, episode = shown[index]
        overview.strips.append(_strip(f"{episode.name} ({group})", store, episode, overview.columns[index]))
    return overview


def _licences(parts: Iterable[Mapping[str, object]]) -> str:
    """Licences of episodes and of their labels, with their numbers."""
    counts: Counter[str] = Counter()
    for part in parts:
        labels = part.get("labels")
        stated = [part.get("license"), labels.get("license") if isinstance(labels, dict) else None]
        counts[joined(stated) or "not stated"] += 1
    return "licence: " + ", ".join(f"{name} ({count})" for name, count in counts.most_common())


def _strip(caption: str, store: Store, episode: StoredEpisode, columns: Columns) -> tuple[str, np.ndarray, Columns]:
    wanted = np.linspace(0, episode.num_frames - 1, 8).astype(int)
    frames = []
    for index in wanted:
        clip = next(clip for clip in episode.clips if clip.start <= index < clip.start + clip.frames)
        video, offset = store.open(clip)
        frames.append(video.read([index - clip.start + offset])[0])
    return caption, np.stack(frames), columns.spans(wanted, wanted[-1] + 1)
