"""Segments of recordings and of own experience, for a model that learns a world and then learns in it.

A model of several parts says what each of its updates wants (`Learner`); which segments those are is a function of the
seed, of the number of updates before and of what is in the replay buffer. There may be recordings alone, experience
alone, or both.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, cast

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from racing_vpt.data.codes import Codes, CodesFrames, codes_of
from racing_vpt.data.datamodule import VideoDataModule, listed
from racing_vpt.data.dataset import WHOLE_BATCHES, ClipDataset, ResumableLoader, Trust
from racing_vpt.data.remote import Remote
from racing_vpt.data.sampler import RandomClips
from racing_vpt.replay.datamodule import Ramp, ReplayDataModule
from racing_vpt.replay.demonstrations import check_size, controls_of
from racing_vpt.replay.segments import segments_of
from racing_vpt.types import Batch, FrameSpec, PartBatch, PartRequest, Segments
from racing_vpt.video.decode import Decoder, choose_decoder


class Learner(Protocol):
    """A model that these batches are for."""

    @property
    def control_names(self) -> tuple[str, ...]:
        """Names of an action's numbers."""

    @property
    def updates_per_epoch(self) -> int:
        """Batches in an epoch, those of parts that do not learn yet included."""

    @property
    def coder(self) -> CodesFrames | None:
        """Whose codes take the place of recorded frames: they stay the same for the whole run. None: nobody's."""

    def wanted(self, step: int) -> PartRequest:
        """What the update of this number, from 0, is to learn from."""


