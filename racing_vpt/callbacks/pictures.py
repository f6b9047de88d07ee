"""Pictures of a world model's reconstructions and predictions after each validation."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

import cv2
from lightning.pytorch import Callback, LightningModule, Trainer

from racing_vpt.callbacks.images import log_picture
from racing_vpt.files import published
from racing_vpt.types import Batch, Frame


@runtime_checkable
class Pictured(Protocol):
    """A module with `pictures`."""

    def pictures(self, batch: Batch) -> dict[str, Frame]:
        """Pictures uint8 [H, W, 3] of a batch, by name."""


class Pictures(Callback):
    """Writes the module's pictures of the first validation batch to `media/reconstructions/NAME-step=N.png` in the run
    folder, and to tensorboard or wandb as `val/NAME`. Uses the weight average where there is one.
    """

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        folder = trainer.log_dir or trainer.default_root_dir  # on every rank, because Lightning broadcasts it
        if batch_idx or dataloader_idx or trainer.sanity_checking or not trainer.is_global_zero:
            return
        if not isinstance(pl_module, Pictured):
            raise ValueError(f"callback Pictures needs a model that draws, which {type(pl_module).__name__} does not")
        if not batch.valid.any():
            return
        for name, picture in pl_module.pictures(batch).items():
            path = Path(folder) / "media" / "reconstructions" / f"{name}-step={trainer.global_step}.png"
            with published(path) as temporary:
                temporary.write_bytes(cv2.imencode(".png", picture[..., ::-1])[1].tobytes())
            log_picture(trainer, f"val/{name}", picture)
