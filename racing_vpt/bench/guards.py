"""Cost of the callbacks that guard training, measured with and without them in alternating blocks of steps."""

from __future__ import annotations

import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from lightning.pytorch import Callback, LightningModule, Trainer

if TYPE_CHECKING:
    from racing_vpt.types import Batch

BETWEEN_SAVES = 1000  # steps, in configs/vpt.yaml
CLIPS, FRAMES, PIXELS = 256, 5, 64  # of a batch in configs/vpt.yaml
WARM_UP = 2  # blocks before timing starts


class Turns(Callback):
    """Times blocks of steps, alternately with and without the guards.

    Args:
        steps: steps per block.
        guards: callbacks to remove and restore; the trainer starts with them.
    """

    def __init__(self, steps: int, guards: list[Callback]) -> None:
        self.steps, self.guards = steps, guards
        self.guarded = True
        self.seconds: dict[bool, list[float]] = {True: [], False: []}
        self.cpu_seconds: dict[bool, list[float]] = {True: [], False: []}
        self.begun: tuple[float, float] | None = None

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        if batch_idx % self.steps:
            return
        now = time.perf_counter(), time.process_time()
        if self.begun is not None:
            done = not self.guarded  # the guards change with each block
            self.seconds[done].append(now[0] - self.begun[0])
            self.cpu_seconds[done].append(now[1] - self.begun[1])
        self.begun = now

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        if trainer.global_step % self.steps == 0:  # a new list: Lightning is iterating over the old one
            self.guarded = not self.guarded
            trainer.callbacks = [x for x in trainer.callbacks if x not in self.guards]  # type: ignore[attr-defined]
            trainer.callbacks += self.guards if self.guarded else []  # type: ignore[attr-defined]


def bench_guards(steps: int = 8, blocks: int = 40, clips: int = CLIPS) -> dict[str, float]:
    """Train a policy as configs/vpt.yaml does, on a single batch, and save it with our writer and `torch.save`.

    Args:
        steps: steps per block.
        blocks: blocks with the guards of a step (NaN, seeds, signals); as many run without.
        clips: clips per batch.

    Returns:
        Seconds of a `step` without guards and of a plain `save`; what the guards add to a step, as a share
        (`step_added` in wall time, `step_added_cpu` in CPU time), and to a save, in seconds (`save_added`); and
        `added`, the share that they add to a training which saves every 1000 steps.
    """
    import numpy as np
    from lightning.fabric.plugins.io import TorchCheckpointIO
    from torch.utils.data import DataLoader

    from racing_vpt.callbacks.checkpoint_io import AtomicCheckpointIO
    from racing_vpt.callbacks.finite_guard import FiniteGuard
    from racing_vpt.callbacks.step_seed import StepSeed
    from racing_vpt.callbacks.stop_signals import StopSignals
    from racing_vpt.data.loaders import WHOLE_BATCHES
    from racing_vpt.models.vpt import VPT
    from racing_vpt.models.vpt_config import PolicyConfig

    guards = [FiniteGuard(), StepSeed(0), StopSignals()]
    turns = Turns(steps, guards)
    batch = batch_of(clips)
    total = (2 * (blocks + WARM_UP)) * steps + 1
    module = VPT(network=PolicyConfig(look_back=(0, 4), recurrence_layers=0))
    saves: dict[str, list[float]] = {"plain": [], "whole": []}
    with TemporaryDirectory(dir=".") as folder:  # on the disk of the runs
        trainer = Trainer(
            max_steps=total, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
            gradient_clip_val=5.0, callbacks=[turns, *guards], default_root_dir=folder,
        )  # fmt: skip
        trainer.fit(module, DataLoader([batch] * total, **WHOLE_BATCHES))  # type: ignore[arg-type]
        state = {"state_dict": module.state_dict(), "optimizer_states": [x.state_dict() for x in trainer.optimizers]}
        for _ in range(8):
            for name, io in (("plain", TorchCheckpointIO()), ("whole", AtomicCheckpointIO())):
                begun = time.perf_counter()
                io.save_checkpoint(state, Path(folder) / f"{name}.ckpt")
                saves[name].append(time.perf_counter() - begun)
    half = {guarded: np.array(turns.seconds[guarded][WARM_UP:]) for guarded in (True, False)}
    cpu = {guarded: np.array(turns.cpu_seconds[guarded][WARM_UP:]) for guarded in (True, False)}
    step, save = float(np.median(half[False])) / steps, float(np.median(saves["plain"]))
    figures = {
        "step": step,
        "step_added": float(np.median(half[True] / half[False])) - 1,
        "step_added_cpu": float(np.median(cpu[True] / cpu[False])) - 1,
        "save": save,
        "save_added": float(np.median(saves["whole"])) - save,
    }
    figures["added"] = figures["step_added"] + figures["save_added"] / (BETWEEN_SAVES * step)
    print(
        f"guards: steps of {step * 1000:.0f} ms take {figures['step_added']:+.2%} ({figures['step_added_cpu']:+.2%} of "
        f"the processor's time; {blocks} blocks of {steps} steps each way), a checkpoint of {save * 1000:.0f} ms "
        f"{figures['save_added'] * 1000:+.0f} ms; with one every {BETWEEN_SAVES} steps {figures['added']:+.2%} in all "
        f"(load {os.getloadavg()[0]:.1f})"
    )
    return figures


def batch_of(clips: int) -> Batch:
    """A batch of noise, all frames valid."""
    import torch

    from racing_vpt.games.read import load_game
    from racing_vpt.types import Batch

    shape = (clips, FRAMES)
    first = torch.zeros(shape, dtype=torch.bool)
    return Batch(
        torch.randint(0, 256, (*shape, PIXELS, PIXELS, 3), dtype=torch.uint8),
        {name: torch.rand(shape) for name in load_game("carracing").control_names},
        first, ~first, torch.ones(shape), ids=[f"noise:{row}" for row in range(clips)],
    )  # fmt: skip