class SegmentDataModule(ReplayDataModule):
    """Gives each update of a `Learner` its segments, and keeps what a callback that drives adds.

    Args:
        recordings: folders or URLs of shards, or folders of recordings; their split `train` is learnt from. None: only
            what the model lives through itself.
        val: the same for validation. None: the split `val` of `recordings`, or, without any, what was lived through.
        val_rows: clips in a batch of validation.
        val_frames: frames of each.
        val_steps: batches of validation.
        env: environment that is driven in, by callbacks (the rooms of data know no environments).
        collect: decisions to drive before each epoch, by whoever drives (`callbacks/collection.py`); 0: nobody does.
        collect_epochs: epochs before which that is done; None: all.
        warm_up: decisions to drive before the first epoch, at least.
        capacity: decisions kept of all environments together; each of 64x64 colours takes 12 kB.
        recorded_share: share of a batch that recordings are, over updates; None: their share of all frames.
        keep_buffer: save what was lived through beside the checkpoints, so that a run goes on with it.
        mirror: probability that a recorded segment is mirrored, with its steering.
        cache_gib: memory for decoded frames of recordings, for training as for validation.
        seed: of the draws.
        decoder: of recordings: auto, decord, torchcodec or pyav.
        frames: what the model wants to see. None: what the trainer's model says.
        remote: how shards at a URL are read.
        codes: folder that keeps the codes of recorded frames.
    """

    def __init__(
        self,
        recordings: list[str] | str | None = None,
        val: list[str] | str | None = None,
        val_rows: int = 16,
        val_frames: int = 40,
        val_steps: int = 4,
        env: str = "racing_vpt/CarRacingFast-v3",
        collect: int = 0,
        collect_epochs: int | None = None,
        warm_up: int = 1_000,
        capacity: int = 100_000,
        recorded_share: Ramp | None = None,
        keep_buffer: bool = True,
        mirror: float = 0.0,
        cache_gib: float = 2.0,
        seed: int = 0,
        decoder: Decoder = "auto",
        frames: FrameSpec | None = None,
        remote: Remote | None = None,
        codes: Path = Path("data/codes"),
    ) -> None:
        if min(val_rows, val_frames, val_steps) < 1 or collect < 0 or not 0 <= mirror <= 1:
            raise ValueError(
                f"val_rows, val_frames and val_steps count from 1, collect from 0 and mirror is a probability, but "
                f"they are {val_rows}, {val_frames}, {val_steps}, {collect} and {mirror}"
            )
        super().__init__(
            val_rows, capacity=capacity, warm_up=warm_up, keep_buffer=keep_buffer, seed=seed, decoder=decoder,
            frames=frames, remote=remote,
        )  # fmt: skip
        self.recordings, self.val = listed(recordings), listed(val)
        self.clip_frames, self.val_steps = val_frames, val_steps
        self.env, self.collect, self.collect_epochs = env, collect, collect_epochs
        self.recorded_share, self.mirror, self.cache_gib, self.codes = recorded_share, mirror, cache_gib, codes
        self._begins = np.zeros(1, np.int64)  # number of each episode's first frame
        self._kept_codes: Codes | None = None

    @property
    def learner(self) -> Learner:
        """The trainer's model."""
        model = self.trainer and self.trainer.lightning_module
        if not all(hasattr(model, name) for name in ("wanted", "updates_per_epoch", "coder", "control_names")):
            raise ValueError(
                f"segments are for a model of several parts, such as IRIS, not for a {type(model).__name__}; "
                "give --data.class_path VideoDataModule"
            )
        return cast(Learner, model)

    def decisions_before(self, epoch: int) -> int:
        """How many decisions are to be driven before an epoch."""
        wanted = self.collect if self.collect_epochs is None or epoch < self.collect_epochs else 0
        return max(wanted, self.warm_up) if epoch == 0 and self.collect else wanted

    def setup(self, stage: str | None = None) -> None:
        """Open the recordings; ValueError where nothing is to be learnt from."""
        if stage not in (None, "fit", "validate"):
            return
        if not self.recordings and not self.collect:
            raise ValueError(
                "there is nothing to learn from: give recordings (--data.recordings data/shards/rollouts), or let it "
                "drive (--data.collect 200)"
            )
        if not self.recordings:
            return
        self._decoder = choose_decoder(self.decoder, "cpu")
        self._open("train", self.recordings, "train", self.val or self.recordings)
        self._open("val", self.val or self.recordings, "val", self.recordings)
        reader = self._readers["train"]
        check_size(reader, 0, None)
        controls_of(reader.columns(0, 0, reader.lengths[0]), self.learner.control_names, reader.name(0))
        self._begins = np.concatenate([[0], np.cumsum(reader.lengths)])

    def train_dataloader(self) -> DataLoader:
        """Batches, each drawn when it is asked for, in this process."""
        self.steps_per_epoch = self.learner.updates_per_epoch
        coder = self.learner.coder
        if coder is not None and "train" in self._readers and not self.mirror:
            self._kept_codes = codes_of(self._readers["train"], coder, self.codes)
        return ResumableLoader(Works(self), **WHOLE_BATCHES)

    def work(self) -> PartBatch:
        """What the next update learns from.

        Raises:
            ValueError: recordings without rewards, or of other controls.
        """
        step = self._steps_done()
        wanted = self.learner.wanted(step)
        recorded = self.rows_recorded(wanted, step)
        found = [] if not recorded else [self.of_recordings(recorded, wanted.frames, step)]
        if wanted.rows > recorded:
            assert self.buffer is not None
            lived = self.buffer.sample_segments(wanted.rows - recorded, wanted.frames, step=step)
            assert lived.index is not None
            lived.index = -1 - lived.index
            found.append(lived)
        return PartBatch(wanted.part, found)

    def rows_recorded(self, wanted: PartRequest, step: int) -> int:
        """How many rows of a batch recordings are."""
        ring = None if self.buffer is None else self.buffer.experience.ring
        if ring is None or ring.filled < wanted.frames:
            return wanted.rows if "train" in self._readers else 0
        if "train" not in self._readers:
            return 0
        kept = self._begins[-1]
        share = kept / (kept + ring.filled * ring.lanes)
        share = share if self.recorded_share is None else self.recorded_share.at(step)
        drawn = np.random.default_rng([self.seed, step, 2]).random()
        return int(min(wanted.rows, np.floor(wanted.rows * share + drawn)))

    def of_recordings(self, rows: int, frames: int, step: int) -> Segments:
        """Segments of recordings."""
        reader = self._readers["train"]
        items = RandomClips(reader.lengths, frames, rows, self.seed + self._rank, self.mirror).batch(step)
        batch = ClipDataset(reader, frames, Trust(), codes=self._kept_codes)[items]
        return segments_of(batch, items, reader, self.learner.control_names, self._begins)

    def val_dataloader(self) -> DataLoader | list[DataLoader]:
        """Batches of clips that are not learnt from; where there are no recordings, one of what was lived through."""
        if "val" in self._readers:
            return VideoDataModule.val_dataloader(self)
        return DataLoader(Lived(self), **WHOLE_BATCHES)

    def lived(self) -> Batch:
        """Clips of what was lived through; nothing in them counts where there is too little of it."""
        spec, names, T = self.spec, self.learner.control_names, self.clip_frames
        if self.buffer is None or self.buffer.experience.ring.filled < T:
            nothing = torch.zeros(1, T, dtype=torch.bool)
            blank = torch.zeros(1, T, spec.height, spec.width, 3, dtype=torch.uint8)
            return Batch(blank, {name: torch.zeros(1, T) for name in names}, nothing, nothing, nothing.float())
        found = self.buffer.sample_segments(self.batch_size, T, step=0)
        controls = dict(zip(names, found.actions.unbind(-1), strict=True))
        return Batch(found.frames, controls, found.first, found.valid, found.valid.float(), found.rewards)


class Works(Dataset[PartBatch]):
    """Batches of an epoch; which comes is not a matter of the index, but of how many came before.

    Args:
        data: draws them.
    """

    def __init__(self, data: SegmentDataModule) -> None:
        self.data = data

    def __len__(self) -> int:
        return self.data.steps_per_epoch or 1

    def __getitem__(self, index: int) -> PartBatch:
        return self.data.work()


class Lived(Dataset[Batch]):
    """One batch of what was lived through.

    Args:
        data: draws it.
    """

    def __init__(self, data: SegmentDataModule) -> None:
        self.data = data

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Batch:
        return self.data.lived()
