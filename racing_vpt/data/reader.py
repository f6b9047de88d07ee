"""Reads episodes of any store at a model's size, rate and stride, with an optional cache of decoded frames."""

from __future__ import annotations

import mmap
from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
import torch

from racing_vpt.data.columns import Columns
from racing_vpt.data.store import Clip, Store, StoredEpisode
from racing_vpt.games.controls import ControlScheme
from racing_vpt.games.read import load_game
from racing_vpt.types import FrameSpec
from racing_vpt.video.decode import read_prepared, resample


@dataclass(frozen=True)
class Part:
    """A run of a model's frames within one clip."""

    clip: Clip
    number: int  # of the clip, among all clips of a reader
    begin: int  # number of the clip's first model frame
    rows: np.ndarray  # int64: indices in the clip of the model's frames begin, begin + 1, ...


class EpisodeReader:
    """Reads any range of frames of any episode.

    Args:
        stores: stores of the episodes.
        spec: the model's input frames.
        mean_controls: with a stride, average the controls over the frames that a model frame stands for.
        cache_gib: memory for decoded frames in GiB, shared by forked workers. The first clips that fit are kept.
        drop_null: name or file of a game: frames without any of its controls are removed from their episodes as if
            they had not been recorded, except an episode's first.
    """

    def __init__(
        self,
        stores: list[Store],
        spec: FrameSpec,
        mean_controls: bool = False,
        cache_gib: float = 0.0,
        drop_null: str | None = None,
    ) -> None:
        if drop_null and mean_controls:
            raise ValueError("drop_null joins frames that are not consecutive, so mean_controls must be false")
        self.spec, self.mean_controls = spec, mean_controls
        self._episodes = [(store, episode) for store in stores for episode in store.episodes]
        self._sources = [_sources(episode, spec) for _, episode in self._episodes]
        self._columns: dict[int, Columns] = {}  # by number of the part
        if drop_null:
            scheme = load_game(drop_null).scheme()
            self._sources = [sources[~self._null(episode, scheme)] for episode, sources in enumerate(self._sources)]
        self.lengths = [len(sources) for sources in self._sources]  # number of model frames of each episode
        self._parts: list[list[Part]] = []
        self._begins: list[list[int]] = []  # number of each part's first model frame
        number = 0
        for (_, episode), sources in zip(self._episodes, self._sources, strict=True):
            bounds = np.searchsorted(sources, [clip.start for clip in episode.clips] + [episode.num_frames])
            parts = []
            for clip, begin, end in zip(episode.clips, bounds, bounds[1:], strict=False):
                parts.append(Part(clip, number, int(begin), sources[begin:end] - clip.start))
                number += 1
            self._parts.append(parts)
            self._begins.append([part.begin for part in parts])
        sizes = [len(part.rows) for parts in self._parts for part in parts]
        self._cache = FrameCache(sizes, (spec.height, spec.width, 3), cache_gib) if cache_gib > 0 else None

    def name(self, episode: int) -> str:
        """Name of an episode."""
        return self._episodes[episode][1].name

    def finished(self, episode: int) -> bool:
        """Whether the episode is known to have finished its lap."""
        return self._episodes[episode][1].finished

    def recorded_size(self, episode: int) -> tuple[int, int]:
        """Height and width of an episode's stored frames in pixels."""
        video, offset = self.store(episode).open(self._parts[episode][0].clip)
        height, width, _ = video.read([offset])[0].shape
        return height, width

    def times(self, episode: int, start: int, stop: int) -> np.ndarray:
        """Times of the model frames [start, stop) of an episode, float64 [T], seconds since its start."""
        if self.spec.every_frame:
            return self._episodes[episode][1].times[self._sources[episode][start:stop]]
        return np.arange(start, stop) * self.spec.stride / self.spec.frames_per_second

    def store(self, episode: int) -> Store:
        """Store of an episode."""
        return self._episodes[episode][0]

    def frames(self, episode: int, start: int, stop: int) -> np.ndarray:
        """The model frames [start, stop) of an episode, uint8 [T, H, W, 3]."""
        return np.concatenate(
            [self._read(episode, part, slice(low, high)) for part, low, high in self.parts(episode, start, stop)]
        )

    def frames_at(self, episode: int, numbers: np.ndarray) -> np.ndarray:
        """The model frames of these increasing numbers int64 [N] of an episode, uint8 [N, H, W, 3]."""
        read, parts = [], self.parts(episode, int(numbers[0]), int(numbers[-1]) + 1)
        for part, _, _ in parts:
            rows = numbers - part.begin
            if len(parts) > 1:
                rows = rows[(rows >= 0) & (rows < len(part.rows))]
            if len(rows):
                read.append(self._read(episode, part, rows))
        return read[0] if len(read) == 1 else np.concatenate(read)

    def parts(self, episode: int, start: int, stop: int) -> list[tuple[Part, int, int]]:
        """The clips that contain the model frames [start, stop), each with its wanted rows [low, high)."""
        found, parts = [], self._parts[episode]
        for part in parts[max(0, bisect_right(self._begins[episode], start) - 1) :]:
            low, high = max(start - part.begin, 0), min(stop - part.begin, len(part.rows))
            if part.begin >= stop:
                break
            if low < high:
                found.append((part, low, high))
        return found

    def columns(self, episode: int, start: int, stop: int) -> Columns:
        """Columns of the model frames [start, stop) of an episode."""
        return Columns.join(
            [self._columns_of(episode, part)[low:high] for part, low, high in self.parts(episode, start, stop)]
        )

    def _columns_of(self, episode: int, part: Part) -> Columns:
        """Columns of the model frames of a part."""
        if part.number not in self._columns:
            self._columns[part.number] = self._spans(episode, part.begin, part.begin + len(part.rows))
        return self._columns[part.number]

    def _spans(self, episode: int, start: int, stop: int) -> Columns:
        """Columns of the model frames [start, stop), each of all stored frames that it stands for."""
        sources, stored = self._sources[episode], self._episodes[episode][1]
        begin = int(sources[start])
        end = int(sources[stop]) if stop < len(sources) else stored.num_frames
        end = max(end, int(sources[stop - 1]) + 1)
        clips = [clip for clip in stored.clips if clip.start < end and clip.start + clip.frames > begin]
        known = Columns.join([self.store(episode).columns(clip) for clip in clips])
        origin = clips[0].start
        return known.spans(sources[start:stop] - origin, end - origin, self.mean_controls)

    def _null(self, episode: int, scheme: ControlScheme) -> np.ndarray:
        """Whether each model frame of an episode has no action and is not its first, bool."""
        columns = self._spans(episode, 0, len(self._sources[episode]))
        missing = [name for name in scheme.controls if name not in columns.controls]
        if missing:
            raise ValueError(
                f"drop_null {scheme.name} needs the controls {', '.join(missing)}, which episode {self.name(episode)} "
                f"lacks; it has {', '.join(columns.controls) or 'none'}"
            )
        controls = {name: torch.from_numpy(columns.controls[name]) for name in scheme.controls}
        return scheme.is_null(controls).numpy() & ~columns.first

    def _read(self, episode: int, part: Part, rows: slice | np.ndarray) -> np.ndarray:
        if self._cache is not None and self._cache.holds(part.number):
            kept = self._cache.get(part.number)
            if kept is None:
                kept = self._decode(episode, part, slice(None))
                self._cache.put(part.number, kept)
            return kept[rows]
        return self._decode(episode, part, rows)

    def _decode(self, episode: int, part: Part, rows: slice | np.ndarray) -> np.ndarray:
        video, offset = self.store(episode).open(part.clip)
        return read_prepared(video, part.rows[rows] + offset, self.spec)


