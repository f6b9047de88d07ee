"""The estimate of a training step's memory equals the real peak."""

from __future__ import annotations

import pytest
import torch

from racing_vpt.callbacks.training_memory import GIB, LiveBytes, training_memory
from racing_vpt.models.vpt import VPT
from racing_vpt.models.vpt_config import CloningConfig, FreezingConfig, PolicyConfig
from racing_vpt.nn.sizes import NetSize
from racing_vpt.types import Batch, FrameChanges

SIZE = NetSize(hidsize=64, attention_heads=4, impala_chans=(8, 16), n_recurrence_layers=2, attention_memory_size=24,
               timesteps=16)  # fmt: skip
OPENAI = FrameChanges(height=128, width=128, resize="linear", hide=(), frames_per_second=20.0)
SMALL = FrameChanges(height=64, width=64)


def really_alive(module: VPT, B: int, T: int) -> int:
    """Peak memory of a real step in bytes, without weights."""
    module.log = module.log_dict = lambda *args, **kwargs: None  # type: ignore[method-assign,assignment]
    with LiveBytes(module.parameters()) as live:
        frames = torch.zeros(B, T, 64, 64, 3, dtype=torch.uint8)
        controls = {name: torch.zeros(B, T) for name in module.scheme.controls}
        flags = torch.ones(B, T, dtype=torch.bool)
        loss, _, _ = module.train().clone(Batch(frames, controls, ~flags, flags, torch.ones(B, T)), "train")
        loss.backward()
        return live.most


@pytest.mark.parametrize("recompute", [None, 4])
def test_the_estimate_equals_the_measured_peak(recompute: int | None) -> None:
    policy = VPT("carracing", SMALL, PolicyConfig(SIZE), recompute=recompute)
    estimate = training_memory(policy, 2, 8)
    assert estimate.weights == sum(weight.nbytes for weight in policy.parameters())
    assert estimate.optimizer == 2 * estimate.gradients
    assert estimate.rest + estimate.gradients == pytest.approx(really_alive(policy, 2, 8), rel=0.1)


def test_frozen_parts_need_no_gradients_and_no_optimizer_state() -> None:
    policy = VPT("carracing", SMALL, PolicyConfig(SIZE), freezing=FreezingConfig(("net",)))
    estimate = training_memory(policy, 2, 8)
    assert estimate.gradients == sum(weight.nbytes for weight in policy.pi_head.parameters())
    assert estimate.rest < training_memory(VPT("carracing", SMALL, PolicyConfig(SIZE)), 2, 8).rest / 2


def test_the_published_1x_fine_tunes_in_8_gb_as_configured() -> None:
    """Four chunks of 128 frames at a time; 1.6 GiB, where keeping all would take 16 (LOG.md has what was measured)."""
    with torch.device("meta"):
        policy = VPT(
            "minecraft", OPENAI, PolicyConfig("1x"), CloningConfig(carry_memory=True, null_filter=True), recompute=32
        )  # fmt: skip
    estimate = training_memory(policy, 4, 128)
    assert estimate.weights / GIB == pytest.approx(0.26, abs=0.01)
    assert estimate.total < 0.5 * 8 * GIB, str(estimate)
