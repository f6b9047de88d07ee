"""Resampling of sequences with time stamps to a uniform clock and back.

Video has 24, 25, 30, 50 or 60 frames per second, or a variable rate. Convolutions over time need uniform steps, and
repeating or dropping frames makes motion stop or jump. So features of frames are interpolated linearly to the ticks of
a clock, and the network's outputs at the ticks back to the frames' times. For frames at the clock's rate both are the
identity.
"""

from __future__ import annotations

import torch
from torch import Tensor

LEAST_INTERVAL, LONGEST_INTERVAL = 0.2, 10.0  # ticks between two frames; others are broken time stamps or pauses


def interpolate(values: Tensor, times: Tensor, at: Tensor) -> Tensor:
    """Values float32 [B, N, D] at increasing times [B, N], linearly interpolated at times [B, M]: [B, M, D].

    Before the first and after the last known time the value is constant.
    """
    N = times.shape[1]
    if N == 1:
        return values.expand(-1, at.shape[1], -1)
    right = torch.searchsorted(times.contiguous(), at.contiguous(), right=True).clamp(1, N - 1)  # [B, M]
    before, after = times.gather(1, right - 1), times.gather(1, right)
    share = ((at - before) / (after - before).clamp(min=1e-6)).clamp(0, 1).unsqueeze(-1)
    index = right.unsqueeze(-1).expand(-1, -1, values.shape[-1])
    return torch.lerp(values.gather(1, index - 1), values.gather(1, index), share)


def steady_clock(times: Tensor, valid: Tensor, step: float) -> Tensor:
    """Times [B, G] of clock ticks every `step` seconds from each row's first frame; G covers the longest row.

    Args:
        times: float32 [B, T], seconds, rising.
        valid: bool [B, T], false for padding at the end.
        step: seconds.
    """
    start = times[:, :1]
    longest = ((times - start) * valid).amax().item()
    return start + step * torch.arange(int(longest / step + 0.999) + 1, device=times.device)


def intervals(times: Tensor, step: float) -> tuple[Tensor, Tensor]:
    """Length [B, T] of the interval from each frame to the next, in steps, and its middle [B, T] in seconds.

    The last frame's interval is as long as the one before it.
    """
    length = torch.diff(times, dim=1)
    length = torch.cat([length, length[:, -1:] if length.shape[1] else torch.full_like(times, step)], 1)
    return (length / step).clamp(LEAST_INTERVAL, LONGEST_INTERVAL), times + length / 2