class FrameCache:
    """Cache of decoded clips in memory shared by forked workers, each of which adds the clips that it decodes.

    Args:
        sizes: number of frames of each clip.
        shape: shape of a frame.
        gib: maximum memory; the first clips that fit are kept.
    """

    def __init__(self, sizes: list[int], shape: tuple[int, int, int], gib: float) -> None:
        self.shape = shape
        frame = int(np.prod(shape))
        ends = np.cumsum(sizes)
        self.num_clips = int((ends * frame <= gib * 2**30).sum())
        self._ends = ends[: self.num_clips]
        self._begins = self._ends - np.array(sizes[: self.num_clips], np.int64)
        total = int(self._ends[-1]) if self.num_clips else 0
        self._frames = np.frombuffer(mmap.mmap(-1, max(1, total * frame)), np.uint8)[: total * frame]
        self._frames = self._frames.reshape(total, *shape)
        self._filled = np.frombuffer(mmap.mmap(-1, max(1, self.num_clips)), np.uint8)

    def holds(self, clip: int) -> bool:
        """Whether the cache has room for a clip."""
        return clip < self.num_clips

    def get(self, clip: int) -> np.ndarray | None:
        """The frames of a clip, or None if it was not decoded yet."""
        return self._frames[self._begins[clip] : self._ends[clip]] if self._filled[clip] else None

    def put(self, clip: int, frames: np.ndarray) -> None:
        """Store the frames of a clip. Two workers that do so at the same time write the same bytes."""
        self._frames[self._begins[clip] : self._ends[clip]] = frames
        self._filled[clip] = 1


def _sources(episode: StoredEpisode, spec: FrameSpec) -> np.ndarray:
    if spec.every_frame:
        return np.arange(episode.num_frames)[:: spec.stride]
    return resample(episode.times, spec.frames_per_second)[:: spec.stride]
