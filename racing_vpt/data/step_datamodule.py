"""Training steps without data, for a model that steps its own environments."""

from __future__ import annotations

import lightning.pytorch as pl
from torch.utils.data import DataLoader


class StepDataModule(pl.LightningDataModule):
    """Counts training steps, for a model that learns from its own experience (`learns_from = "experience"`).

    Args:
        steps_per_epoch: steps per epoch.
    """

    def __init__(self, steps_per_epoch: int = 1) -> None:
        super().__init__()
        if steps_per_epoch < 1:
            raise ValueError(f"steps_per_epoch must be at least 1, but {steps_per_epoch} was given")
        self.steps_per_epoch = steps_per_epoch

    def train_dataloader(self) -> DataLoader:
        """The steps of an epoch, as numbers."""
        return DataLoader(range(self.steps_per_epoch), batch_size=None)  # type: ignore[arg-type]
