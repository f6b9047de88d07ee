"""Segments of recordings and of own experience, for models that learn a world model and act in it.

A model of several parts says what each of its updates needs (`Learner`). The segments are a function of the seed, the
number of previous updates and the content of the replay buffer. There may be recordings, experience, or both.
"""

from __future__ import annotations

from typing import cast

import lightning.pytorch as pl
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from racing_vpt.data.clip_controls import ClipControls
from racing_vpt.data.clip_source import ClipSource, Reading, listed
from racing_vpt.data.codes import Codes, codes_of
from racing_vpt.data.loaders import WHOLE_BATCHES, ResumableLoader
from racing_vpt.data.sampler import RandomClips, StepSampler, TiledClips
from racing_vpt.data.trainer_facts import rank_of, steps_done, wanted_frames, world_size_of
from racing_vpt.replay.buffer import ReplayBuffer
from racing_vpt.replay.datamodule import action_shape, buffer_shape, saved_buffers
from racing_vpt.replay.demonstrations import Actions, check_size, controls_of
from racing_vpt.replay.kept_buffer import KeptBuffer
from racing_vpt.replay.learner import Learner
from racing_vpt.replay.ramp import Ramp
from racing_vpt.replay.segment_options import Collecting, Validation
from racing_vpt.replay.segments import segments_of
from racing_vpt.types import Batch, PartBatch, PartRequest, Segments


