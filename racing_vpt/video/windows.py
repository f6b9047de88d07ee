"""Cuts a video into overlapping windows; each frame is decoded once, whatever the length of the video."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from racing_vpt.types import FrameSpec
from racing_vpt.video.decode import nearest_frames, padded_times, read_prepared, resample
from racing_vpt.video.decoders import Video


@dataclass(kw_only=True)
class CutWindow:
    """A window of a video.

    Args:
        num_frames: number of frames of the source video, and of its labels.
        frames_per_second: frame rate of the source video.
        portrait: whether a picture that is taller than wide is stretched to one that is not.
        keep: rows [start, stop) of this window whose predictions count.
        source_frames: int64 [M], the source frames labelled by this window, consecutive.
        source_rows: int64 [M], the window's row whose prediction each of them gets (`keep[0] <= row < keep[1]`).
        source_timestamps: float64 [M], their times in seconds.
        last: whether this is the video's last window, after which its labels are complete.
        frames: uint8 [T, H, W, 3], prepared for the model; empty once they are in a `PredictBatch`.
        valid: bool [T], false for padding of a video shorter than a window.
        times: float64 [T], seconds since the window's first frame, also increasing in the padding.
    """

    num_frames: int
    frames_per_second: float
    portrait: bool
    keep: tuple[int, int]
    source_frames: np.ndarray
    source_rows: np.ndarray
    source_timestamps: np.ndarray
    last: bool
    frames: np.ndarray
    valid: np.ndarray
    times: np.ndarray


def cut_windows(video: Video, spec: FrameSpec, window: int, stride: int) -> Iterator[CutWindow]:
    """The windows of a video, whose frames are read in increasing order; ValueError describes a fault of the video."""
    step = spec.stride / spec.frames_per_second
    full = np.arange(video.num_frames)
    if not spec.every_frame:
        full = resample(video.timestamps, spec.frames_per_second)
    shown = full[:: spec.stride]  # source frame of each of the model's frames
    if len(full) == video.num_frames and np.array_equal(full, np.arange(len(full))):
        labelled_by = full
    else:
        labelled_by = nearest_frames(np.arange(len(full)) / spec.frames_per_second, video.timestamps)
    labelled_by = np.minimum(labelled_by // spec.stride, len(shown) - 1)  # model frame that labels each source frame
    margin = (window - stride) // 2
    held = np.zeros((0, spec.height, spec.width, 3), np.uint8)  # the frames [held_from, held_from + len(held))
    held_from, kept = 0, 0
    while kept < len(shown):
        start = max(
            0, min(kept - margin, len(shown) - window)
        )  # windows at the ends are shifted inwards instead of padded
        stop = min(start + window, len(shown))
        fresh = shown[held_from + len(held) : stop]
        held = np.concatenate([held[start - held_from :], read_prepared(video, fresh, spec)])
        held_from = start
        last = stop == len(shown)
        keep_to = len(shown) if last else stop - (window - stride - margin)
        times = video.timestamps[shown[start:stop]] if spec.every_frame else step * np.arange(start, stop)
        sources = np.arange(*np.searchsorted(labelled_by, [kept, keep_to]))
        padding = np.zeros((window - len(held), *held.shape[1:]), np.uint8)
        yield CutWindow(
            num_frames=video.num_frames,
            frames_per_second=video.frames_per_second,
            portrait=video.height > video.width and spec.height <= spec.width,
            keep=(int(kept - start), int(keep_to - start)),
            source_frames=sources,
            source_rows=labelled_by[sources] - start,
            source_timestamps=video.timestamps[sources],
            last=last,
            frames=np.concatenate([held, padding]) if len(padding) else held,
            valid=np.arange(window) < len(held),
            times=padded_times(times, window, step),
        )
        kept = keep_to
