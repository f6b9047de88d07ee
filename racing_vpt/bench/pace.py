"""How fast this machine is now, beside the one on which the demo's times were measured.

The reference machine: two idle cores of an AMD EPYC (Zen 4) virtual machine.
"""

from __future__ import annotations

import time
from pathlib import Path

REFERENCE_SECONDS = 0.080  # of one round of the work below
MOST_SECONDS = 3.0  # that measuring may take


def slowdown() -> float:
    """How many times as long as on the reference machine one training step of a small network takes here and now.

    The median of as many steps as fit into three seconds, on all cores, so that other programs count.
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
    """Whether the processor multiplies bf16 numbers by itself (Linux says); where it does not, bf16 is slower."""
    about = Path("/proc/cpuinfo")
    return about.is_file() and any(flag in about.read_text() for flag in ("avx512_bf16", "amx_bf16"))
