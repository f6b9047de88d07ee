"""What callbacks share that let the model drive in processes of their own: the processes, scores, the curve."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from racing_vpt.callbacks.return_curve import ReturnCurve
from racing_vpt.replay.buffer import ReplayBuffer
from racing_vpt.rollout.actors import Actors
from racing_vpt.rollout.lanes import LaneStates
from racing_vpt.seeds import check_training_seed
from racing_vpt.types import LaneStep


class Driving(Callback):
    """Counts what lanes do, and ends their processes with the run.

    Args:
        lanes: environments that step together.
        workers: processes that they are in.
        first_seed: of the tracks, from 10,000 on; each episode takes the next one.
        max_frames: end episodes after so many frames; None leaves it to the environment.
        patience: frames without a new tile after which an episode is cut off. None: never.
        seed: of what is drawn.
    """

    buffer: ReplayBuffer

    def __init__(
        self, lanes: int, workers: int, first_seed: int, max_frames: int | None, patience: int | None, seed: int
    ) -> None:
        check_training_seed(first_seed)
        self.lanes, self.workers, self.first_seed = lanes, workers, first_seed
        self.max_frames, self.patience, self.seed = max_frames, patience, seed
        self.actors: Actors | None = None
        self.curve = ReturnCurve()
        self.decisions = 0  # those that autoreset ignores too: a round has its place in every schedule
        self.seconds, self.begun = 0.0, time.monotonic()  # of training, before this process; and when that began
        self.episodes, self.earned = np.zeros(lanes, np.int64), np.zeros(lanes)

    @property
    def trained_seconds(self) -> float:
        """Seconds of training so far, those before a stop included."""
        return self.seconds + time.monotonic() - self.begun

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the drive of `RolloutValidation` into the curve."""
        metrics = trainer.callback_metrics
        if trainer.sanity_checking or "rollout/return" not in metrics or self.actors is None:
            return
        drive = [float(metrics[f"rollout/{name}"]) for name in ("return", "laps_finished")]
        self.curve.drives.append((self.decisions, self.trained_seconds, *drive))
        self.publish(trainer)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.begun = time.monotonic()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.actors is not None:
            self.publish(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self.close()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.close()

    def close(self) -> None:
        """End the processes."""
        if self.actors is not None:
            self.actors.close()
            self.actors = None

    def keep(self, step: LaneStep, broken: np.ndarray) -> None:
        """Put a step of all lanes into the buffer; what lanes with `broken` bool [N] were in is forgotten."""
        self.buffer.add(step)
        if broken.any():
            self.buffer.forget_episodes(broken)

    def keep_score(self, before: LaneStates, now: LaneStates) -> None:
        """Count decisions, and note the episodes that ended."""
        self.earned = np.where(before.first, 0.0, self.earned) + now.rewards * now.valid
        self.decisions += self.lanes
        self.episodes = now.episodes
        for row in np.flatnonzero((now.terminated | now.truncated) & now.valid):
            fields = (self.earned[row], now.elapsed[row], now.lap[row], now.cut_off[row])
            self.curve.episodes.append((self.decisions, self.trained_seconds, *map(float, fields)))

    def publish(self, trainer: Trainer) -> None:
        """The curve, into the run folder."""
        if trainer.log_dir is not None:
            self.curve.publish(Path(trainer.log_dir), trainer)

    def state_dict(self) -> dict[str, object]:
        """Counters and the curve."""
        return {
            "decisions": self.decisions,
            "seconds": self.trained_seconds,
            "episodes": torch.from_numpy(self.episodes.copy()),
            **self.curve.state(),
        }

    def load_state_dict(self, state_dict: dict) -> None:
        """Go on from there; where there are other lanes than there were, each goes on from the highest episode."""
        self.decisions, self.seconds = state_dict["decisions"], state_dict["seconds"]
        self.curve.restore(state_dict)
        episodes = state_dict["episodes"].numpy()
        self.episodes = episodes if len(episodes) == self.lanes else np.full(self.lanes, episodes.max())
