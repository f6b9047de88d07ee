"""Shared part of the callbacks that let the model drive while it trains: worker processes, scores, return curve."""

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
    """Counts decisions and returns of all lanes, and ends the worker processes with the run.

    Args:
        lanes: number of environments stepped together.
        workers: number of processes for the environments.
        first_seed: seed of the first track, at least 10,000; each episode takes the next one.
        max_frames: maximum length of an episode in frames; None: the environment's own.
        patience: frames without a new tile after which an episode is cut off. None: never.
        seed: seed of the actions' sampling.
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
        self.decisions = 0  # includes those that autoreset ignores: schedules count rounds of all lanes
        self.seconds, self.begun = 0.0, time.monotonic()  # training time of earlier processes; start of this one
        self.episodes, self.earned = np.zeros(lanes, np.int64), np.zeros(lanes)

    @property
    def trained_seconds(self) -> float:
        """Seconds of training so far, including earlier processes of a resumed run."""
        return self.seconds + time.monotonic() - self.begun

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add the result of `RolloutValidation` to the curve."""
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
        """Add a step of all lanes to the buffer; the current episode of lanes in `broken` (bool [N]) is dropped."""
        self.buffer.add(step)
        if broken.any():
            self.buffer.forget_episodes(broken)

    @staticmethod
    def keep_actions(done: list[list[np.ndarray]], actions: np.ndarray, now: LaneStates) -> None:
        """Add the actions [N, A] that led to `now` to those of each lane's unfinished episode, which begin anew."""
        for row, taken in enumerate(done):
            if now.first[row]:
                taken.clear()
            else:
                taken.append(actions[row])

    def keep_score(self, before: LaneStates, now: LaneStates) -> None:
        """Count decisions and record the returns of finished episodes."""
        self.earned = np.where(before.first, 0.0, self.earned) + now.rewards * now.valid
        self.decisions += self.lanes
        self.episodes = now.episodes
        for row in np.flatnonzero((now.terminated | now.truncated) & now.valid):
            fields = (self.earned[row], now.elapsed[row], now.lap[row], now.cut_off[row])
            self.curve.episodes.append((self.decisions, self.trained_seconds, *map(float, fields)))

    def publish(self, trainer: Trainer) -> None:
        """Write the curve to the run folder."""
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
        """Restore counters and curve. If the number of lanes changed, every lane continues from the highest episode."""
        self.decisions, self.seconds = state_dict["decisions"], state_dict["seconds"]
        self.curve.restore(state_dict)
        episodes = state_dict["episodes"].numpy()
        self.episodes = episodes if len(episodes) == self.lanes else np.full(self.lanes, episodes.max())
