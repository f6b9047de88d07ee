"""Logging a picture to the loggers that show images."""

from __future__ import annotations

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger

from racing_vpt.types import Frame


def log_picture(trainer: Trainer, name: str, picture: Frame) -> None:
    """Log a picture uint8 [H, W, 3] as `name` to tensorboard and wandb."""
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_image(name, picture, trainer.global_step, dataformats="HWC")
        elif isinstance(logger, WandbLogger):
            logger.log_image(name, [picture], step=trainer.global_step)
