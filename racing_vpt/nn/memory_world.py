"""The memory of World Models (`memory.py`) as an `imagination.World`: one code a frame, drawn from a mixture."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from racing_vpt.games.controls import CARRACING_CONTROLS
from racing_vpt.nn.imagination import Imagined, seen_in
from racing_vpt.nn.memory import MemoryNet, MemoryState
from racing_vpt.nn.vae_net import VAENet


class CodeState(NamedTuple):
    """What the LSTM remembers of all frames but the last, and the last one's code [B, latent]; None: nothing seen."""

    memory: MemoryState
    observation: Tensor | None

    def copy(self) -> CodeState:
        """Nothing here is changed in place."""
        return self


class CodeEye:
    """The eye of World Models alone: a frame's code is its mean.

    Args:
        vae: the eye.
    """

    def __init__(self, vae: VAENet) -> None:
        self.vae = vae

    def code(self, frames: Tensor) -> Tensor:
        """Means of codes float32 [N, latent] of frames uint8 [N, 64, 64, 3]."""
        return self.vae.encode(frames).mean

    def show(self, observations: Tensor) -> Tensor:
        """Pictures float32 [N, 3, 64, 64] in [0, 1] of codes [N, latent]."""
        return self.vae.decode(observations)


class MemoryWorld(CodeEye):
    """Eye and memory of World Models behind the interface of all world models.

    Args:
        vae: the eye.
        memory: with heads for reward and end.
    """

    controls = CARRACING_CONTROLS

    def __init__(self, vae: VAENet, memory: MemoryNet) -> None:
        if memory.outcome is None:
            raise ValueError(
                "this memory has no heads for reward and end, so that nothing can be imagined with it; train one with "
                "--model.outcomes true"
            )
        super().__init__(vae)
        self.memory = memory

    def codes(self, observations: Tensor) -> Tensor:
        """Codes [N, latent]: the observations themselves."""
        return observations

    def initial(self, batch: int) -> CodeState:
        """The state of `batch` rows that saw nothing."""
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
        observation = self.memory.predict(memory[0]).draw(tau, generator)
        return Imagined(observation, reward, end.sigmoid(), CodeState(memory, observation))
