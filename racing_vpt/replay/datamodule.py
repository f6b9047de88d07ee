"""Transitions for models that learn from their own experience: sampled from a replay buffer filled by a callback."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import lightning.pytorch as pl
from torch.utils.data import DataLoader, Dataset

from racing_vpt.data.clip_controls import ClipControls
from racing_vpt.data.clip_source import ClipSource, Reading, listed
from racing_vpt.data.loaders import WHOLE_BATCHES, ResumableLoader
from racing_vpt.data.remote import Remote
from racing_vpt.data.trainer_facts import rank_of, wanted_frames
from racing_vpt.replay.buffer import ReplayBuffer
from racing_vpt.replay.demonstrations import Actions, read_demonstrations
from racing_vpt.replay.kept_buffer import KeptBuffer
from racing_vpt.replay.ramp import Ramp
from racing_vpt.types import FrameSpec, Transitions
from racing_vpt.video.decode import Decoder


@dataclass(frozen=True)
class PriorityOptions:
    """Prioritised replay (Schaul et al. 2016, arXiv:1511.05952).

    Args:
        alpha: exponent of the priorities, in [0, 1]; None: uniform sampling.
        beta: exponent of the importance weights (section 3.4; table 3 starts at 0.4).
    """

    alpha: float | None = None
    beta: Ramp = Ramp(0.4, 1.0, 100_000)


@dataclass(frozen=True)
class Teaching:
    """Demonstrations, or a teacher, in addition to own experience.

    Args:
        demonstrations: folders or URLs of shards, or folders of recordings; their split `train` is used.
        share: share of demonstrations in a batch.
        teacher: `expert:five` or `expert:eleven`, whose action is recorded at each decision of the learner (DAgger,
            Ross et al. 2011, arXiv:1011.0686). Unlike demonstrations, this shows recoveries from the learner's own
            mistakes.
        decoder: decoder of demonstrations: auto, decord, torchcodec or pyav.
        remote: reading of demonstrations at a URL.
    """

    demonstrations: list[str] | str | None = None
    share: Ramp = Ramp(0.25, 0.05, 100_000)
    teacher: str | None = None
    decoder: Decoder = "auto"
    remote: Remote = Remote()


class ReplayDataModule(pl.LightningDataModule):
    """Transitions from a replay buffer; each batch is sampled when it is fetched.

    It is a function of the seed, the number of previous batches and the content of the buffer.
    A callback that acts calls `open_buffer` in `on_fit_start`, fills `buffer` up to `warm_up` transitions in
    `on_train_start` (before the first batch is fetched), adds steps in `on_train_batch_end`, and calls
    `buffer.update_priorities(batch.index, td_error)` there.

    Args:
        batch_size: transitions in a batch, on each device.
        steps_per_epoch: batches in an epoch.
        capacity: steps of all environments together; each of 84x84 grey takes 7 kB.
        warm_up: transitions in the buffer before training starts.
        n_step: rewards summed before bootstrapping.
        priorities: prioritised replay.
        teaching: demonstrations, or a teacher.
        keep_buffer: save the buffer with the checkpoints, so that a resumed run continues with it.
        seed: seed of the sampling.
        frames: frames that the model sees. None: those of the trainer's model.
    """

    def __init__(
        self,
        batch_size: int = 32,
        steps_per_epoch: int = 1000,
        capacity: int = 100_000,
        warm_up: int = 5_000,
        n_step: int = 1,
        priorities: PriorityOptions = PriorityOptions(),
        teaching: Teaching = Teaching(),
        keep_buffer: bool = False,
        seed: int = 0,
        frames: FrameSpec | None = None,
    ) -> None:
        super().__init__()
        if min(batch_size, steps_per_epoch, warm_up) < 1 or warm_up > capacity:
            raise ValueError(
                f"batch_size, steps_per_epoch and warm_up are at least 1 and warm_up at most the capacity, but they "
                f"are {batch_size}, {steps_per_epoch}, {warm_up} and {capacity}"
            )
        self.batch_size, self.steps_per_epoch, self.capacity = batch_size, steps_per_epoch, capacity
        self.warm_up, self.n_step, self.priorities, self.teaching = warm_up, n_step, priorities, teaching
        self.seed, self.frames = seed, frames
        self.kept = KeptBuffer(keep_buffer)

    @property
    def buffer(self) -> ReplayBuffer | None:
        """The replay buffer, after it was opened."""
        return self.kept.buffer

    def open_buffer(
        self, lanes: int, *, stack: int, discount: float, actions: Actions, seen: tuple[int, int] | None = None
    ) -> ReplayBuffer:
        """Create the buffer with its demonstrations, or restore it if a run with `keep_buffer` is resumed.

        Args:
            lanes: environments that step together.
            stack: frames in an observation.
            discount: gamma per decision.
            actions: controls by name of each discrete action, or the names of continuous controls.
            seen: height and width of the environment's frames, which demonstrations must have; None: unknown.

        Raises:
            ValueError: it does not fit into memory, demonstrations have other frames or controls, or the saved buffer
                has other options.
            FileNotFoundError: demonstrations or the saved buffer do not exist.
        """
        spec = wanted_frames(self, self.frames)
        buffer = ReplayBuffer(
            self.capacity, lanes, buffer_shape(spec), action_shape(actions), stack=stack, n_step=self.n_step,
            discount=discount, alpha=self.priorities.alpha, seed=self.seed + rank_of(self),
        )  # fmt: skip
        paths = listed(self.teaching.demonstrations)
        if paths:
            reading = Reading(decoder=self.teaching.decoder, remote=self.teaching.remote)
            source = ClipSource(spec, reading, ClipControls(mean=True), self.seed)
            source.open("demonstrations", paths, "train", [])
            shown = read_demonstrations(source.readers["demonstrations"], actions, seen)
            buffer.add_demonstrations(shown.steps, shown.imitated)
        return self.kept.open(buffer, saved_buffers(self))

    def draw(self) -> Transitions:
        """The next batch.

        Raises:
            ValueError: the buffer is empty.
        """
        if self.buffer is None:
            raise ValueError("there is no replay buffer yet; a callback that acts opens it (open_buffer) and fills it")
        at = self.buffer.draws
        share = self.teaching.share.at(at) if self.teaching.demonstrations else 0.0
        return self.buffer.sample(self.batch_size, beta=self.priorities.beta.at(at), demonstration_share=share)

    def train_dataloader(self) -> DataLoader:
        """Batches, sampled on access in this process."""
        return ResumableLoader(Draws(self), **WHOLE_BATCHES)

    def val_dataloader(self) -> DataLoader:
        """One empty batch, so that callbacks that drive the model are called."""
        return DataLoader([0], batch_size=None)  # type: ignore[arg-type]

    def state_dict(self) -> dict[str, object]:
        """As `KeptBuffer.state_dict`."""
        return self.kept.state_dict()

    def load_state_dict(self, state_dict: dict[str, object]) -> None:
        """As `KeptBuffer.load_state_dict`."""
        self.kept.load_state_dict(state_dict)


class Draws(Dataset[Transitions]):
    """Batches of an epoch, sampled in the order of access, whatever the index.

    Args:
        data: samples them.
    """

    def __init__(self, data: ReplayDataModule) -> None:
        self.data = data

    def __len__(self) -> int:
        return self.data.steps_per_epoch

    def __getitem__(self, index: int) -> Transitions:
        return self.data.draw()


def buffer_shape(spec: FrameSpec) -> tuple[int, ...]:
    """Shape of a frame in a replay buffer: (H, W) of grey, (H, W, 3) of colour."""
    return (spec.height, spec.width) if spec.grey else (spec.height, spec.width, 3)


def action_shape(actions: Actions) -> tuple[int, ...]:
    """Shape of an action: () of discrete ones, (A,) of continuous controls."""
    return (len(actions),) if isinstance(actions[0], str) else ()


def saved_buffers(data: pl.LightningDataModule) -> Path | None:
    """Folder of a run's saved replay buffers, one per process; None without a trainer."""
    return None if data.trainer is None else Path(data.trainer.default_root_dir) / "replay" / str(rank_of(data))
