"""A drive of IRIS's actor in the world model's imagination, as frames."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from racing_vpt.models.iris import IRIS
from racing_vpt.nn.dreaming import dream
from racing_vpt.nn.imagination import led_here
from racing_vpt.nn.tokenizer_net import frames_of
from racing_vpt.types import Batch


class ImaginedDrive(NamedTuple):
    """T steps: frames uint8 [T, H, W, 3], actions float32 [T, A], rewards float32 [T], and whether it ended."""

    frames: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    ended: bool


@torch.no_grad()
def imagined_drive(module: IRIS, batch: Batch, steps: int, seed: int) -> ImaginedDrive:
    """Continue the start of a batch's longest clip in imagination, with sampled actions, until the episode ends.

    Args:
        module: the IRIS.
        batch: clips with frames and controls.
        steps: maximum number of steps.
        seed: seed of all draws.
    """
    row = int(batch.valid.sum(1).argmax())
    seen = min(module.dreams.burn_in + 1, int(batch.valid[row].sum()))
    tokens = module.world.code(batch.frames[row, :seen]).unsqueeze(0)
    done = torch.stack([batch.controls[name][row, :seen] for name in module.control_names], -1).unsqueeze(0)
    draws = torch.Generator(module.device).manual_seed(seed)
    found = dream(module.world, module.agent, tokens, led_here(done), steps, tau=module.dreams.tau, generator=draws)
    ends = torch.rand(steps, generator=draws, device=module.device) < found.ends[0]
    ended = bool(ends.any())
    count = int(ends.int().argmax()) + 1 if ended else steps
    frames = frames_of(module.world.show(found.observations[0, :count])).cpu().numpy()
    return ImaginedDrive(frames, found.actions[0, :count].cpu().numpy(), found.rewards[0, :count].cpu().numpy(), ended)
