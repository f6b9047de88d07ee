"""Batches of windows of videos (`windows.py`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from racing_vpt.data.windows import PredictWindow, windows_of
from racing_vpt.types import Batch, FrameSpec
from racing_vpt.video.decode import Decoder, Device


@dataclass
class PredictBatch(Batch):
    """A `Batch` without controls whose row i is `windows[i]`; windows of several videos may be mixed.

    A row whose window has an `error` is all padding; its prediction is meaningless.
    """

    windows: list[PredictWindow] = field(default_factory=list)


def collate_windows(windows: list[PredictWindow]) -> PredictBatch:
    """Join windows of equal length to a batch: frames uint8 [B, T, H, W, 3]."""
    frames = torch.from_numpy(np.stack([window.frames for window in windows]))
    valid = torch.from_numpy(np.stack([window.valid for window in windows]))
    first = torch.zeros_like(valid)
    for row, window in enumerate(windows):
        first[row, 0] = bool((window.source_frames[:1] == 0).any())
        window.frames = window.frames[:0]
    ids = [f"{window.name}:{window.source_frames[0] if len(window.source_frames) else 0}" for window in windows]
    times = torch.from_numpy(np.stack([window.times for window in windows])).float()
    return PredictBatch(frames, {}, first, valid, valid.float(), ids=ids, windows=windows, times=times)


class WindowDataset(IterableDataset[PredictBatch]):
    """Batches of windows of many videos; each rank and worker takes different videos.

    Args:
        videos: video files by name.
        spec: the model's input frames.
        batch_size: windows per batch.
        window: frames per window.
        stride: frames from one window to the next.
        rank: rank of this process.
        world_size: number of processes.
        decoder: decoding library.
        device: decoding device.
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
