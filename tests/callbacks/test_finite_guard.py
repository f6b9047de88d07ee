"""NaN and infinity are detected before the optimizer step, and named."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from torch import Tensor

from racing_vpt.agents.solo import SoloAgent
from racing_vpt.callbacks.finite_guard import FiniteGuard
from racing_vpt.envs.make import make_env
from racing_vpt.types import Batch, Controls, Frame
from tests.episodes import run_episode


class Fragile(pl.LightningModule):
    """Learns one number; its loss is NaN, or its gradient infinite, at given steps."""

    def __init__(self, bad_loss: tuple[int, ...] = (), bad_gradient: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.good, self.other = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
        self.bad_loss, self.bad_gradient = bad_loss, bad_gradient
        self.seen: list[list[float]] = []

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        self.seen.append([float(x) for x in self.other.weight])
        weight = batch.controls["steering"].mean()
        loss = self.good(torch.ones(1)).sum() + self.other(torch.ones(1)).sum() + 0 * weight
        if self.global_step in self.bad_loss:
            loss = loss * math.nan
        if self.global_step in self.bad_gradient:
            loss = loss + (self.other.weight - self.other.weight.detach()).abs().sqrt().sum()  # 0, of infinite slope
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=0.1)


def batch_of(steering: float = 0.0) -> Batch:
    flags = torch.zeros(1, 3, dtype=torch.bool)
    controls = {"steering": torch.tensor([[0.0, steering, 0.0]])}
    return Batch(torch.zeros(1, 3, 2, 2, 3), controls, flags, ~flags, torch.ones(1, 3), ids=["lap-7:64"])


def train(module: Fragile, guard: FiniteGuard, batches: list[Batch]) -> None:
    loader = torch.utils.data.DataLoader(batches, batch_size=None, collate_fn=lambda batch: batch)  # type: ignore[arg-type]
    pl.Trainer(
        max_steps=len(batches), accelerator="cpu", logger=False, enable_checkpointing=False, callbacks=[guard],
        enable_progress_bar=False, enable_model_summary=False, gradient_clip_val=1.0,
    ).fit(module, loader)  # fmt: skip


def test_a_loss_that_is_nan_stops_the_run_and_names_the_clip() -> None:
    with pytest.raises(ValueError, match=r"step 2: the loss is nan.*good\.weight.*clips lap-7:64.*on_found: skip"):
        train(Fragile(bad_loss=(2,)), FiniteGuard(), [batch_of()] * 5)


def test_a_gradient_that_is_infinite_is_named_with_its_parameter_alone() -> None:
    with pytest.raises(ValueError, match=r"gradients are not finite in other\.weight; the data is finite") as raised:
        train(Fragile(bad_gradient=(1,)), FiniteGuard(), [batch_of()] * 5)
    assert "good.weight" not in str(raised.value)


def test_a_number_of_the_data_is_named_with_episode_and_frame() -> None:
    with pytest.raises(ValueError, match=r"data not finite: steering of lap-7, frame 65"):
        train(Fragile(), FiniteGuard(), [batch_of(), batch_of(math.inf)])


def test_a_skipped_step_leaves_the_weights_as_they_were_and_training_goes_on() -> None:
    module, guard = Fragile(bad_loss=(2,), bad_gradient=(4,)), FiniteGuard("skip")
    train(module, guard, [batch_of()] * 7)
    assert guard.skipped == 2
    values = [x for (x,) in module.seen]
    changed = [after != before for before, after in pairwise(values)]
    assert changed == [True, True, False, True, False, True]
    assert all(bool(x.isfinite().all()) for x in module.parameters())


def test_a_run_that_skips_ends_once_the_weights_are_lost() -> None:
    module = Fragile()
    with torch.no_grad():
        module.good.weight.fill_(math.nan)
    with pytest.raises(ValueError, match=r"weights were already not finite in good\.weight.*3 steps before it"):
        train(module, FiniteGuard("skip", most_skips=3), [batch_of()] * 9)


class Lost(SoloAgent):
    """Steers by NaN from its fourth frame on."""

    calls = 0

    def reset(self) -> None:
        self.calls = 0

    def act(self, frame: Frame) -> Controls:
        self.calls += 1
        return {"steering": math.nan if self.calls > 3 else 0.0, "throttle": 0.1, "brake": 0.0, "gear_change": 0.0}


def test_an_action_that_is_nan_never_reaches_the_simulator(tmp_path: Path) -> None:
    env = make_env("racing_vpt/CarRacingFast-v3")
    with pytest.raises(ValueError, match=r"seed 1003, frame 3.*steering=nan"):
        run_episode(env, Lost(), 1003)
    assert np.isfinite(env.unwrapped.car.hull.position).all()
    env.close()
