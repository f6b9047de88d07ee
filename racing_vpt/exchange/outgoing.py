"""Episodes to export: recordings with their controls, videos with an IDM's labels, or shards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from racing_vpt.data.columns import Columns
from racing_vpt.data.manifest import MANIFEST, read_manifest
from racing_vpt.data.origin import ORIGIN, carried, origin_of_labels
from racing_vpt.data.pairing import PairedRecording, pair_recordings
from racing_vpt.data.shards import ShardStore
from racing_vpt.data.store import StoredEpisode
from racing_vpt.exchange.footage import ClipFootage, Footage, PictureFootage, VideoFootage
from racing_vpt.known_files import known_sha256

CARRIED = ("environment", "seed", "agent", "lap_finished", "score", *ORIGIN)  # fields of a meta file that go along


class Outgoing(Protocol):
    """An episode to export."""

    @property
    def name(self) -> str:
        """Its name; letters, digits, `-` and `_` only."""

    @property
    def num_frames(self) -> int:
        """Number of frames."""

    @property
    def frames_per_second(self) -> float:
        """Rate; the mean of an uneven one."""

    @property
    def origin(self) -> dict[str, object]:
        """What identifies its content, JSON values."""

    @property
    def about(self) -> dict[str, object]:
        """Who drove what, and where the controls come from, JSON values."""

    @property
    def inputs(self) -> list[Path]:
        """The files that it is read from."""

    def times(self) -> np.ndarray | None:
        """Seconds from the first frame on, float64 [T], of an uneven rate; None: even."""

    def columns(self) -> Columns:
        """Controls, rewards and flags."""

    def footage(self) -> Footage:
        """Its frames, once they were checked."""


@dataclass(frozen=True)
class OutgoingRecording:
    """A recording, or a video with labels.

    Args:
        paired: the recording.
        stated: licence and author of one that states none.
    """

    paired: PairedRecording
    stated: Mapping[str, object] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the episode."""
        return self.paired.name

    @property
    def num_frames(self) -> int:
        """Number of frames."""
        return self.paired.recording.num_frames

    @property
    def frames_per_second(self) -> float:
        """Rate of the video."""
        return self.paired.recording.frames_per_second

    @property
    def inputs(self) -> list[Path]:
        """Video and lines."""
        lines = self.paired.labels or self.paired.recording.lines
        return [self.paired.recording.video, *([lines] if lines else [])]

    @property
    def origin(self) -> dict[str, object]:
        """Checksums of video and lines."""
        _, *lines = self.inputs
        return {"video_sha256": self.paired.recording.sha256, "lines_sha256": [known_sha256(file) for file in lines]}

    @property
    def about(self) -> dict[str, object]:
        """Fields of the meta file that go along."""
        meta = self.paired.recording.meta
        known = {name: meta[name] for name in CARRIED if name in meta} | {"actions_from": self.paired.actions_from}
        known |= {"labels": origin_of_labels(self.paired.labels)} if self.paired.labels else {}
        return known | carried(known, self.stated)

    def times(self) -> np.ndarray | None:
        """Times of a variable rate."""
        return self.paired.recording.times if self.paired.recording.uneven else None

    def columns(self) -> Columns:
        """Controls, rewards and flags."""
        return self.paired.columns()

    def footage(self) -> Footage:
        """The video, or the folder of pictures."""
        recording = self.paired.recording
        if recording.video.is_dir():
            return PictureFootage(recording.open_video(), tuple(sorted(recording.video.glob("*.png"))))
        recording.check()
        return VideoFootage(recording.video, 0, recording.num_frames)


@dataclass(frozen=True)
class OutgoingShards:
    """An episode of shards.

    Args:
        store: the shards.
        stored: the episode.
        stated: licence and author of one that states none.
    """

    store: ShardStore
    stored: StoredEpisode
    stated: Mapping[str, object] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the episode."""
        return self.stored.name

    @property
    def num_frames(self) -> int:
        """Number of frames."""
        return self.stored.num_frames

    @property
    def frames_per_second(self) -> float:
        """Rate of the clips."""
        return self.stored.frames_per_second

    @property
    def inputs(self) -> list[Path]:
        """The manifest."""
        return [Path(self.store.path) / MANIFEST]

    @property
    def origin(self) -> dict[str, object]:
        """Checksums of the shards."""
        return {"shards_sha256": [shard.sha256 for shard in self.store.shards]}

    @property
    def about(self) -> dict[str, object]:
        """What the manifest says of the episode."""
        about = self.store.manifest["episodes"].get(self.name) or {}
        known = {name: about[name] for name in (*CARRIED, "actions_from", "labels") if name in about}
        return known | carried(known, self.stated)

    def times(self) -> np.ndarray | None:
        """None: the rate of shards is even."""
        return None

    def columns(self) -> Columns:
        """Controls, rewards and flags."""
        return Columns.join([self.store.columns(clip) for clip in self.stored.clips])

    def footage(self) -> Footage:
        """The clips."""
        return ClipFootage(self.store, self.stored.clips)


def outgoing_episodes(
    folder: Path, labels: Path | None = None, stated: Mapping[str, object] | None = None
) -> Sequence[Outgoing]:
    """The episodes of a folder of recordings, of videos with labels, or of shards, in a fixed order.

    Raises:
        FileNotFoundError: there are none.
        ValueError: they are damaged, or `labels` are given for shards.
    """
    if not (folder / MANIFEST).is_file():
        return [OutgoingRecording(paired, stated or {}) for paired in pair_recordings(folder, labels)]
    if labels is not None:
        raise ValueError(f"{folder} holds shards, which have their controls; leave out --labels")
    found: list[Outgoing] = []
    for split in sorted(read_manifest(str(folder))["splits"]):
        store = ShardStore(str(folder), split)
        found += [OutgoingShards(store, stored, stated or {}) for stored in store.episodes]
    return found
