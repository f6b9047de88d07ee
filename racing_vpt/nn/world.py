"""Eye and memory together, and the linear layer that drives by them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from racing_vpt.nn.memory import MemoryNet, MemoryState
from racing_vpt.nn.vae_net import VAENet


class WorldNet(nn.Module):
    """What a controller sees of the world: the code of a frame, and what is remembered of those before.

    Args:
        vae: codes frames; the mean of a code is taken, so that the same drive is the same again.
        memory: None: the code alone is seen.
        held_at_zero: the memory is never written to, so that what is remembered stays 0.
    """

    def __init__(self, vae: VAENet, memory: MemoryNet | None, held_at_zero: bool = False) -> None:
        super().__init__()
        self.vae, self.memory, self.held_at_zero = vae, memory, held_at_zero

    @property
    def width(self) -> int:
        """Numbers that the controller sees."""
        return self.vae.latent + (self.memory.width if self.memory is not None else 0)

    def initial_state(self, n: int, device: torch.device | str = "cpu") -> MemoryState:
        """The memory before an episode's first frame."""
        if self.memory is None:
            return torch.zeros(n, 1, device=device), torch.zeros(n, 1, device=device)
        return self.memory.initial_state(n, device)

    def features(self, z: Tensor, state: MemoryState) -> Tensor:
        """What the controller sees, float32 [N, width]: the code, and what was remembered before it."""
        return z if self.memory is None else torch.cat([z, state[0]], -1)

    def remember(self, z: Tensor, actions: Tensor, state: MemoryState) -> MemoryState:
        """The state after a frame of code [N, latent] was answered with actions [N, 3]."""
        if self.memory is None or self.held_at_zero:
            return state
        return self.memory.step(z, actions, state)


def drive(parameters: Tensor, features: Tensor) -> Tensor:
    """Steering, throttle and brake float32 [N, 3] by controllers [N, 3 * (width + 1)], each on its features [N, width].

    Args:
        parameters: each row is the weights [3, width], row after row, and then the biases [3].
    """
    width = features.shape[1]
    weights, bias = parameters[:, : 3 * width].view(-1, 3, width), parameters[:, 3 * width :]
    raw = (torch.einsum("nof,nf->no", weights, features) + bias).tanh()
    return torch.stack([raw[:, 0], (raw[:, 1] + 1) / 2, raw[:, 2].clamp(min=0)], -1)