class SegmentDataModule(pl.LightningDataModule):
    """Segments for each update of a `Learner`, and the replay buffer of the callback that drives.

    Args:
        recordings: folders or URLs of shards, or folders of recordings; their split `train` is used. None: only the
            model's own experience.
        val: the same for validation. None: the split `val` of `recordings`, or own experience without recordings.
        validation: batches of validation.
        collecting: driving for the replay buffer.
        capacity: decisions of all environments together; each of 64x64 colours takes 12 kB.
        recorded_share: share of recordings in a batch, over the updates; None: their share of all frames.
        keep_buffer: save the replay buffer with the checkpoints, so that a resumed run continues with it.
        mirror: probability of mirroring a recorded segment and its steering.
        seed: seed of the sampling.
        reading: reading of shards and recordings.
    """

    def __init__(
        self,
        recordings: list[str] | str | None = None,
        val: list[str] | str | None = None,
        validation: Validation = Validation(),
        collecting: Collecting = Collecting(),
        capacity: int = 100_000,
        recorded_share: Ramp | None = None,
        keep_buffer: bool = True,
        mirror: float = 0.0,
        seed: int = 0,
        reading: Reading = Reading(cache_gib=2.0),
    ) -> None:
        super().__init__()
        if not 0 <= mirror <= 1 or collecting.warm_up > capacity:
            raise ValueError(
                f"mirror is a probability and collecting.warm_up at most the capacity, but they are {mirror}, "
                f"{collecting.warm_up} and {capacity}"
            )
        self.recordings, self.val = listed(recordings), listed(val)
        self.validation, self.collecting, self.capacity = validation, collecting, capacity
        self.recorded_share, self.mirror, self.seed, self.reading = recorded_share, mirror, seed, reading
        self.kept = KeptBuffer(keep_buffer)
        self.source = self._new_source()
        self._begins = np.zeros(1, np.int64)  # index of each episode's first frame
        self._codes: Codes | None = None

    @property
    def buffer(self) -> ReplayBuffer | None:
        """The replay buffer, after it was opened."""
        return self.kept.buffer

    @property
    def env(self) -> str:
        """Environment for driving: the given one, or that of the model's game."""
        if self.collecting.env is None and self.trainer is not None:
            return self.trainer.lightning_module.game.place()  # type: ignore[union-attr, operator, no-any-return]
        return self.collecting.env or ""

    @property
    def learner(self) -> Learner:
        """Model of the trainer."""
        model = self.trainer and self.trainer.lightning_module
        if not all(hasattr(model, name) for name in ("wanted", "updates_per_epoch", "coder", "control_names")):
            raise ValueError(
                f"segments are for a model of several parts, such as IRIS, not for a {type(model).__name__}; "
                "give --data.class_path ClipDataModule"
            )
        return cast(Learner, model)

    def setup(self, stage: str | None = None) -> None:
        """Open the recordings; ValueError if there is nothing to train on."""
        if stage not in (None, "fit", "validate"):
            return
        if not self.recordings and not self.collecting.decisions:
            raise ValueError(
                "there is nothing to learn from: give recordings (--data.recordings data/shards/rollouts), or let it "
                "drive (--data.collecting.decisions 200)"
            )
        if not self.recordings:
            return
        self.source = self._new_source()
        self.source.open("train", self.recordings, "train", self.val or self.recordings)
        self.source.open("val", self.val or self.recordings, "val", self.recordings)
        reader = self.source.readers["train"]
        check_size(reader, 0, None)
        controls_of(reader.columns(0, 0, reader.lengths[0]), self.learner.control_names, reader.name(0))
        self._begins = np.concatenate([[0], np.cumsum(reader.lengths)])

    def _new_source(self) -> ClipSource:
        mean = ClipControls(mean=True)  # mean over a decision, during which a driving callback holds its controls
        return ClipSource(wanted_frames(self, self.reading.frames), self.reading, mean, self.seed)

    def open_buffer(self, lanes: int, actions: Actions) -> ReplayBuffer:
        """Create the replay buffer, or restore it if a run with `keep_buffer` is resumed.

        Args:
            lanes: environments that step together.
            actions: controls by name of each discrete action, or the names of continuous controls.

        Raises:
            ValueError: it does not fit into memory, or the saved buffer has other options.
            FileNotFoundError: the saved buffer does not exist.
        """
        spec = wanted_frames(self, self.reading.frames)
        buffer = ReplayBuffer(
            self.capacity, lanes, buffer_shape(spec), action_shape(actions), stack=1, discount=1.0,
            seed=self.seed + rank_of(self),
        )  # fmt: skip
        return self.kept.open(buffer, saved_buffers(self))

    def train_dataloader(self) -> DataLoader:
        """Batches, sampled on access in this process."""
        coder = self.learner.coder
        if coder is not None and "train" in self.source and not self.mirror:
            self._codes = codes_of(self.source.readers["train"], coder, self.reading.codes)
        return ResumableLoader(PartBatches(self), **WHOLE_BATCHES)

    def val_dataloader(self) -> DataLoader:
        """Clips held out from training; without recordings, one batch of own experience."""
        if "val" not in self.source:
            return DataLoader(OwnClips(self), **WHOLE_BATCHES)
        rows = self.validation.rows * world_size_of(self)
        order = TiledClips(self.source.lengths("val"), self.validation.frames, rows)
        steps = min(order.num_steps, self.validation.steps)
        sampler = StepSampler(order, steps, rank_of(self), world_size_of(self), next_step=lambda: 0)
        codes = self.source.codes("val", self.trainer)
        return self.source.loader(self.source.clips("val", self.validation.frames, codes), sampler)

    def draw(self) -> PartBatch:
        """The batch of the next update.

        Raises:
            ValueError: recordings without rewards or with other controls.
        """
        step = steps_done(self)
        wanted = self.learner.wanted(step)
        recorded = self.rows_recorded(wanted, step)
        found = [] if not recorded else [self.of_recordings(recorded, wanted.frames, step)]
        if wanted.rows > recorded:
            assert self.buffer is not None, "no recordings, so a callback opened the buffer"
            own = self.buffer.sample_segments(wanted.rows - recorded, wanted.frames, step=step)
            assert own.index is not None, "a buffer numbers its frames"
            own.index = -1 - own.index
            found.append(own)
        return PartBatch(wanted.part, found)

    def rows_recorded(self, wanted: PartRequest, step: int) -> int:
        """Number of rows of a batch from recordings."""
        ring = None if self.buffer is None else self.buffer.experience.ring
        if "train" not in self.source:
            return 0
        if ring is None or ring.filled < wanted.frames:
            return wanted.rows
        kept = self._begins[-1]
        share = kept / (kept + ring.filled * ring.lanes)
        share = share if self.recorded_share is None else self.recorded_share.at(step)
        drawn = np.random.default_rng([self.seed, step, 2]).random()
        return int(min(wanted.rows, np.floor(wanted.rows * share + drawn)))

    def of_recordings(self, rows: int, frames: int, step: int) -> Segments:
        """`rows` segments of recordings with `frames` frames each."""
        reader = self.source.readers["train"]
        items = RandomClips(reader.lengths, frames, rows, self.seed + rank_of(self), self.mirror).batch(step)
        batch = self.source.clips("train", frames, self._codes)[items]
        return segments_of(batch, items, reader, self.learner.control_names, self._begins)

    def own_clips(self) -> Batch:
        """Clips of own experience for validation; if there is too little, one clip without valid frames."""
        spec, names, T = wanted_frames(self, self.reading.frames), self.learner.control_names, self.validation.frames
        if self.buffer is None or self.buffer.experience.ring.filled < T:
            nothing = torch.zeros(1, T, dtype=torch.bool)
            blank = torch.zeros(1, T, spec.height, spec.width, 3, dtype=torch.uint8)
            return Batch(blank, {name: torch.zeros(1, T) for name in names}, nothing, nothing, nothing.float())
        found = self.buffer.sample_segments(self.validation.rows, T, step=0)
        controls = dict(zip(names, found.actions.unbind(-1), strict=True))
        return Batch(found.frames, controls, found.first, found.valid, found.valid.float(), found.rewards)

    def state_dict(self) -> dict[str, object]:
        """As `KeptBuffer.state_dict`."""
        return self.kept.state_dict()

    def load_state_dict(self, state_dict: dict[str, object]) -> None:
        """As `KeptBuffer.load_state_dict`."""
        self.kept.load_state_dict(state_dict)


class PartBatches(Dataset[PartBatch]):
    """Batches of an epoch, sampled in the order of access, whatever the index.

    Args:
        data: samples them.
    """

    def __init__(self, data: SegmentDataModule) -> None:
        self.data = data

    def __len__(self) -> int:
        return self.data.learner.updates_per_epoch

    def __getitem__(self, index: int) -> PartBatch:
        return self.data.draw()


class OwnClips(Dataset[Batch]):
    """One batch of own experience, for validation without recordings.

    Args:
        data: samples it.
    """

    def __init__(self, data: SegmentDataModule) -> None:
        self.data = data

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Batch:
        return self.data.own_clips()
