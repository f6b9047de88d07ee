"""Features of a World Models controller, and its linear layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from racing_vpt.nn.memory import MemoryNet, MemoryState
from racing_vpt.nn.vae_net import VAENet

NUM_CONTROLS = 3  # outputs of `drive`: steering, throttle and brake


class WorldNet(nn.Module):
    """VAE and memory that a controller drives by: the code of a frame, and the LSTM's output before it.

    Args:
        vae: encodes frames by the mean of their code, so that drives are reproducible.
        memory: the MDN-RNN; None: the code alone is used.
        controls: names of an action's three numbers.
        held_at_zero: never update the memory, so that its output stays 0.
    """

    def __init__(
        self, vae: VAENet, memory: MemoryNet | None, controls: tuple[str, ...], held_at_zero: bool = False
    ) -> None:
        super().__init__()
        self.vae, self.memory, self.controls, self.held_at_zero = vae, memory, controls, held_at_zero

    @property
    def width(self) -> int:
        """Number of features."""
        return self.vae.latent + (self.memory.width if self.memory is not None else 0)

    def initial_state(self, n: int, device: torch.device | str = "cpu") -> MemoryState:
        """Memory before an episode's first frame."""
        if self.memory is None:
            return torch.zeros(n, 1, device=device), torch.zeros(n, 1, device=device)
        return self.memory.initial_state(n, device)

    def features(self, z: Tensor, state: MemoryState) -> Tensor:
        """Features float32 [N, width]: the code, and the LSTM's output before it."""
        return z if self.memory is None else torch.cat([z, state[0]], -1)

    def remember(self, z: Tensor, actions: Tensor, state: MemoryState) -> MemoryState:
        """State after a frame with code [N, latent] was answered by actions [N, 3]."""
        if self.memory is None or self.held_at_zero:
            return state
        return self.memory.step(z, actions, state)


def drive(parameters: Tensor, features: Tensor) -> Tensor:
    """Steering, throttle and brake float32 [N, 3] of controllers [N, 3 * (width + 1)] for their features [N, width].

    Args:
        parameters: rows of flattened weights [3, width], followed by the biases [3].
        features: one row for each controller.
    """
    width = features.shape[1]
    weights, bias = parameters[:, : 3 * width].view(-1, 3, width), parameters[:, 3 * width :]
    raw = (torch.einsum("nof,nf->no", weights, features) + bias).tanh()
    return torch.stack([raw[:, 0], (raw[:, 1] + 1) / 2, raw[:, 2].clamp(min=0)], -1)
