"""Data module for `predict`: overlapping windows of videos to label."""

from __future__ import annotations

from pathlib import Path

import lightning.pytorch as pl
from torch.utils.data import DataLoader

from racing_vpt.data.clip_source import listed
from racing_vpt.data.loaders import WHOLE_BATCHES, workers
from racing_vpt.data.trainer_facts import rank_of, wanted_frames, world_size_of
from racing_vpt.data.window_batches import WindowDataset
from racing_vpt.data.windows import find_videos
from racing_vpt.types import FrameSpec
from racing_vpt.video.decode import Decoder, Device, choose_decoder


class WindowDataModule(pl.LightningDataModule):
    """Overlapping windows of videos to label; each process takes different videos.

    Args:
        videos: videos to label: a folder, a file or a glob, or several of these.
        out: folder for the labels.
        batch_size: windows per batch.
        window: frames per window.
        window_stride: frames from one window to the next; the middle of each window is kept.
        num_workers: number of decoding processes; 0: none beside the main process' decoder.
        decoder: auto, decord, torchcodec or pyav. On the CPU auto is PyAV, which checks a video while decoding it.
        device: decoding device: cpu, cuda, or auto; workers decode on the CPU.
        frames: the model's input frames. None: those of the trainer's model.
    """

    def __init__(
        self,
        videos: list[str] | str | None = None,
        out: Path | None = None,
        batch_size: int = 4,
        window: int = 128,
        window_stride: int = 64,
        num_workers: int = 0,
        decoder: Decoder = "auto",
        device: Device = "cpu",
        frames: FrameSpec | None = None,
    ) -> None:
        super().__init__()
        if min(batch_size, window) < 1 or not 0 < window_stride <= window:
            raise ValueError(
                f"batch_size must be at least 1, window_stride 1 to window, but they are {batch_size}, "
                f"{window_stride} and {window}"
            )
        self.videos, self.out = listed(videos), out
        self.batch_size, self.window, self.window_stride = batch_size, window, window_stride
        self.num_workers, self.decoder, self.device, self.frames = num_workers, decoder, device, frames
        self.found: dict[str, Path] = {}  # video files by name
        self.skip: set[str] = set()  # names of videos that are labelled already; filled by `WriteLabels`

    def setup(self, stage: str | None = None) -> None:
        """Find the videos.

        Raises:
            ValueError: no videos were named, or the stage is not `predict`.
            FileNotFoundError: there are no videos.
        """
        if stage not in (None, "predict"):
            raise ValueError(f"a WindowDataModule is for predict, not for {stage}, which takes a ClipDataModule")
        if not self.videos:
            raise ValueError("no videos to label: give --data.videos FOLDER, a file or a glob")
        choose_decoder(self.decoder, self.device)  # before workers are forked, because it accesses the GPU
        self.found = find_videos(self.videos)

    def predict_dataloader(self) -> DataLoader:
        """Windows of the unlabelled videos, as `PredictBatch`."""
        videos = {name: path for name, path in self.found.items() if name not in self.skip}
        decoder, device = choose_decoder(self.decoder, self.device)
        if device == "cpu" or self.num_workers:
            decoder, device = self.decoder, "cpu"
        size, place = (self.batch_size, self.window, self.window_stride), (rank_of(self), world_size_of(self))
        dataset = WindowDataset(videos, wanted_frames(self, self.frames), *size, *place, decoder, device)  # type: ignore[arg-type]
        return DataLoader(dataset, **workers(min(self.num_workers, len(dataset.videos))), **WHOLE_BATCHES)
