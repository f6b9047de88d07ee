"""The episodes that a page shows: of recordings, of videos with labels, of shards, of a LeRobot dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from racing_vpt.data.columns import Columns
from racing_vpt.data.label_files import read_labels
from racing_vpt.data.overview import kind_of
from racing_vpt.data.pairing import labels_by_video
from racing_vpt.exchange.footage import Footage
from racing_vpt.exchange.lerobot_files import INFO
from racing_vpt.exchange.lerobot_import import LeRobotEpisode, lerobot_episodes, read_lerobot_episode
from racing_vpt.exchange.options import ColumnMapping
from racing_vpt.exchange.outgoing import Outgoing, OutgoingRecording, OutgoingShards, outgoing_episodes
from racing_vpt.known_files import known_sha256


@dataclass(frozen=True)
class Content:
    """What a page shows of an episode.

    Args:
        footage: its frames.
        columns: controls as labelled or recorded, rewards, confidence.
        true: controls [T] by name that were really used; empty where they are not known, or are `columns` themselves.
        frames_per_second: rate; the mean of an uneven one.
        times: seconds of each frame, float64 [T], of an uneven rate; None: even.
    """

    footage: Footage
    columns: Columns
    true: dict[str, np.ndarray]
    frames_per_second: float
    times: np.ndarray | None = None


class Source(Protocol):
    """An episode to show, not yet read; can be pickled."""

    @property
    def name(self) -> str:
        """Its name; letters, digits, `-` and `_` only."""

    @property
    def video_sha256(self) -> str | None:
        """Of its video; None if it has none of its own."""

    @property
    def origin(self) -> Mapping[str, object]:
        """What identifies its frames, JSON values."""

    @property
    def about(self) -> Mapping[str, object]:
        """Who made it, with what, JSON values."""

    def read(self) -> Content:
        """Read its columns, and open its frames."""


@dataclass(frozen=True)
class OwnSource:
    """A recording, a video with labels, or an episode of shards.

    Args:
        episode: the episode.
        truth: file of the true controls; None: a recording's own, where labels replace them.
    """

    episode: Outgoing
    truth: Path | None = None

    @property
    def name(self) -> str:
        """Name of the episode."""
        return self.episode.name

    @property
    def video_sha256(self) -> str | None:
        """Of the recording's video, also where shards were packed from it."""
        if isinstance(self.episode, OutgoingShards):
            known = (self.episode.store.manifest["episodes"].get(self.name) or {}).get("video_sha256")
            return None if known is None else str(known)
        return str(self.episode.origin["video_sha256"])

    @property
    def origin(self) -> Mapping[str, object]:
        """Checksum of the video, or of the shards and the episode's name."""
        own = {name: value for name, value in self.episode.origin.items() if name != "lines_sha256"}
        return {**own, "episode": self.name} if "shards_sha256" in own else own

    @property
    def about(self) -> Mapping[str, object]:
        """Fields of the meta file, or of the manifest."""
        return self.episode.about

    def read(self) -> Content:
        """Read its columns, and open its frames; ValueError where the truth is of other frames."""
        columns, footage = self.episode.columns(), self.episode.footage()
        own: Columns | None = None
        if self.truth is not None:
            own = Columns.of_records(read_labels(self.truth)[0])
        elif isinstance(self.episode, OutgoingRecording) and self.episode.paired.labels is not None:
            recording = self.episode.paired.recording
            own = Columns.of_records(recording.records()) if recording.has_actions else None
        true = {} if own is None else own.controls
        for name, column in true.items():
            if len(column) != footage.num_frames:
                raise ValueError(
                    f"the true {name} of {self.name} ({self.truth}) is of {len(column)} frames, but "
                    f"{footage.num_frames} are shown; give the truth of these frames, or leave out --truth"
                )
        if own is not None and columns.reward is None:
            columns = replace(columns, reward=own.reward)
        return Content(footage, columns, true, self.episode.frames_per_second, self.episode.times())


@dataclass(frozen=True)
class LeRobotSource:
    """An episode of a LeRobot dataset."""

    episode: LeRobotEpisode
    mapping: ColumnMapping

    @property
    def name(self) -> str:
        """Name of the episode."""
        return self.episode.name

    @property
    def video_sha256(self) -> None:
        """None: its video holds other episodes as well."""

    @property
    def origin(self) -> Mapping[str, object]:
        """Checksum of the file, and the frames in it."""
        part = [self.episode.start, self.episode.length]
        return {"video_sha256": known_sha256(self.episode.video), "frames": part}

    @property
    def about(self) -> Mapping[str, object]:
        """What the dataset's writer knew of it."""
        return self.episode.about

    def read(self) -> Content:
        """Read its columns, and open its frames."""
        read = read_lerobot_episode(self.episode, self.mapping)
        return Content(read.footage, read.columns, {}, read.frames_per_second, read.times)


def sources_of(folder: Path, labels: Path | None, truth: Path | None, camera: str | None) -> Sequence[Source]:
    """The episodes to show of a folder.

    Args:
        folder: of recordings or videos, of shards, or a LeRobot dataset; or a single video.
        labels: folder of labels of the videos; only videos that are labelled there are shown.
        truth: folder of the true controls of the videos.
        camera: key of the video of a LeRobot dataset with several.

    Raises:
        FileNotFoundError: there is nothing to show.
        ValueError: it is a folder of labels, or labels are given where they cannot be used.
    """
    if (folder / INFO).is_file():
        if labels is not None or truth is not None:
            raise ValueError(f"{folder} is a LeRobot dataset, which has its controls; leave out --labels and --truth")
        return [LeRobotSource(episode, ColumnMapping()) for episode in lerobot_episodes(folder, camera)]
    if camera is not None:
        raise ValueError(f"--camera {camera} chooses a video of a LeRobot dataset, but {folder} is none: no {INFO}")
    known = labels_by_video(truth) if truth is not None else {}
    try:
        sources = [OwnSource(episode) for episode in outgoing_episodes(folder, labels)]
    except FileNotFoundError:
        if folder.exists() and labels is None and kind_of(str(folder)) == "labels":
            raise ValueError(
                f"{folder} holds labels without video; give the videos' folder, and --labels {folder}"
            ) from None
        raise
    if truth is None:
        return sources
    told = [OwnSource(one.episode, known.get(one.video_sha256 or "", (None,))[0]) for one in sources]
    if not any(one.truth for one in told):
        raise FileNotFoundError(
            f"none of the {len(known)} files in {truth} has the true controls of one of the {len(told)} episodes in "
            f"{folder} (they are paired by the video's sha256)"
        )
    return told
