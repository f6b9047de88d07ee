"""Current speed of this machine relative to the one on which the demo's times were measured.

Reference machine: two idle cores of an AMD EPYC (Zen 4) virtual machine.
"""

from __future__ import annotations

import time
from pathlib import Path

REFERENCE_SECONDS = 0.080  # of one step below, on the reference machine
MOST_SECONDS = 3.0  # to measure for


def slowdown() -> float:
    """Time of a training step of a small network, relative to the reference machine.

    It is the median over as many steps as fit into three seconds, on all cores, so that other load counts.
    """
    import torch

    network = torch.nn.Sequential(
        torch.nn.Conv2d(6, 32, 8, stride=4), torch.nn.ReLU(), torch.nn.Conv2d(32, 64, 3), torch.nn.ReLU()
    )
    pictures = torch.rand(256, 6, 64, 64)
    seconds: list[float] = []
    begun = time.monotonic()
    while time.monotonic() - begun < MOST_SECONDS or len(seconds) < 3:
        before = time.monotonic()
        network(pictures).square().mean().backward()
        seconds.append(time.monotonic() - before)
    return sorted(seconds)[len(seconds) // 2] / REFERENCE_SECONDS


def has_fast_bf16() -> bool:
    """Whether the CPU has bf16 instructions (known on Linux only); without them bf16 is slower than float32."""
    about = Path("/proc/cpuinfo")
    return about.is_file() and any(flag in about.read_text() for flag in ("avx512_bf16", "amx_bf16"))
