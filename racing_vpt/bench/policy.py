"""Latency of a policy: one step of `drive` in one environment, memory included."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from racing_vpt.agents.checkpoint import CheckpointAgent

SIZES = {"tiny": ("carracing", 64), "small": ("carracing", 64), "1x": ("minecraft", 128), "2x": ("minecraft", 128)}
ON_CPU = (("tiny", False), ("small", False), ("1x", False), ("1x", True))  # size, bf16
WARM_UP = 20  # steps before timing starts


def bench_policy(steps: int = 300) -> dict[str, dict[str, float]]:
    """Time single steps of policies with random weights, from frame to controls.

    On the CPU with torch's number of threads; on a GPU, if there is one, also size 2x in bf16, compiled.

    Args:
        steps: number of timed steps per size.

    Returns:
        By size `median_ms`, `p99_ms`, `least_ms`, and `share`: the share of the cores that this process got. Below
        about 0.9 other programs were running, which affects the 99th percentile.
    """
    import torch

    threads, figures = torch.get_num_threads(), {}
    for size, bf16 in ON_CPU:
        figures[f"{size} {'bf16' if bf16 else 'float32'}"] = timed(agent_of(size, bf16=bf16), size, steps, threads)
    if torch.cuda.is_available():
        agent = agent_of("2x", device="cuda", bf16=True, compiled=True)
        figures["2x bf16 GPU"] = timed(agent, "2x", steps, threads=1)
    for name, figure in figures.items():
        print(
            f"policy step {name}: median {figure['median_ms']:.1f} ms, 99th percentile {figure['p99_ms']:.1f} ms, "
            f"least {figure['least_ms']:.1f} ms ({steps} steps, {threads} threads, {figure['share']:.0%} of the cores, "
            f"load {os.getloadavg()[0]:.1f})"
        )
    return figures


def agent_of(size: str, *, device: str = "cpu", bf16: bool = False, compiled: bool = False) -> CheckpointAgent:
    """Agent with a policy of the given size, random weights and memory, as in `drive`."""
    from racing_vpt.agents.checkpoint import CheckpointAgent
    from racing_vpt.models.vpt import VPT
    from racing_vpt.models.vpt_config import PolicyConfig
    from racing_vpt.types import FrameChanges

    game, pixels = SIZES[size]
    module = VPT(game=game, frames=FrameChanges(pixels, pixels), network=PolicyConfig(size))
    return CheckpointAgent(module.hasten(bf16=bf16, compiled=compiled), device)


def timed(agent: CheckpointAgent, size: str, steps: int, threads: int) -> dict[str, float]:
    """Milliseconds of each of `steps` steps of the agent, on different frames."""
    import numpy as np

    pixels = SIZES[size][1]
    frames = np.random.default_rng(0).integers(0, 256, (8, pixels, pixels, 3), dtype=np.uint8)
    for step in range(WARM_UP):
        agent.act(frames[step % len(frames)])
    milliseconds = []
    begun, used = time.perf_counter(), time.process_time()
    for step in range(steps):
        before = time.perf_counter()
        agent.act(frames[step % len(frames)])  # returns numbers, so the GPU has finished
        milliseconds.append((time.perf_counter() - before) * 1000)
    share = (time.process_time() - used) / (time.perf_counter() - begun) / threads
    return {
        "median_ms": float(np.median(milliseconds)),
        "p99_ms": float(np.percentile(milliseconds, 99)),
        "least_ms": float(np.min(milliseconds)),
        "share": share,
    }
