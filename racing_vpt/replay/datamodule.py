"""Batches for a model that learns from what it does: drawn from a replay buffer that a callback fills meanwhile."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from torch.utils.data import DataLoader, Dataset

from racing_vpt.data.datamodule import VideoDataModule
from racing_vpt.data.dataset import WHOLE_BATCHES, ResumableLoader
from racing_vpt.data.remote import Remote
from racing_vpt.replay.buffer import ReplayBuffer
from racing_vpt.replay.buffer_files import ReplayFiles
from racing_vpt.replay.demonstrations import Actions, read_demonstrations
from racing_vpt.types import FrameSpec, Segments, Transitions
from racing_vpt.video.decode import Decoder, choose_decoder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ramp:
    """A number that goes from one value to another in a straight line, and stays there.

    Args:
        start: at the first batch.
        end: after `steps` batches.
        steps: batches that it takes; 0: it has its end from the beginning.
    """

    start: float
    end: float
    steps: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.start <= 1 or not 0 <= self.end <= 1 or self.steps < 0:
            raise ValueError(
                f"start and end are between 0 and 1 and steps at least 0, but they are {self.start}, {self.end} and "
                f"{self.steps}"
            )

    def at(self, step: int) -> float:
        """The number at a batch."""
        return self.start + (self.end - self.start) * (min(1.0, step / self.steps) if self.steps else 1.0)


BETA = Ramp(0.4, 1.0, 100_000)  # Schaul et al. 2016, table 3
SHARE = Ramp(0.25, 0.05, 100_000)


class ReplayDataModule(VideoDataModule):
    """Owns the replay buffer; each training batch is drawn from it at the moment that the batch is fetched.

    Which transitions those are is a function of the seed, of the number of batches before and of what is in the buffer.
    Life of a run: whoever acts (a callback) calls `open_buffer` in `on_fit_start`, fills `buffer` up to `warm_up`
    transitions in `on_train_start` (before the first batch is fetched), adds steps in `on_train_batch_end`, and calls
    `buffer.update_priorities(batch.index, td_error)` there.

    Args:
        batch_size: transitions in a batch, on each device.
        steps_per_epoch: batches in an epoch.
        capacity: steps kept of all environments together; each of 84x84 grey takes 7 kB.
        warm_up: transitions in the buffer before learning begins.
        n_step: rewards summed before bootstrapping.
        prioritised: alpha, how far a transition's TD error decides how often it is drawn; None: all alike.
        beta: how far weights make up for that.
        demonstrations: folders or URLs of shards, or folders of recordings, that are learnt from besides; their split
            `train` is used.
        demonstration_share: share of a batch that they are.
        teacher: `expert:five` or `expert:eleven`, who is asked at each decision of the learner what it would do there
            (DAgger, Ross et al. 2011, arXiv:1011.0686): unlike demonstrations, that tells how to get out of the
            learner's own mistakes.
        stretch: T: batches are segments of T consecutive steps, for world models, instead of transitions.
        keep_buffer: save the buffer beside the checkpoints, so that a run goes on with it; else it is filled anew.
        seed: of the draws.
        decoder: of demonstrations: auto, decord, torchcodec or pyav.
        frames: what the model wants to see. None: what the trainer's model says.
        remote: how shards at a URL are read.
    """

    def __init__(
        self,
        batch_size: int = 32,
        steps_per_epoch: int = 1000,
        capacity: int = 100_000,
        warm_up: int = 5_000,
        n_step: int = 1,
        prioritised: float | None = None,
        beta: Ramp = BETA,
        demonstrations: list[str] | str | None = None,
        demonstration_share: Ramp = SHARE,
        teacher: str | None = None,
        stretch: int | None = None,
        keep_buffer: bool = False,
        seed: int = 0,
        decoder: Decoder = "auto",
        frames: FrameSpec | None = None,
        remote: Remote | None = None,
    ) -> None:
        super().__init__(
            demonstrations, batch_size=batch_size, steps_per_epoch=steps_per_epoch, seed=seed, decoder=decoder,
            mean_controls=True, frames=frames, remote=remote,
        )  # fmt: skip
        if min(steps_per_epoch, warm_up, stretch or 1) < 1 or warm_up > capacity:
            raise ValueError(
                f"steps_per_epoch and warm_up are at least 1 and warm_up at most the capacity, but they are "
                f"{steps_per_epoch}, {warm_up} and {capacity}"
            )
        self.capacity, self.warm_up, self.n_step, self.prioritised = capacity, warm_up, n_step, prioritised
        self.beta, self.demonstration_share, self.stretch = beta, demonstration_share, stretch
        self.keep_buffer, self.teacher = keep_buffer, teacher
        self.buffer: ReplayBuffer | None = None
        self._files: ReplayFiles | None = None
        self._restored: dict[str, object] = {}

    def setup(self, stage: str | None = None) -> None:
        """Nothing: the buffer is opened by whoever fills it."""

    def open_buffer(
        self, lanes: int, *, stack: int, discount: float, actions: Actions, seen: tuple[int, int] | None = None
    ) -> ReplayBuffer:
        """Make the buffer, as it was where a run goes on with `keep_buffer`, with the demonstrations in it.

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
        spec = self.spec
        shape = (spec.height, spec.width) if spec.grey else (spec.height, spec.width, 3)
        self.buffer = ReplayBuffer(
            self.capacity, lanes, shape, (len(actions),) if isinstance(actions[0], str) else (), stack=stack,
            n_step=self.n_step, discount=discount, prioritised=self.prioritised, seed=self.seed + self._rank,
        )  # fmt: skip
        if self.train:
            self._decoder = choose_decoder(self.decoder, "cpu")
            self._open("train", self.train, "train", [])
            shown = read_demonstrations(self._readers["train"], actions, seen)
            self.buffer.add_demonstrations(shown.steps, shown.imitated)
        if self.trainer is not None:
            self._files = ReplayFiles(Path(self.trainer.default_root_dir) / "replay" / str(self._rank), self.buffer)
        self._resume()
        return self.buffer

    def draw(self) -> Transitions | Segments:
        """The next batch.

        Raises:
            ValueError: there is nothing in the buffer yet.
        """
        if self.buffer is None:
            raise ValueError("there is no replay buffer yet; a callback that acts opens it (open_buffer) and fills it")
        if self.stretch is not None:
            return self.buffer.sample_segments(self.batch_size, self.stretch)
        at = self.buffer.draws
        share = self.demonstration_share.at(at) if self.train else 0.0
        return self.buffer.sample(self.batch_size, beta=self.beta.at(at), demonstration_share=share)

    def train_dataloader(self) -> DataLoader:
        """Batches, each drawn when it is asked for, in this process."""
        return ResumableLoader(Draws(self), **WHOLE_BATCHES)

    def val_dataloader(self) -> DataLoader | list[DataLoader]:
        """One empty batch: the turn of callbacks that drive the model to judge it."""
        return DataLoader([0], batch_size=None)  # type: ignore[arg-type]

    def state_dict(self) -> dict[str, object]:
        """How many batches were drawn, and the name of the buffer's state, which is saved now, where it is kept."""
        state: dict[str, object] = {"draws": 0 if self.buffer is None else self.buffer.draws}
        if self.keep_buffer and self._files is not None:
            state["buffer"] = self._files.save()
        return state

    def load_state_dict(self, state_dict: dict[str, object]) -> None:
        """Go on from there once the buffer is opened."""
        self._restored = state_dict
        if self.buffer is not None:
            self._resume()

    def _resume(self) -> None:
        if not self._restored:
            return
        assert self.buffer is not None
        name, self.buffer.draws = self._restored.get("buffer"), int(str(self._restored["draws"]))
        if self.keep_buffer and isinstance(name, str) and self._files is not None:
            self._files.load(name)
        else:
            log.info("the replay buffer was not kept, or is not wanted: it is filled anew before learning goes on")


class Draws(Dataset[Transitions | Segments]):
    """Batches of an epoch; which comes is not a matter of the index, but of when it is asked for.

    Args:
        data: draws them.
    """

    def __init__(self, data: ReplayDataModule) -> None:
        self.data = data

    def __len__(self) -> int:
        return self.data.steps_per_epoch or 1

    def __getitem__(self, index: int) -> Transitions | Segments:
        return self.data.draw()
