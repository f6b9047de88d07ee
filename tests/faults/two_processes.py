"""What `test_two_processes.py` runs: `python two_processes.py DEVICES SHARDS FOLDER [kill]`, results as JSON."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from racing_vpt.callbacks.checkpoint_io import AtomicCheckpointIO
from racing_vpt.callbacks.finite_guard import FiniteGuard
from racing_vpt.callbacks.stop_signals import StopSignals
from racing_vpt.data.datamodule import VideoDataModule
from racing_vpt.models.vpt import VPT
from racing_vpt.nn.sizes import NetSize
from racing_vpt.types import Batch, FrameSpec

SIZE = NetSize(hidsize=16, attention_heads=2, n_recurrence_layers=1, attention_memory_size=24, timesteps=8)
STEPS = 4


class Notes(pl.Callback):
    """Notes clips, and lets the second process be killed at its third step where that is asked for."""

    def __init__(self, kill: bool) -> None:
        self.kill, self.ids = kill, []  # type: ignore[var-annotated]

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: dict, batch: Batch, batch_idx: int
    ) -> None:
        self.ids.append(batch.ids)
        if self.kill and trainer.global_rank == 1 and trainer.global_step == 3:
            os.kill(os.getpid(), signal.SIGKILL)


def main(devices: int, shards: str, folder: Path, kill: bool) -> None:
    """Train and validate on so many processes, the global batch being the same; go on where there is a checkpoint."""
    torch.set_num_threads(1)
    pl.seed_everything(3)
    module = VPT(
        frames=FrameSpec(height=24, width=24), size=SIZE, warmup_steps=0, schedule="constant",
        optimizer=lambda groups: torch.optim.SGD(groups, lr=0.05),
    )  # fmt: skip
    data = VideoDataModule(shards, batch_size=4 // devices, clip_frames=8, steps_per_epoch=STEPS)
    notes = Notes(kill)
    saver = ModelCheckpoint(folder, filename="last", enable_version_counter=False, every_n_train_steps=1)
    trainer = pl.Trainer(
        accelerator="cpu", devices=devices, strategy="ddp" if devices > 1 else "auto", max_steps=STEPS, logger=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0, use_distributed_sampler=False,
        default_root_dir=folder, plugins=[AtomicCheckpointIO()], callbacks=[FiniteGuard(), notes, saver, StopSignals()],
    )  # fmt: skip
    last = folder / "last.ckpt"
    trainer.fit(module, data, ckpt_path=str(last) if last.is_file() else None, weights_only=True)
    found = {
        "ids": notes.ids,
        "weights": {name: x.detach().flatten()[:50].tolist() for name, x in module.named_parameters()},
        "metrics": {name: float(x) for name, x in trainer.callback_metrics.items() if name.startswith("val/")},
    }
    (folder / f"rank{trainer.global_rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), "kill" in sys.argv)
