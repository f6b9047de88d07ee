"""Videos in overlapping windows, for labelling them: each frame is decoded once, and memory does not grow with length.

A model that sees past and future knows least at the two ends of a window; so windows overlap and only the middle of
each is kept. `keep` of all windows of a video cover it exactly once, and `source_frames` of all windows name every
frame of the source video exactly once, whatever its rate and length.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from racing_vpt.data.decode import Decoder, Device, nearest, open_video, resample
from racing_vpt.data.decoders import Video
from racing_vpt.data.files import TEMPORARY, sha256_of
from racing_vpt.data.recording import VIDEO_SUFFIXES
from racing_vpt.frames import prepare
from racing_vpt.types import Batch, FrameSpec


@dataclass
class PredictWindow:
    """One window of a video, or the news that the video cannot be read.

    Args:
        name: the video's name: its path below the folder given, without suffix. Labels go to `OUT/name.jsonl`.
        video: the file.
        sha256: hexadecimal, of the file.
        num_frames: frames in the source video: the number of labels due.
        frames_per_second: of the source video.
        keep: rows [start, stop) of this window whose predictions count.
        source_frames: int64 [M], the frames of the source video that this window labels, rising without gaps.
        source_rows: int64 [M], the row of this window whose prediction each of them gets (`keep[0] <= row < keep[1]`).
        source_timestamps: float64 [M], their times in seconds.
        last: this is the video's last window, so that its labels are complete.
        error: why the video was given up; then there is nothing to keep, and what came of it before should be dropped.
        frames: uint8 [T, H, W, 3], as the model wants them; empty once they are in a `PredictBatch`.
        valid: bool [T], false where the video is shorter than a window.
    """

    name: str
    video: Path
    sha256: str
    num_frames: int
    frames_per_second: float
    keep: tuple[int, int]
    source_frames: np.ndarray
    source_rows: np.ndarray
    source_timestamps: np.ndarray
    last: bool
    error: str | None
    frames: np.ndarray
    valid: np.ndarray


@dataclass
class PredictBatch(Batch):
    """A `Batch` without controls whose row i is `windows[i]`; windows of several videos may alternate.

    A row whose window has an `error` is all padding; its prediction is to be ignored.
    """

    windows: list[PredictWindow] = field(default_factory=list)


def find_videos(videos: str | Sequence[str]) -> dict[str, Path]:
    """Video files by unique name, sorted, of a folder (and all below), a file, a glob, or several of these."""
    found: dict[str, Path] = {}
    for pattern in [videos] if isinstance(videos, str) else videos:
        root = Path(pattern)
        if root.is_dir():
            files = [file for file in root.rglob("*") if file.suffix.lower() in VIDEO_SUFFIXES]
        else:
            files = [Path(file) for file in glob.glob(pattern, recursive=True)]
            files = [file for file in files if file.is_file()]
            root = Path(os.path.commonpath([file.parent for file in files])) if files else root
        files = sorted(file for file in files if not file.name.startswith(TEMPORARY))
        if not files:
            suffixes = ", ".join(sorted(VIDEO_SUFFIXES))
            raise FileNotFoundError(f"no videos match {pattern}; a folder or a glob of {suffixes} was expected")
        for file in files:
            name = str(file.relative_to(root).with_suffix(""))
            if name in found and found[name] != file:
                name = str(file.relative_to(root)).replace(".", "_")
            if name in found and found[name] != file:
                raise ValueError(f"{found[name]} and {file} would share the label file {name}.jsonl; label them apart")
            found[name] = file
    return dict(sorted(found.items()))


def windows_of(
    name: str,
    path: Path,
    spec: FrameSpec,
    window: int = 128,
    stride: int = 64,
    decoder: Decoder = "auto",
    device: Device = "cpu",
) -> Iterator[PredictWindow]:
    """The windows of one video in order; of a bad video, those up to its fault and then one with an `error`.

    Args:
        name: name of the video.
        path: the file.
        spec: what the model wants to see; the video is resampled to its rate by time stamps.
        window: frames in a window.
        stride: frames from one window to the next.
        decoder: which library decodes.
        device: where it decodes.
    """
    if not 0 < stride <= window:
        raise ValueError(f"windows of {window} frames need a stride of 1 to {window}, but {stride} was given")
    empty = np.zeros((window, spec.height, spec.width, 3), np.uint8)
    none = np.zeros(0, np.int64)
    try:
        digest = sha256_of(path)
        video = open_video(path, decoder, device)
        yield from _windows(name, path, digest, video, spec, window, stride)
    except (ValueError, OSError, MemoryError) as error:
        yield PredictWindow(
            name, path, "", 0, 0.0, (0, 0), none, none, none * 0.0, True, str(error), empty, np.zeros(window, bool)
        )


def _windows(
    name: str, path: Path, digest: str, video: Video, spec: FrameSpec, window: int, stride: int
) -> Iterator[PredictWindow]:
    full = resample(video.timestamps, spec.frames_per_second)
    shown = full[:: spec.stride]  # source frame of each of the model's frames
    if len(full) == video.num_frames and np.array_equal(full, np.arange(len(full))):
        labelled_by = full
    else:
        labelled_by = nearest(np.arange(len(full)) / spec.frames_per_second, video.timestamps)
    labelled_by = np.minimum(labelled_by // spec.stride, len(shown) - 1)  # model frame that labels each source frame
    margin = (window - stride) // 2
    held = np.zeros((0, spec.height, spec.width, 3), np.uint8)  # the frames [held_from, held_from + len(held))
    held_from, kept = 0, 0
    while kept < len(shown):
        start = max(0, min(kept - margin, len(shown) - window))  # windows at the ends are moved inwards, not padded
        stop = min(start + window, len(shown))
        fresh = shown[held_from + len(held) : stop]
        held = np.concatenate([held[start - held_from :], prepare(video.read(fresh), spec)])
        held_from = start
        last = stop == len(shown)
        keep_to = len(shown) if last else stop - (window - stride - margin)
        sources = np.arange(*np.searchsorted(labelled_by, [kept, keep_to]))
        padding = np.zeros((window - len(held), *held.shape[1:]), np.uint8)
        yield PredictWindow(
            name=name,
            video=path,
            sha256=digest,
            num_frames=video.num_frames,
            frames_per_second=video.frames_per_second,
            keep=(kept - start, keep_to - start),
            source_frames=sources,
            source_rows=labelled_by[sources] - start,
            source_timestamps=video.timestamps[sources],
            last=last,
            error=None,
            frames=np.concatenate([held, padding]) if len(padding) else held,
            valid=np.arange(window) < len(held),
        )
        kept = keep_to


def collate_windows(windows: list[PredictWindow]) -> PredictBatch:
    """Windows of equal length as one batch: frames uint8 [B, T, H, W, 3]."""
    frames = torch.from_numpy(np.stack([window.frames for window in windows]))
    valid = torch.from_numpy(np.stack([window.valid for window in windows]))
    first = torch.zeros_like(valid)
    for row, window in enumerate(windows):
        first[row, 0] = bool((window.source_frames[:1] == 0).any())
        window.frames = window.frames[:0]
    ids = [f"{window.name}:{window.source_frames[0] if len(window.source_frames) else 0}" for window in windows]
    return PredictBatch(frames, {}, first, valid, valid.float(), ids=ids, windows=windows)


class WindowDataset(IterableDataset[PredictBatch]):
    """Batches of windows of many videos; ranks and workers take different videos.

    Args:
        videos: video files by name.
        spec: what the model wants to see.
        batch_size: windows in a batch.
        window: frames in a window.
        stride: frames from one window to the next.
        rank: of this process.
        world_size: number of processes.
        decoder: which library decodes.
        device: where it decodes.
    """

    def __init__(
        self,
        videos: Mapping[str, Path],
        spec: FrameSpec,
        batch_size: int = 4,
        window: int = 128,
        stride: int = 64,
        rank: int = 0,
        world_size: int = 1,
        decoder: Decoder = "auto",
        device: Device = "cpu",
    ) -> None:
        self.videos = dict(list(videos.items())[rank::world_size])
        self.spec, self.batch_size, self.window, self.stride = spec, batch_size, window, stride
        self.decoder, self.device = decoder, device

    def __iter__(self) -> Iterator[PredictBatch]:
        worker = get_worker_info()
        mine = list(self.videos.items())[worker.id :: worker.num_workers] if worker else list(self.videos.items())
        waiting: list[PredictWindow] = []
        for name, path in mine:
            for item in windows_of(name, path, self.spec, self.window, self.stride, self.decoder, self.device):
                waiting.append(item)
                if len(waiting) == self.batch_size:
                    yield collate_windows(waiting)
                    waiting = []
        if waiting:
            yield collate_windows(waiting)
