"""What `test_two_processes.py` runs: `python two_processes.py DEVICES SHARDS FOLDER KIND... [kill|slow|divided]`.

All is computed in double precision, and noise is left out: what float32 rounds away grows a thousandfold within two
steps wherever it decides which of two equal pixels a max pooling takes.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from datetime import timedelta
from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.strategies import ModelParallelStrategy
from torch.distributed.distributed_c10d import _set_pg_timeout
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from racing_vpt.callbacks.checkpoint_io import AtomicCheckpointIO
from racing_vpt.callbacks.finite_guard import FiniteGuard
from racing_vpt.callbacks.labels import WriteLabels
from racing_vpt.callbacks.stop_signals import StopSignals
from racing_vpt.data.clip_controls import ClipControls
from racing_vpt.data.clip_datamodule import ClipDataModule
from racing_vpt.data.clip_source import Reading
from racing_vpt.data.window_datamodule import WindowDataModule
from racing_vpt.models.idm import IDM
from racing_vpt.models.idm_config import IDMConfig, IDMLossConfig
from racing_vpt.models.mdn_rnn import MDNRNN
from racing_vpt.models.token_world import TokenWorld
from racing_vpt.models.vae import VAE
from racing_vpt.models.vpt import VPT
from racing_vpt.models.vpt_config import PolicyConfig
from racing_vpt.models.world_config import WorldConfig
from racing_vpt.nn.sizes import NetSize
from racing_vpt.nn.token_blocks import WorldSize
from racing_vpt.nn.tokenizer_net import TokenizerConfig
from racing_vpt.types import Batch, FrameSpec

SPEC = FrameSpec(height=24, width=24)
SIZE = NetSize(hidsize=16, attention_heads=2, n_recurrence_layers=1, attention_memory_size=80, timesteps=8)
SMALL = NetSize(hidsize=16, attention_heads=2, n_recurrence_layers=1, attention_memory_size=8, timesteps=8,
                relative_window=4)  # fmt: skip
STEPS = 4
LEARNING_RATES = {"VPT": 0.05, "IDM": 0.05, "VAE": 1e-5, "MDNRNN": 1e-3, "TokenWorld": 0.1}


class Notes(pl.Callback):
    """Notes clips and weights of frames; the second process is killed at its third step where that is asked for."""

    def __init__(self, kill: bool) -> None:
        self.kill = kill
        self.ids: list[list[str]] = []
        self.counted: list[float] = []

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: dict, batch: Batch, batch_idx: int
    ) -> None:
        self.ids.append(batch.ids)
        self.counted.append(float((batch.weight * batch.valid).sum()))
        if self.kill and trainer.global_rank == 1 and trainer.global_step == 3:
            (Path(trainer.default_root_dir) / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)


def model_of(kind: str, folder: Path) -> pl.LightningModule:
    """A small model that is trained by SGD, which is linear in the gradient: Adam would hide a factor."""
    pl.seed_everything(3)
    rate = LEARNING_RATES[kind]

    def sgd(groups: object) -> torch.optim.Optimizer:
        return torch.optim.SGD(groups, lr=rate)  # type: ignore[arg-type]

    if kind == "VAE":
        return VAE(optimizer=sgd)
    if kind == "TokenWorld":
        size = WorldSize(layers=1, width=16, heads=2, window=3, dropout=0.0)
        tokens, frames = str(folder.parent / "tokens"), FrameSpec(height=64, width=64)
        world, tokenizer = WorldConfig(size, "frame"), TokenizerConfig("tiny")
        return TokenWorld(frames=frames, world=world, tokenizer=tokenizer, init_tokenizer=tokens, optimizer=sgd)
    if kind == "MDNRNN":
        return MDNRNN(vae=str(folder.parent / "eye"), width=16, optimizer=sgd)
    options = {"frames": SPEC, "warmup_steps": 0, "schedule": "constant", "optimizer": sgd}
    if kind == "VPT":
        model: VPT | IDM = VPT(network=PolicyConfig(SIZE), **options)  # type: ignore[arg-type]
    else:
        model = IDM(network=IDMConfig(SMALL), margin=2, loss=IDMLossConfig(mean_weight=0.3), **options)  # type: ignore[arg-type]
    model.net.img_process.register_forward_pre_hook(lambda _, given: (given[0].double(), *given[1:]))
    return model


def divide(module: VPT | IDM) -> None:
    """Divide the weights over the processes by FSDP2, block by block; what holds one number cannot be divided."""
    mesh = module.device_mesh["data_parallel"]  # type: ignore[index]
    for block in module.net.recurrent_layer.blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(module, mesh=mesh, ignored_params={x for x in module.parameters() if not x.numel() or not x.ndim})


def train_divided(kind: str, devices: int, shards: str, folder: Path) -> None:
    """Train as large models are, each process holding a part of the weights."""
    torch.Tensor.float = torch.Tensor.double  # type: ignore[method-assign]
    torch.set_default_dtype(torch.float64)
    module, strategy = model_of(kind, folder), ModelParallelStrategy(data_parallel_size=2, tensor_parallel_size=1)
    if devices > 1:
        module.configure_model = lambda: divide(module)  # type: ignore[arg-type,method-assign]
    trainer = trainer_of(devices, folder, FiniteGuard(), **({"strategy": strategy} if devices > 1 else {}))
    trainer.fit(module, ClipDataModule(shards, batch_size=4 // devices, clip_frames=20, steps_per_epoch=STEPS))
    parts = {name: x.detach() for name, x in module.named_parameters() if x.numel()}
    weights = {name: x.full_tensor() if isinstance(x, DTensor) else x for name, x in parts.items()}
    found = {
        "weights": {name: x.flatten()[:50].tolist() for name, x in weights.items()},
        "divided": sum(isinstance(x, DTensor) for x in parts.values()),
        "count": len(parts),
    }
    (folder / f"{kind}-divided-{trainer.global_rank}.json").write_text(json.dumps(found))


def trainer_of(devices: int, folder: Path, *callbacks: pl.Callback, **more: object) -> pl.Trainer:
    options = {"strategy": "ddp" if devices > 1 else "auto", **more}
    return pl.Trainer(
        accelerator="cpu", devices=devices, max_steps=STEPS, logger=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, use_distributed_sampler=False, default_root_dir=folder,
        plugins=[AtomicCheckpointIO()], callbacks=[*callbacks], **options,  # type: ignore[arg-type]
    )  # fmt: skip


class Slow(pl.Callback):
    """Keeps the first process longer than processes wait for each other: a quarter of a minute, once they began."""

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        _set_pg_timeout(timedelta(seconds=15))

    def on_predict_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: dict, batch: Batch, batch_idx: int
    ) -> None:
        if trainer.global_rank == 0 and batch_idx == 0:
            time.sleep(25)


def train(kind: str, devices: int, shards: str, folder: Path, kill: bool) -> None:
    """Train and validate on so many processes, the global batch being the same; go on where there is a checkpoint."""
    torch.Tensor.float = torch.Tensor.double  # type: ignore[method-assign]
    torch.set_default_dtype(torch.float64)
    module = model_of(kind, folder)
    trained = {name: x for name, x in module.named_parameters() if x.numel()}
    before = {name: x.detach().clone() for name, x in trained.items()}
    draws, torch.randn = torch.randn, lambda *shape, **_: torch.zeros(*shape)  # type: ignore[assignment]

    def data_of(clip_frames: int) -> ClipDataModule:  # 60 frames: some episodes are shorter, and rows padded
        return ClipDataModule(
            shards,
            batch_size=4 // devices,
            clip_frames=clip_frames,
            steps_per_epoch=STEPS,
            controls=ClipControls(perturbed="ignore"),
            reading=Reading(codes=folder / "codes"),
        )

    notes = Notes(kill)
    saver = ModelCheckpoint(folder / kind, filename="last", enable_version_counter=False, every_n_train_steps=1)
    trainer = trainer_of(devices, folder, FiniteGuard(), notes, saver, StopSignals(), precision="64-true")
    last = folder / kind / "last.ckpt"
    trainer.fit(module, data_of(60), ckpt_path=str(last) if last.is_file() else None, weights_only=True)
    metrics = {name: float(x) for name, x in trainer.callback_metrics.items() if name.startswith("val/")}
    trainer.validate(module, data_of(100), verbose=False)  # two clips: the second of two processes has none
    whole = {f"whole {name}": float(x) for name, x in trainer.callback_metrics.items() if name.startswith("val/")}
    found = {
        "ids": notes.ids,
        "counted": notes.counted,
        "weights": {name: x.detach().flatten()[:50].tolist() for name, x in trained.items()},
        "moved": {name: float((x.detach() - before[name]).norm(torch.inf)) for name, x in trained.items()},
        "metrics": metrics | whole,
    }
    (folder / f"{kind}-{trainer.global_rank}.json").write_text(json.dumps(found))
    torch.randn = draws


def label(devices: int, videos: str, folder: Path, slow: bool) -> None:
    """Label videos, of which there may be fewer than processes."""
    module, writer = IDM(frames=SPEC, network=IDMConfig(SMALL)), WriteLabels(folder / "labels", "raise", "tiny")
    trainer = trainer_of(devices, folder, writer, *([Slow()] if slow else []))
    trainer.predict(module, WindowDataModule(videos=videos, window=16, window_stride=8), return_predictions=False)
    (folder / f"labels-{trainer.global_rank}.json").write_text(json.dumps(vars(writer.tally)))


if __name__ == "__main__":
    torch.set_num_threads(1)
    count, source, target = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    for name in sys.argv[4:]:
        if name == "label":
            label(count, source, target, "slow" in sys.argv)
        elif "divided" in sys.argv and name != "divided":
            train_divided(name, count, source, target)
        elif name not in ("kill", "slow", "divided"):
            train(name, count, source, target, "kill" in sys.argv)
