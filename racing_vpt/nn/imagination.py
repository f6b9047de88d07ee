"""The interface of all world models: for training, for dreams and for play.

A state always ends with an observation. `observe` and `imagine` both take the action that answered it and lead to the
next observation: `observe` is given it, `imagine` samples it; both without gradients. Observations are codes of
frames: tokens int64 [B, K], or vectors float32 [B, D].
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

State = TypeVar("State")


class Imagined(NamedTuple):
    """The next observation [B, ...], the reward [B] of the step, the probability [B] that it ended the episode.

    Float32; and the state after it. The state before may no longer be used.
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
        """Codes float32 [N, D] of observations [N, ...], which an agent may see instead of pictures."""

    def initial(self, batch: int) -> State:
        """State of `batch` rows before the first observation."""

    def observe(self, observations: Tensor, actions: Tensor, state: State, first: Tensor | None = None) -> State:
        """State after T more observations.

        Args:
            observations: [B, T, ...].
            actions: float32 [B, T, A]; action t answers observation t - 1, and the first one the state's last
                observation (it is ignored before the first observation).
            state: may no longer be used afterwards.
            first: bool [B, T], where an episode starts: everything before is forgotten.
        """

    def imagine(
        self, actions: Tensor, state: State, tau: float = 1.0, generator: torch.Generator | None = None
    ) -> Imagined:
        """Next step for actions float32 [B, A], sampled at temperature tau; deterministic at 0."""


def led_here(actions: Tensor) -> Tensor:
    """Actions [B, T, A] that led to each frame, from those that answered each; the first is unknown and set to 0."""
    return torch.cat([torch.zeros_like(actions[:, :1]), actions[:, :-1]], 1)


def seen_in(observation: Tensor | None) -> Tensor:
    """The last observation of a state; ValueError before the first one."""
    if observation is None:
        raise ValueError("nothing was observed yet; call observe before imagine")
    return observation


def draw(logits: Tensor, tau: float, generator: torch.Generator | None = None) -> Tensor:
    """Classes int64 [...] sampled from logits [..., classes] at temperature tau; at 0 the most likely."""
    if tau < 0:
        raise ValueError(f"tau must be 0 or more, but {tau} was given")
    if tau == 0:
        return logits.argmax(-1)
    uniform = torch.rand(logits.shape, generator=generator, device=logits.device, dtype=torch.float32)
    gumbel = -(-uniform.clamp(min=1e-20).log()).clamp(min=1e-20).log()  # Gumbel-max: the largest is a sample
    return (logits.float() / tau + gumbel).argmax(-1)
