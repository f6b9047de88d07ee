"""Reads episodes of any store at a model's size, rate and stride, with an optional cache of decoded frames."""

from __future__ import annotations

import mmap
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
        self._columns: dict[tuple[int, int], Columns] = {}
        if drop_null:
            scheme = load_game(drop_null).scheme()
            self._sources = [sources[~self._null(episode, scheme)] for episode, sources in enumerate(self._sources)]
        self._parts: list[list[Part]] = []
        number = 0
        for (_, episode), sources in zip(self._episodes, self._sources, strict=True):
            bounds = np.searchsorted(sources, [clip.start for clip in episode.clips] + [episode.num_frames])
            parts = []
            for clip, begin, end in zip(episode.clips, bounds, bounds[1:], strict=False):
                parts.append(Part(clip, number, int(begin), sources[begin:end] - clip.start))
                number += 1
            self._parts.append(parts)
        sizes = [len(part.rows) for parts in self._parts for part in parts]
        self._cache = FrameCache(sizes, (spec.height, spec.width, 3), cache_gib) if cache_gib > 0 else None

    @property
    def lengths(self) -> list[int]:
        """Number of model frames of each episode."""
        return [len(sources) for sources in self._sources]

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
            [self._read(episode, part, low, high) for part, low, high in self.parts(episode, start, stop)]
        )

    def parts(self, episode: int, start: int, stop: int) -> list[tuple[Part, int, int]]:
        """The clips that contain the model frames [start, stop), each with its wanted rows [low, high)."""
        found = []
        for part in self._parts[episode]:
            low, high = max(start - part.begin, 0), min(stop - part.begin, len(part.rows))
            if low < high:
                found.append((part, low, high))
        return found

    def columns(self, episode: int, start: int, stop: int) -> Columns:
        """Columns of the model frames [start, stop) of an episode."""
        sources, stored = self._sources[episode], self._episodes[episode][1]
        begin = int(sources[start])
        end = int(sources[stop]) if stop < len(sources) else stored.num_frames
        end = max(end, int(sources[stop - 1]) + 1)
        clips = [clip for clip in stored.clips if clip.start < end and clip.start + clip.frames > begin]
        known = Columns.join([self._columns_of(episode, clip) for clip in clips])
        origin = clips[0].start
        return known.spans(sources[start:stop] - origin, end - origin, self.mean_controls)

    def _null(self, episode: int, scheme: ControlScheme) -> np.ndarray:
        """Whether each model frame of an episode has no action and is not its first, bool."""
        columns = self.columns(episode, 0, len(self._sources[episode]))
        missing = [name for name in scheme.controls if name not in columns.controls]
        if missing:
            raise ValueError(
                f"drop_null {scheme.name} needs the controls {', '.join(missing)}, which episode {self.name(episode)} "
                f"lacks; it has {', '.join(columns.controls) or 'none'}"
            )
        controls = {name: torch.from_numpy(columns.controls[name]) for name in scheme.controls}
        return scheme.is_null(controls).numpy() & ~columns.first

    def _columns_of(self, episode: int, clip: Clip) -> Columns:
        key = (episode, clip.start)
        if key not in self._columns:
            self._columns[key] = self.store(episode).columns(clip)
        return self._columns[key]

    def _read(self, episode: int, part: Part, low: int, high: int) -> np.ndarray:
        if self._cache is not None and self._cache.holds(part.number):
            kept = self._cache.get(part.number)
            if kept is None:
                kept = self._decode(episode, part, 0, len(part.rows))
                self._cache.put(part.number, kept)
            return kept[low:high]
        return self._decode(episode, part, low, high)

    def _decode(self, episode: int, part: Part, low: int, high: int) -> np.ndarray:
        video, offset = self.store(episode).open(part.clip)
        return read_prepared(video, part.rows[low:high] + offset, self.spec)


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
