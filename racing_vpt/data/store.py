"""Stores of clips: shards (`shards.py`), or a plain folder of recordings."""

from __future__ import annotations

import os
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from racing_vpt.data.columns import Columns
from racing_vpt.data.pairing import PairedRecording
from racing_vpt.video.decode import Decoder
from racing_vpt.video.decoders import Video
from racing_vpt.video.encode import MAX_GROUP

OPEN_VIDEOS = 8  # open readers per process


@dataclass(frozen=True)
class Clip:
    """Part of an episode that is decoded together: frames [start, start + frames); `handle` is the store's own."""

    start: int
    frames: int
    handle: int


@dataclass(frozen=True)
class StoredEpisode:
    """An episode as its clips in order.

    Args:
        name: name of the episode.
        frames_per_second: frame rate; the mean for a variable rate.
        clips: clips in order.
        finished: whether the lap is known to be finished, so that the episode terminated.
        uneven_times: time of each frame in seconds, float64 [T], for a variable rate; None: constant rate.
    """

    name: str
    frames_per_second: float
    clips: tuple[Clip, ...]
    finished: bool = False
    uneven_times: np.ndarray | None = None

    @property
    def times(self) -> np.ndarray:
        """Time of each frame, float64 [T], seconds since the start."""
        even = np.arange(self.num_frames) / self.frames_per_second
        return even if self.uneven_times is None else self.uneven_times

    @property
    def num_frames(self) -> int:
        """Number of frames."""
        return self.clips[-1].start + self.clips[-1].frames

    def check(self, where: str) -> None:
        """Raise ValueError if there is a gap between clips."""
        expected = 0
        for clip in self.clips:
            if clip.start != expected:
                raise ValueError(f"{where}: episode {self.name} lacks frames {expected} to {clip.start}; pack it again")
            expected += clip.frames


class Store(Protocol):
    """Interface of a store."""

    episodes: list[StoredEpisode]

    def columns(self, clip: Clip) -> Columns:
        """Columns of a clip."""

    def open(self, clip: Clip) -> tuple[Video, int]:
        """A video that contains the clip, open for reading, and the index of the clip's first frame in it."""

    def encoded(self, clip: Clip) -> bytes:
        """An mp4 of the clip, for decoding on a GPU."""


class RecordingStore:
    """Episodes read straight from recordings.

    Args:
        episodes: the recordings, with their controls.
        decoder: decoding library.
    """

    def __init__(self, episodes: list[PairedRecording], decoder: Decoder = "auto") -> None:
        self.decoder = decoder
        self._sources = episodes
        self._columns: dict[int, Columns] = {}
        self._videos: OrderedDict[tuple[int, int], Video] = OrderedDict()  # open videos by process and episode
        self._clips: list[tuple[int, Clip]] = []
        self.episodes = [self._cut(number, episode) for number, episode in enumerate(episodes)]

    def _cut(self, number: int, episode: PairedRecording) -> StoredEpisode:
        clips = []
        episode.recording.check()
        for start in range(0, episode.recording.num_frames, MAX_GROUP):
            frames = min(MAX_GROUP, episode.recording.num_frames - start)
            clips.append(Clip(start, frames, len(self._clips)))
            self._clips.append((number, clips[-1]))
        finished = episode.recording.meta.get("lap_finished") is True
        uneven = episode.recording.times if episode.recording.uneven else None
        return StoredEpisode(episode.name, episode.recording.frames_per_second, tuple(clips), finished, uneven)

    def columns(self, clip: Clip) -> Columns:
        """Columns of a clip."""
        number, _ = self._clips[clip.handle]
        if number not in self._columns:
            self._columns[number] = self._sources[number].columns()
        return self._columns[number][clip.start : clip.start + clip.frames]

    def open(self, clip: Clip) -> tuple[Video, int]:
        """The recording's video; a few stay open in each process."""
        number, _ = self._clips[clip.handle]
        key = (os.getpid(), number)
        if key not in self._videos:
            self._videos[key] = self._sources[number].recording.open_video(self.decoder)
            if len(self._videos) > OPEN_VIDEOS:
                self._videos.popitem(last=False)
        self._videos.move_to_end(key)
        return self._videos[key], clip.start

    def encoded(self, clip: Clip) -> bytes:
        """Unsupported for plain recordings."""
        folder = self._sources[self._clips[clip.handle][0]].recording.video.parent
        raise ValueError(
            f"clips of plain recordings are not decoded on a GPU; use device cpu, or pack {folder} with: "
            f"racing-vpt pack --recordings {folder} --out {Path('data/shards')}"
        )

    def __getstate__(self) -> dict:
        return {**vars(self), "_videos": OrderedDict()}
