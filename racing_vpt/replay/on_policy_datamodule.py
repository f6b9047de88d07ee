"""Batches for a policy that learns from what it just did: a callback drives, and each rollout is used a few times."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader, Dataset

from racing_vpt.data.loaders import WHOLE_BATCHES, ResumableLoader
from racing_vpt.data.trainer_facts import rank_of, steps_done
from racing_vpt.replay.on_policy import Rollout
from racing_vpt.types import PolicyBatch


class OnPolicyDataModule(pl.LightningDataModule):
    """Batches of the current rollout; an epoch of the trainer is an iteration: drive, then learn from it.

    The order of the batches is a function of seed and step. A callback fills `rollout` before each epoch.

    Args:
        lanes: environments stepped together, on each device.
        steps: decisions of each lane in an iteration.
        epochs: times that each decision is learned from.
        batch_size: decisions in a batch, on each device; it divides `lanes` x `steps`.
        sequence: consecutive decisions that a policy with memory learns from at once; it divides `steps` and
            `batch_size`. A policy without memory learns from single decisions.
        seed: seed of the order.
    """

    def __init__(
        self,
        lanes: int = 64,
        steps: int = 128,
        epochs: int = 2,
        batch_size: int = 512,
        sequence: int = 32,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if min(lanes, steps, epochs, batch_size, sequence) < 1:
            raise ValueError(
                "lanes, steps, epochs, batch_size and sequence must be at least 1, but they are "
                f"{lanes}, {steps}, {epochs}, {batch_size} and {sequence}"
            )
        if lanes * steps % batch_size or steps % sequence or batch_size % sequence:
            raise ValueError(
                f"batch_size divides lanes x steps, and sequence divides steps and batch_size, but lanes {lanes}, "
                f"steps {steps}, batch_size {batch_size} and sequence {sequence} were given"
            )
        self.lanes, self.steps, self.epochs, self.batch_size = lanes, steps, epochs, batch_size
        self.sequence, self.seed = sequence, seed
        self.rollout: Rollout | None = None
        self.iteration = 0  # of the rollout

    @property
    def batches_per_epoch(self) -> int:
        """Batches that hold each decision of a rollout once."""
        return self.lanes * self.steps // self.batch_size

    @property
    def updates_per_iteration(self) -> int:
        """Batches drawn from a rollout."""
        return self.batches_per_epoch * self.epochs

    def draw(self) -> PolicyBatch:
        """The batch of the next update.

        Raises:
            ValueError: nothing was driven.
        """
        if self.rollout is None:
            raise ValueError(
                "there is no rollout to learn from; a callback drives: add "
                "racing_vpt.callbacks.reinforcement.Reinforcement to trainer.callbacks"
            )
        update = steps_done(self) % self.updates_per_iteration
        epoch, place = divmod(update, self.batches_per_epoch)
        draws = torch.Generator().manual_seed(
            ((self.seed * 1009 + rank_of(self)) << 40) + self.iteration * self.epochs + epoch
        )
        order = torch.randperm(self.rollout.num_sequences, generator=draws)
        rows = self.batch_size // self.rollout.chunk
        return self.rollout.batch(order[place * rows : (place + 1) * rows], self.iteration)

    def train_dataloader(self) -> DataLoader:
        """Batches, taken on access in this process."""
        return ResumableLoader(Updates(self), **WHOLE_BATCHES)

    def val_dataloader(self) -> DataLoader:
        """One empty batch, so that callbacks that drive the model are called."""
        return DataLoader([0], batch_size=None)  # type: ignore[arg-type]

    def state_dict(self) -> dict[str, object]:
        """The rollout, where a run is stopped while it learns from it; between two there is nothing to keep."""
        if self.rollout is None or steps_done(self) % self.updates_per_iteration == 0:
            return {}
        return {
            "iteration": self.iteration,
            "rollout": {each.name: getattr(self.rollout, each.name) for each in fields(Rollout)},
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue with the rollout of `state_dict`."""
        if "rollout" in state_dict:
            self.rollout, self.iteration = Rollout(**state_dict["rollout"]), state_dict["iteration"]


class Updates(Dataset[PolicyBatch]):
    """Batches of an iteration, in the order of access, whatever the index.

    Args:
        data: gives them.
    """

    def __init__(self, data: OnPolicyDataModule) -> None:
        self.data = data

    def __len__(self) -> int:
        return self.data.updates_per_iteration

    def __getitem__(self, index: int) -> PolicyBatch:
        return self.data.draw()
