"""VAE and MDN-RNN of World Models as an `imagination.World`: one code per frame, sampled from a mixture."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from racing_vpt.nn.imagination import Imagined, seen_in
from racing_vpt.nn.memory import MemoryNet, MemoryState
from racing_vpt.nn.vae_net import VAENet


class CodeState(NamedTuple):
    """State of the LSTM after all frames but the last, and the last one's code [B, latent] (None before the first)."""

    memory: MemoryState
    observation: Tensor | None

    def copy(self) -> CodeState:
        """The state itself, which is never changed in place."""
        return self


class CodeEye:
    """The VAE of World Models: encodes frames by the mean of their code, and decodes codes.

    Args:
        vae: the network.
    """

    def __init__(self, vae: VAENet) -> None:
        self.vae = vae

    def code(self, frames: Tensor) -> Tensor:
        """Codes float32 [N, latent], by their means, of frames uint8 [N, 64, 64, 3]."""
        return self.vae.encode(frames).mean

    def show(self, observations: Tensor) -> Tensor:
        """Pictures float32 [N, 3, 64, 64] in [0, 1] of codes [N, latent]."""
        return self.vae.decode(observations)


class MemoryWorld(CodeEye):
    """VAE and MDN-RNN of World Models as a world model.

    Args:
        vae: encodes frames and decodes codes.
        memory: LSTM and heads, those for reward and end included.
        controls: names of an action's numbers, in their order.
        copies: number of equal groups of rows that draw the same random numbers, so that candidates are compared
            without luck.
    """

    def __init__(self, vae: VAENet, memory: MemoryNet, controls: tuple[str, ...], copies: int = 1) -> None:
        if memory.outcome is None:
            raise ValueError(
                "this MDN-RNN has no heads for reward and end, which imagining needs; train one with "
                "--model.outcomes true"
            )
        super().__init__(vae)
        self.memory = memory
        self.controls = controls
        self.copies = copies

    def codes(self, observations: Tensor) -> Tensor:
        """Codes [N, latent], which are the observations."""
        return observations

    def initial(self, batch: int) -> CodeState:
        """State of `batch` rows before the first observation."""
        return CodeState(self.memory.initial_state(batch, self.memory.lstm.bias.device), None)

    def observe(
        self, observations: Tensor, actions: Tensor, state: CodeState, first: Tensor | None = None
    ) -> CodeState:
        """As `imagination.World.observe`."""
        for step in range(observations.shape[1]):
            if state.observation is not None:
                memory = self.memory.step(state.observation, actions[:, step], state.memory)
                if first is not None:
                    memory = (memory[0] * ~first[:, step, None], memory[1] * ~first[:, step, None])
                state = state._replace(memory=memory)
            state = state._replace(observation=observations[:, step])
        return state

    def imagine(
        self, actions: Tensor, state: CodeState, tau: float = 1.0, generator: torch.Generator | None = None
    ) -> Imagined:
        """As `imagination.World.imagine`."""
        last = seen_in(state.observation)
        memory = self.memory.step(last, actions, state.memory)
        reward, end = self.memory.outcomes(memory[0])
        observation = self.memory.predict(memory[0]).draw(tau, generator, self.copies)
        return Imagined(observation, reward, end.sigmoid(), CodeState(memory, observation))
