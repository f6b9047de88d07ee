"""What a world model is to whoever dreams in it, drives in it, or trains on what it dreams.

A state always ends with an observation. `observe` and `imagine` both take the action that was the answer to it and lead
to the next one; `observe` is told which one that is, `imagine` draws it, both without gradients. Observations are what
the model codes frames by: tokens int64 [B, K], or numbers float32 [B, D].
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

State = TypeVar("State")


class Imagined(NamedTuple):
    """The next observation [B, ...], the reward [B] of the step, the probability [B] that it ended the episode.

    Float32, and the state after it, which takes the place of the one before: that is used up.
    """

    observation: Tensor
    reward: Tensor
    end: Tensor
    state: object


class World(Protocol[State]):
    """A world model."""

    @property
    def controls(self) -> tuple[str, ...]:
        """Names of an action's numbers, in their order."""

    def code(self, frames: Tensor) -> Tensor:
        """Observations [N, ...] of frames uint8 [N, H, W, 3]."""

    def show(self, observations: Tensor) -> Tensor:
        """Pictures float32 [N, 3, H, W] in [0, 1] of observations [N, ...]."""

    def codes(self, observations: Tensor) -> Tensor:
        """What an agent may see instead of pictures: float32 [N, D] of observations [N, ...]."""

    def initial(self, batch: int) -> State:
        """The state of `batch` rows that saw nothing."""

    def observe(self, observations: Tensor, actions: Tensor, state: State, first: Tensor | None = None) -> State:
        """The state after T observations.

        Args:
            observations: [B, T, ...].
            actions: float32 [B, T, A]; action t answers observation t - 1, and the first one the state's last
                observation. It means nothing where the state saw nothing.
            state: is used up.
            first: bool [B, T], where an episode starts: all before is forgotten.
        """

    def imagine(
        self, actions: Tensor, state: State, tau: float = 1.0, generator: torch.Generator | None = None
    ) -> Imagined:
        """What follows from actions float32 [B, A], drawn at temperature tau; at 0 nothing is drawn."""


def led_here(actions: Tensor) -> Tensor:
    """Actions [B, T, A] that led to each frame, of those that answered it; the first is unknown, and 0."""
    return torch.cat([torch.zeros_like(actions[:, :1]), actions[:, :-1]], 1)


def seen_in(observation: Tensor | None) -> Tensor:
    """A state's last observation, for who imagines what follows; ValueError where nothing was seen."""
    if observation is None:
        raise ValueError("nothing was observed yet, so that nothing can be imagined; call observe first")
    return observation


def draw(logits: Tensor, tau: float, generator: torch.Generator | None = None) -> Tensor:
    """Classes int64 [...] drawn of logits [..., classes] at temperature tau; at 0 the likeliest."""
    if tau < 0:
        raise ValueError(f"a temperature is 0 or more, but tau {tau} was given")
    if tau == 0:
        return logits.argmax(-1)
    uniform = torch.rand(logits.shape, generator=generator, device=logits.device, dtype=torch.float32)
    gumbel = -(-uniform.clamp(min=1e-20).log()).clamp(min=1e-20).log()  # the largest is drawn with the right share
    return (logits.float() / tau + gumbel).argmax(-1)
