"""Batches for every model: from shards or plain recordings, at the size and rate that the model asks for."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import lightning.pytorch as pl
import numpy as np
from torch.utils.data import DataLoader

from racing_vpt.data.codes import Codes, CodesFrames, codes_of
from racing_vpt.data.dataset import WHOLE_BATCHES, ClipDataset, EncodedBatch, Perturbed, ResumableLoader, Trust
from racing_vpt.data.manifest import PACK_HINT
from racing_vpt.data.reader import EpisodeReader
from racing_vpt.data.remote import Remote
from racing_vpt.data.sampler import Course, Lanes, RandomClips, Steps, Tiles
from racing_vpt.data.stores import open_store
from racing_vpt.data.window_batches import WindowDataset
from racing_vpt.data.windows import find_videos
from racing_vpt.types import Batch, FrameSpec
from racing_vpt.video.decode import Decoder, Device, choose_decoder

log = logging.getLogger(__name__)


class VideoDataModule(pl.LightningDataModule):
    """Clips of driving video with their controls.

    Args:
        train: folders or URLs of shards, or folders of recordings; their split `train` is used.
        val: the same for validation. None: the split `val` of `train`.
        test: the same for testing. None: what `val` is.
        videos: videos to predict controls for: a folder, a file or a glob.
        out: where predictions go; read by whoever writes them.
        labels: folder of an IDM's labels that take the place of recorded controls (for plain recordings).
        batch_size: clips in a batch, on each device.
        clip_frames: frames in a clip, T.
        mode: `random` draws clips at random; in `lanes` each row of the batch plays one episode in order from batch to
            batch, for models with memory.
        steps_per_epoch: batches in an epoch; None: as many as hold all frames once.
        num_workers: processes that decode; 0 decodes in the main process.
        seed: of the order of clips and of the split of plain recordings.
        val_fraction: fraction of the episodes of plain recordings that is their split `val`.
        val_steps: batches of validation at most; None: all of the split, each frame once.
        decoder: auto, decord, torchcodec or pyav. On the CPU auto reads videos to predict by PyAV, which can examine
            them at the same time.
        device: where videos are decoded: cpu, cuda, or auto. On cuda the main process decodes, and clips must be
            packed with --pixel_format yuv420p.
        mirror: probability that a clip is mirrored, with its steering.
        mean_controls: where the model looks at every stride-th frame, controls are the mean over the stride.
        min_confidence: frames whose label the IDM was less sure of weigh nothing.
        confidence_weighting: frames weigh as much as the IDM was sure of their label.
        perturbed: what becomes of frames where something else was executed than the driver wanted: keep, ignore, or
            take the intended controls.
        drop_null: a control scheme; frames that use none of its controls are taken out, as VPT does with Minecraft's.
        cache_gib: memory for decoded frames, for training as for validation.
        window: frames in a window of a video to predict.
        window_stride: frames from one window to the next; the middle of each window is kept.
        predict_batch_size: windows in a batch.
        frames: what the model wants to see. None: what the trainer's model says.
        remote: how shards at a URL are read: tries, time limit, cache.
        codes: folder that keeps codes of frames, for models that learn from them instead of frames.
    """

    def __init__(
        self,
        train: list[str] | str | None = None,
        val: list[str] | str | None = None,
        test: list[str] | str | None = None,
        videos: list[str] | str | None = None,
        out: Path | None = None,
        labels: Path | None = None,
        batch_size: int = 32,
        clip_frames: int = 32,
        mode: Literal["random", "lanes"] = "random",
        steps_per_epoch: int | None = None,
        num_workers: int = 0,
        seed: int = 0,
        val_fraction: float = 0.1,
        val_steps: int | None = None,
        decoder: Decoder = "auto",
        device: Device = "cpu",
        mirror: float = 0.0,
        mean_controls: bool = False,
        min_confidence: float = 0.0,
        confidence_weighting: bool = False,
        perturbed: Perturbed = "keep",
        drop_null: str | None = None,
        cache_gib: float = 0.0,
        window: int = 128,
        window_stride: int = 64,
        predict_batch_size: int = 4,
        frames: FrameSpec | None = None,
        remote: Remote | None = None,
        codes: Path = Path("data/codes"),
    ) -> None:
        super().__init__()
        if min(batch_size, clip_frames, window) < 1 or not 0 <= mirror <= 1:
            raise ValueError(
                f"batch_size, clip_frames and window are at least 1 and mirror is a probability, but they are "
                f"{batch_size}, {clip_frames}, {window} and {mirror}"
            )
        self.train, self.val, self.test, self.videos = listed(train), listed(val), listed(test), listed(videos)
        self.out, self.labels = out, labels
        self.batch_size, self.clip_frames, self.mode = batch_size, clip_frames, mode
        self.steps_per_epoch, self.val_steps, self.num_workers = steps_per_epoch, val_steps, num_workers
        self.seed, self.val_fraction, self.mirror, self.mean_controls = seed, val_fraction, mirror, mean_controls
        self.decoder, self.device, self.cache_gib, self.drop_null = decoder, device, cache_gib, drop_null
        self.trust = Trust(min_confidence, confidence_weighting, perturbed)
        self.window, self.window_stride, self.predict_batch_size = window, window_stride, predict_batch_size
        self.frames, self.remote, self.codes = frames, remote, codes
        self.skip: set[str] = set()  # names of videos that predict passes over: whoever writes labels fills it
        self._decoder: tuple[str, str] | None = None
        self._readers: dict[str, EpisodeReader] = {}

    @property
    def spec(self) -> FrameSpec:
        """What frames are to be like: as given, or as the trainer's model says."""
        if self.frames is not None:
            return self.frames
        spec = getattr(self.trainer and self.trainer.lightning_module, "frames", None)
        return spec if isinstance(spec, FrameSpec) else FrameSpec()

    def setup(self, stage: str | None = None) -> None:
        """Open what the stage needs: fit, validate, test or predict; None: all that is given."""
        if self._idle:
            return
        self._decoder = choose_decoder(self.decoder, self.device)
        if stage == "predict" or (stage is None and self.videos):
            self.predict_videos = find_videos(self._given("videos"))
        if stage == "fit" or (stage is None and self.train):
            self._open("train", self._given("train"), "train", self.train if not self.val else self.val)
        if stage in ("fit", "validate") or (stage is None and (self.val or self.train)):
            self._open("val", self.val or self._given("train"), "val", self.train)
        if stage == "test" or (stage is None and self.test):
            self._open("test", self.test or self.val or self._given("train"), "val", self.train)

    @property
    def control_names(self) -> tuple[str, ...]:
        """The controls in the data that is open; empty where there are none."""
        reader = next(iter(self._readers.values()))
        return tuple(reader.columns(0, 0, 1).controls)

    def train_dataloader(self) -> DataLoader:
        """Batches of training clips; an epoch goes on from where the trainer is."""
        if self._idle:
            return DataLoader(range(self.steps_per_epoch or 1), batch_size=None)  # type: ignore[arg-type]
        lengths, rows = self._readers["train"].lengths, self.batch_size * self._world_size
        kind = Lanes if self.mode == "lanes" else RandomClips
        course: Course = kind(lengths, self.clip_frames, rows, self.seed, self.mirror)
        steps = self.steps_per_epoch or course.num_steps
        next_step = self._steps_done if self.trainer is not None else None
        return self._loader("train", Steps(course, steps, self._rank, self._world_size, next_step))

    def val_dataloader(self) -> DataLoader | list[DataLoader]:
        """Every validation frame once, the same number of batches on each rank."""
        return self._pass_loader("val") if "val" in self._readers else []

    def test_dataloader(self) -> DataLoader:
        """Every test frame once."""
        return self._pass_loader("test")

    def predict_dataloader(self) -> DataLoader:
        """Windows of the videos to predict, as `PredictBatch`; ranks take different videos."""
        videos = {name: path for name, path in self.predict_videos.items() if name not in self.skip}
        decoder, device = self._decoder or ("auto", "cpu")
        size = (self.predict_batch_size, self.window, self.window_stride)
        if device == "cpu" or self.num_workers:
            decoder, device = self.decoder, "cpu"
        dataset = WindowDataset(videos, self.spec, *size, self._rank, self._world_size, decoder, device)  # type: ignore[arg-type]
        workers = min(self.num_workers, len(dataset.videos))
        return DataLoader(dataset, num_workers=workers, **WHOLE_BATCHES)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Decode here, in the main process, what was left for the GPU."""
        if isinstance(batch, EncodedBatch):
            assert self._decoder is not None
            return batch.decode(self.spec, self._decoder[0], batch.valid.device)  # type: ignore[arg-type]
        return batch

    def state_dict(self) -> dict[str, object]:
        """How many batches were used, and what decides which they are."""
        return {"steps": self._steps_done(), "order": self._order()}

    def load_state_dict(self, state_dict: dict[str, object]) -> None:
        """Say so where a run goes on with other data or options, so that it cannot be the same as uninterrupted."""
        if "train" in self._readers and state_dict.get("order") != self._order():
            log.warning(
                "the run goes on after step %s with other clips than it would have had: the data's order was %s, is %s",
                state_dict.get("steps"),
                state_dict.get("order"),
                self._order(),
            )

    def _steps_done(self) -> int:
        if self.trainer is None:
            return 0
        return self.trainer.fit_loop.epoch_loop.batch_progress.total.processed  # type: ignore[attr-defined]

    def _order(self) -> list[object]:
        lengths = self._readers["train"].lengths if "train" in self._readers else []
        rows = self.batch_size * self._world_size
        return [self.mode, self.seed, rows, self.clip_frames, self.mirror, len(lengths), sum(lengths)]

    @property
    def _idle(self) -> bool:
        """Whether the model learns from what it does, so that there is no data; steps are counted only."""
        model = self.trainer and self.trainer.lightning_module
        return getattr(model, "learns_from", "data") == "experience"

    @property
    def _rank(self) -> int:
        return self.trainer.global_rank if self.trainer is not None else 0

    @property
    def _world_size(self) -> int:
        return self.trainer.world_size if self.trainer is not None else 1

    def _given(self, name: str) -> list[str]:
        paths = getattr(self, name)
        if not paths:
            raise ValueError(f"no data to work on: give --data.{name} PATH ({PACK_HINT})")
        return paths

    def _open(self, name: str, paths: list[str], split: str, others: list[str]) -> None:
        """Make the reader of a split. Paths that are among `others` too hold training and validation data."""
        decoder, where = self._decoder or ("auto", "cpu")
        on_cpu: Decoder = "auto" if where == "cuda" else decoder  # type: ignore[assignment]
        fractions = {path: self.val_fraction if path in others else None for path in paths}
        options = (self.seed, self.labels, on_cpu, self.remote)
        opened = [open_store(path, split, fractions[path], *options) for path in paths]
        stores = [store for store in opened if store is not None]
        if not stores:
            log.warning("%s has no split %r, so there is no %s data", ", ".join(paths), split, name)
            return
        reader = EpisodeReader(stores, self.spec, self.mean_controls, self.cache_gib, self.drop_null)
        frames, count = sum(reader.lengths), len(reader.lengths)
        log.info("%s: %d episodes, %d frames at %g per second", name, count, frames, self.spec.frames_per_second)
        self._readers[name] = reader

    def _loader(self, name: str, steps: Steps) -> DataLoader:
        on_gpu = self._decoder is not None and self._decoder[1] == "cuda"
        codes = self._coded(name)
        dataset = ClipDataset(self._readers[name], self.clip_frames, self.trust, encoded=on_gpu, codes=codes)
        return ResumableLoader(
            dataset,
            sampler=steps,  # type: ignore[arg-type]
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            **WHOLE_BATCHES,
        )

    def _coded(self, name: str) -> Codes | None:
        """Codes of a split's frames where the trainer's model learns from codes; the first process makes them."""
        model = self.trainer and self.trainer.lightning_module
        if self.trainer is None or not isinstance(model, CodesFrames):
            return None
        if self.mirror:
            raise ValueError(f"codes are of frames as they are, so mirror must be 0, but {self.mirror} was given")
        made = codes_of(self._readers[name], model, self.codes) if self.trainer.is_global_zero else None
        self.trainer.strategy.barrier()
        return made or codes_of(self._readers[name], model, self.codes)

    def frames_of(self, batch: Batch, row: int) -> np.ndarray:
        """The frames uint8 [T, H, W, 3] behind the codes of a row of a validation batch."""
        reader, (name, _, start) = self._readers["val"], batch.ids[row].rpartition(":")
        episode = [reader.name(number) for number in range(len(reader.lengths))].index(name)
        return reader.frames(episode, int(start), int(start) + int(batch.valid[row].sum()))

    def _pass_loader(self, name: str) -> DataLoader:
        lengths, rows = self._readers[name].lengths, self.batch_size * self._world_size
        course: Course
        course = Tiles(lengths, self.clip_frames, rows)
        if self.mode == "lanes":
            course = Lanes(lengths, self.clip_frames, rows, endless=False)
        steps = min(course.num_steps, self.val_steps or course.num_steps)
        return self._loader(name, Steps(course, steps, self._rank, self._world_size, next_step=lambda: 0))


def listed(paths: Iterable[str] | str | None) -> list[str]:
    """Paths as a list: none, one, or many."""
    return [] if paths is None else [paths] if isinstance(paths, str) else list(paths)
