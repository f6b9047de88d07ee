"""Clips of driving video with their controls, for training, validation and testing."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal

import lightning.pytorch as pl
import numpy as np
from torch.utils.data import DataLoader

from racing_vpt.data.clip_controls import ClipControls
from racing_vpt.data.clip_dataset import EncodedBatch
from racing_vpt.data.clip_source import ClipSource, Reading, listed
from racing_vpt.data.codes import Codes, CodesFrames
from racing_vpt.data.manifest import PACK_HINT
from racing_vpt.data.sampler import ClipOrder, LaneClips, RandomClips, StepSampler, TiledClips
from racing_vpt.data.trainer_facts import frames_seen, rank_of, steps_done, wanted_frames, world_size_of
from racing_vpt.types import Batch
from racing_vpt.video.decode import Decoder, Device, choose_decoder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Loading:
    """Order of the clips, and the processes that decode them.

    Args:
        num_workers: number of decoding processes; 0: the main process.
        device: decoding device: cpu, cuda, or auto. On cuda the main process decodes, and clips must be packed with
            --pixel_format yuv420p.
        seed: seed of the order of clips and of the split of plain recordings.
        val_fraction: fraction of the episodes of plain recordings in the split `val`.
    """

    num_workers: int = 0
    device: Device = "cpu"
    seed: int = 0
    val_fraction: float = 0.1


class ClipDataModule(pl.LightningDataModule):
    """Clips of driving video with their controls, from shards or plain recordings.

    The clips of a step are a function of seed and step, so that a resumed run continues with the same clips.

    Args:
        train: folders or URLs of shards, or folders of recordings, of which the split `train` is used.
        val: the same for validation. None: the split `val` of `train`.
        test: the same for testing. None: as `val`.
        batch_size: clips per batch and device.
        clip_frames: frames per clip, T.
        mode: `random` draws clips at random; with `lanes` each row of the batch plays an episode in order from batch to
            batch, for models with memory.
        mirror: probability that a clip is mirrored, with its steering.
        steps_per_epoch: batches per epoch; None: the number that covers all frames once.
        val_steps: maximum number of validation batches; None: the whole split, each frame once.
        controls: source and weights of the controls.
        reading: how shards and recordings are read.
        loading: order of the clips, and decoding processes.
    """

    def __init__(
        self,
        train: list[str] | str | None = None,
        val: list[str] | str | None = None,
        test: list[str] | str | None = None,
        batch_size: int = 32,
        clip_frames: int = 32,
        mode: Literal["random", "lanes"] = "random",
        mirror: float = 0.0,
        steps_per_epoch: int | None = None,
        val_steps: int | None = None,
        controls: ClipControls = ClipControls(),
        reading: Reading = Reading(),
        loading: Loading = Loading(),
    ) -> None:
        super().__init__()
        if min(batch_size, clip_frames) < 1 or not 0 <= mirror <= 1:
            raise ValueError(
                f"batch_size and clip_frames must be at least 1, mirror in [0, 1], but they are {batch_size}, "
                f"{clip_frames} and {mirror}"
            )
        self.train, self.val, self.test = listed(train), listed(val), listed(test)
        self.batch_size, self.clip_frames, self.mode, self.mirror = batch_size, clip_frames, mode, mirror
        self.steps_per_epoch, self.val_steps = steps_per_epoch, val_steps
        self.controls, self.reading, self.loading = controls, reading, loading
        self._gpu_decoder: Decoder | None = None
        self.source = self._new_source()

    def setup(self, stage: str | None = None) -> None:
        """Open the data of a stage: fit, validate or test; None: all that is given."""
        if stage == "predict":
            raise ValueError(
                "videos to label are read by another data module: leave out data.class_path, or give --data.class_path "
                "racing_vpt.data.window_datamodule.WindowDataModule"
            )
        decoder, where = choose_decoder(self.reading.decoder, self.loading.device)
        self._gpu_decoder = decoder if where == "cuda" else None  # type: ignore[assignment]
        self.source = self._new_source()
        if stage == "fit" or (stage is None and self.train):
            self.source.open("train", self._given("train"), "train", self.train if not self.val else self.val)
        if stage in ("fit", "validate") or (stage is None and (self.val or self.train)):
            self.source.open("val", self.val or self._given("train"), "val", self.train)
        if stage == "test" or (stage is None and self.test):
            self.source.open("test", self.test or self.val or self._given("train"), "val", self.train)

    def _new_source(self) -> ClipSource:
        spec, loading = wanted_frames(self, self.reading.frames), self.loading
        on_gpu = self._gpu_decoder is not None
        return ClipSource(spec, self.reading, self.controls, loading.seed, loading.val_fraction, on_gpu)

    @property
    def control_names(self) -> tuple[str, ...]:
        """Names of the controls in the open data; empty for unlabelled video."""
        return self.source.control_names

    def train_dataloader(self) -> DataLoader:
        """Batches of training clips, starting at the trainer's step."""
        lengths, rows = self.source.lengths("train"), self.batch_size * world_size_of(self)
        kind = LaneClips if self.mode == "lanes" else RandomClips
        order: ClipOrder = kind(lengths, self.clip_frames, rows, self.loading.seed, self.mirror)
        next_step = (lambda: steps_done(self)) if self.trainer is not None else None
        steps = StepSampler(
            order, self.steps_per_epoch or order.num_steps, rank_of(self), world_size_of(self), next_step
        )
        return self._loader("train", steps)

    def val_dataloader(self) -> DataLoader | list[DataLoader]:
        """Every validation frame once, with the same number of batches on each rank."""
        return self._one_pass("val") if "val" in self.source else []

    def test_dataloader(self) -> DataLoader:
        """Every test frame once."""
        return self._one_pass("test")

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Decode clips on the GPU, in the main process."""
        if isinstance(batch, EncodedBatch):
            assert self._gpu_decoder is not None, "clips are left encoded for a GPU's decoder only"
            return batch.decode(self.source.spec, self._gpu_decoder, batch.valid.device)  # type: ignore[arg-type]
        return batch

    def state_dict(self) -> dict[str, object]:
        """Number of batches used, and the settings that determine the order."""
        return {"steps": steps_done(self), "order": self._order()}

    def load_state_dict(self, state_dict: dict[str, object]) -> None:
        """Warn if a run is resumed with other data or options, so that it differs from an uninterrupted one."""
        if "train" in self.source and state_dict.get("order") != self._order():
            log.warning(
                "the run continues after step %s with other clips than without the stop: the order was %s, is %s",
                state_dict.get("steps"),
                state_dict.get("order"),
                self._order(),
            )

    def frames_of(self, batch: Batch, row: int) -> np.ndarray:
        """The frames uint8 [T, H, W, 3] that belong to the codes of a row of a validation batch."""
        return self.source.frames_of("val", batch, row)

    def _order(self) -> list[object]:
        lengths, rows = self.source.lengths("train"), self.batch_size * world_size_of(self)
        return [self.mode, self.loading.seed, rows, self.clip_frames, self.mirror, len(lengths), sum(lengths)]

    def _given(self, name: str) -> list[str]:
        paths: list[str] = getattr(self, name)
        if not paths:
            raise ValueError(f"no data: give --data.{name} PATH ({PACK_HINT})")
        return paths

    def _loader(self, name: str, steps: StepSampler) -> DataLoader:
        clips = self.source.clips(name, self.clip_frames, self._codes(name), frames_seen(self, self.clip_frames))
        return self.source.loader(clips, steps, self.loading.num_workers)

    def _codes(self, name: str) -> Codes | None:
        if self.mirror and isinstance(self.trainer and self.trainer.lightning_module, CodesFrames):
            raise ValueError(f"mirror must be 0 for a model that learns from stored codes, but {self.mirror} was given")
        return self.source.codes(name, self.trainer)

    def _one_pass(self, name: str) -> DataLoader:
        lengths, rows = self.source.lengths(name), self.batch_size * world_size_of(self)
        order: ClipOrder = TiledClips(lengths, self.clip_frames, rows)
        if self.mode == "lanes":
            order = LaneClips(lengths, self.clip_frames, rows, endless=False)
        steps = min(order.num_steps, self.val_steps or order.num_steps)
        sampler = StepSampler(order, steps, rank_of(self), world_size_of(self), next_step=lambda: 0)
        return self._loader(name, sampler)
