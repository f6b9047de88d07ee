"""Transitions for a model that learns from what it does: drawn from a replay buffer that a callback fills."""

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
    """How often each transition is drawn (prioritised replay, Schaul et al. 2016, arXiv:1511.05952).

    Args:
        alpha: how strongly a transition's TD error decides how often it is drawn, 0 to 1; None: all alike.
        beta: how far importance weights correct for that (section 3.4; its table 3 begins at 0.4).
    """

    alpha: float | None = None
    beta: Ramp = Ramp(0.4, 1.0, 100_000)


@dataclass(frozen=True)
class Teaching:
    """What is learnt from besides own experience: recordings of a good driver, or an expert who is asked.

    Args:
        demonstrations: folders or URLs of shards, or folders of recordings; their split `train` is used.
        share: share of a batch that demonstrations are, over the batches.
        teacher: `expert:five` or `expert:eleven`, who is asked at each decision of the learner what it would do
            (DAgger, Ross et al. 2011, arXiv:1011.0686). Unlike demonstrations, that shows how to recover from the
            learner's own mistakes.
        decoder: of demonstrations: auto, decord, torchcodec or pyav.
        remote: how demonstrations at a URL are read.
    """

    demonstrations: list[str] | str | None = None
    share: Ramp = Ramp(0.25, 0.05, 100_000)
    teacher: str | None = None
    decoder: Decoder = "auto"
    remote: Remote = Remote()


class ReplayDataModule(pl.LightningDataModule):
    """Transitions from a replay buffer; each batch is drawn at the moment that it is fetched.

    Which transitions those are is a function of the seed, of the number of batches before and of what is in the buffer.
    A callback that acts calls `open_buffer` in `on_fit_start`, fills `buffer` up to `warm_up` transitions in
    `on_train_start` (before the first batch is fetched), adds steps in `on_train_batch_end`, and calls
    `buffer.update_priorities(batch.index, td_error)` there.

    Args:
        batch_size: transitions in a batch, on each device.
        steps_per_epoch: batches in an epoch.
        capacity: steps kept of all environments together; each of 84x84 grey takes 7 kB.
        warm_up: transitions in the buffer before learning begins.
        n_step: rewards summed before bootstrapping.
        priorities: how often each transition is drawn.
        teaching: demonstrations, or a teacher.
        keep_buffer: save the buffer beside the checkpoints, so that a run goes on with it; otherwise it is filled anew.
        seed: of the draws.
        frames: what the model sees. None: as the trainer's model says.
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
        """The replay buffer, once it was opened."""
        return self.kept.buffer

    def open_buffer(
        self, lanes: int, *, stack: int, discount: float, actions: Actions, seen: tuple[int, int] | None = None
    ) -> ReplayBuffer:
        """Make the buffer with the demonstrations in it; where a run goes on with `keep_buffer`, as it was.

        Args:
            lanes: environments that step together.
            stack: frames in an observation.
            discount: gamma, of a decision.
            actions: controls by name of each discrete action, or the names of continuous controls.
            seen: height and width of the environment's frames, which demonstrations must have; None: not known.

        Raises:
            ValueError: it does not fit into memory; demonstrations of other frames or controls; a saved buffer of other
                options.
            FileNotFoundError: there are no demonstrations, or the saved buffer is gone.
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
            ValueError: there is nothing in the buffer yet.
        """
        if self.buffer is None:
            raise ValueError("there is no replay buffer yet; a callback that acts opens it (open_buffer) and fills it")
        at = self.buffer.draws
        share = self.teaching.share.at(at) if self.teaching.demonstrations else 0.0
        return self.buffer.sample(self.batch_size, beta=self.priorities.beta.at(at), demonstration_share=share)

    def train_dataloader(self) -> DataLoader:
        """Batches, each drawn when it is asked for, in this process."""
        return ResumableLoader(Draws(self), **WHOLE_BATCHES)

    def val_dataloader(self) -> DataLoader:
        """One empty batch, so that callbacks that drive the model to judge it are called."""
        return DataLoader([0], batch_size=None)  # type: ignore[arg-type]

    def state_dict(self) -> dict[str, object]:
        """As `KeptBuffer.state_dict`."""
        return self.kept.state_dict()

    def load_state_dict(self, state_dict: dict[str, object]) -> None:
        """As `KeptBuffer.load_state_dict`."""
        self.kept.load_state_dict(state_dict)


class Draws(Dataset[Transitions]):
    """The batches of an epoch; which comes depends on when it is asked for, not on the index.

    Args:
        data: draws them.
    """

    def __init__(self, data: ReplayDataModule) -> None:
        self.data = data

    def __len__(self) -> int:
        return self.data.steps_per_epoch

    def __getitem__(self, index: int) -> Transitions:
        return self.data.draw()


def buffer_shape(spec: FrameSpec) -> tuple[int, ...]:
    """Shape of a frame as a replay buffer keeps it: (H, W) of grey, (H, W, 3) of colour."""
    return (spec.height, spec.width) if spec.grey else (spec.height, spec.width, 3)


def action_shape(actions: Actions) -> tuple[int, ...]:
    """Shape of an action: () of discrete ones, (A,) of continuous controls."""
    return (len(actions),) if isinstance(actions[0], str) else ()


def saved_buffers(data: pl.LightningDataModule) -> Path | None:
    """Folder of a run's saved replay buffers, one a process; None where there is no trainer."""
    return None if data.trainer is None else Path(data.trainer.default_root_dir) / "replay" / str(rank_of(data))
