"""A world model to drive in, one frame per step, and reconstructions of real frames.

Every `World` of `nn/imagination.py` is played in the same way. Its memory is never reset between the beginning of a
dream and its end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from racing_vpt.frames import prepare, unstretched
from racing_vpt.games.game import Game
from racing_vpt.nn.imagination import World
from racing_vpt.nn.picture_losses import psnr
from racing_vpt.nn.tokenizer_net import frames_of, pictures_of
from racing_vpt.types import Controls, Frame, FrameSpec


class Begun(NamedTuple):
    """Where a dream begins.

    Args:
        observation: [1, ...], of the first frame that is shown.
        state: of the world that saw it.
        before: [T, ...], what the world saw before, oldest first; T may be 0.
    """

    observation: Tensor
    state: Any
    before: Tensor


Beginning = Callable[[torch.Generator], Begun]
"""Draws where a dream begins."""


class Dreamt(NamedTuple):
    """What followed a step: the frame uint8 [H, W, 3], the reward, and whether the dream ended."""

    frame: Frame
    reward: float
    ended: bool


class Imagination(Protocol):
    """What playing in a world model needs of it."""

    game: Game
    frames: FrameSpec
    tau: float  # temperature
    observation: Tensor  # [1, ...], of the frame that is seen now
    picture: Tensor  # float32 [1, 3, H, W] in [0, 1], the same as a picture
    before: Tensor  # [T, ...], observations before this dream, oldest first; T may be 0

    @property
    def controls(self) -> tuple[str, ...]:
        """Names of the controls that the world model takes."""

    def begin(self, seed: int) -> Frame:
        """The first frame uint8 [H, W, 3] of a new dream, which is a function of the seed and of what is done."""

    def step(self, controls: Controls) -> Dreamt:
        """What follows from controls by name; those not given are 0."""


class Eye(Protocol):
    """Codes frames and decodes codes; a `World` does both."""

    def code(self, frames: Tensor) -> Tensor: ...

    def show(self, observations: Tensor) -> Tensor: ...


class WorldImagination:
    """One dream at a time in a world model.

    Args:
        world: the model.
        game: that it was trained on.
        frames: what the model takes.
        beginning: draws where dreams begin.
        tau: temperature; at 0 nothing is drawn.
    """

    observation: Tensor
    picture: Tensor
    before: Tensor

    def __init__(
        self, world: World[Any], game: Game, frames: FrameSpec, beginning: Beginning, tau: float = 1.0
    ) -> None:
        if not tau >= 0:
            raise ValueError(f"a temperature is 0 or more, but --tau {tau} was given")
        self.world, self.game, self.frames = world, game, frames
        self.beginning, self.tau = beginning, tau
        self.random = torch.Generator()

    @property
    def controls(self) -> tuple[str, ...]:
        return self.world.controls

    @torch.inference_mode()
    def begin(self, seed: int) -> Frame:
        self.random.manual_seed(seed)
        self.observation, self.state, self.before = self.beginning(self.random)
        return self.shown()

    @torch.inference_mode()
    def step(self, controls: Controls) -> Dreamt:
        action = torch.tensor([[controls.get(name, 0.0) for name in self.controls]])
        found = self.world.imagine(action, self.state, self.tau, self.random)
        self.observation, self.state = found.observation, found.state  # type: ignore[assignment]
        ended = bool(torch.rand(1, generator=self.random) < found.end)
        return Dreamt(self.shown(), float(found.reward), ended)

    def shown(self) -> Frame:
        self.picture = self.world.show(self.observation)
        return as_frame(self.picture)


def as_frame(picture: Tensor) -> Frame:
    """Frame uint8 [H, W, 3] of a picture float32 [1, 3, H, W] in [0, 1]."""
    return frames_of(picture)[0].numpy()


class Reconstruction:
    """Real frames as a model codes them, to be shown beside them.

    Args:
        eye: codes and decodes.
        frames: what it takes.
    """

    def __init__(self, eye: Eye, frames: FrameSpec) -> None:
        self.eye, self.frames = eye, frames

    @torch.inference_mode()
    def __call__(self, frame: Frame) -> list[tuple[str, Frame]]:
        """Pictures uint8 [h, w, 3] of a frame [H, W, 3] with captions: as the model takes it, and decoded."""
        small = np.ascontiguousarray(prepare(frame[None], self.frames))
        again = as_frame(self.eye.show(self.eye.code(torch.from_numpy(small))))
        error = psnr(pictures_of(torch.from_numpy(again[None])), pictures_of(torch.from_numpy(small)))
        pictures = (("downscaled", small[0]), (f"reconstruction {float(error):.0f} dB", again))
        return [(name, unstretched(picture, frame, self.frames)) for name, picture in pictures]
