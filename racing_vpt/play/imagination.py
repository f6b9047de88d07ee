"""Driving in a world model, one frame per step, and reconstructions of real frames.

Works with every `World` of `nn/imagination.py`. The state is never reset within a dream.
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
    """Start of a dream.

    Args:
        observation: [1, ...], of the first frame to show.
        state: state of the world model after it.
        before: [T, ...], earlier observations, oldest first; T may be 0.
    """

    observation: Tensor
    state: Any
    before: Tensor


Beginning = Callable[[torch.Generator], Begun]
"""Draws the start of a dream."""


class Dreamt(NamedTuple):
    """Result of a step: frame uint8 [H, W, 3], reward, and whether the dream ended."""

    frame: Frame
    reward: float
    ended: bool


class Imagination(Protocol):
    """Interface of a world model that can be played."""

    game: Game
    frames: FrameSpec
    tau: float  # temperature
    observation: Tensor  # [1, ...], of the current frame
    picture: Tensor  # float32 [1, 3, H, W] in [0, 1], the current frame
    before: Tensor  # [T, ...], observations before this dream, oldest first; T may be 0

    @property
    def controls(self) -> tuple[str, ...]:
        """Names of the world model's controls."""

    def begin(self, seed: int) -> Frame:
        """Start a dream, a function of the seed and the controls; returns its first frame uint8 [H, W, 3]."""

    def step(self, controls: Controls) -> Dreamt:
        """Execute controls by name; missing ones are 0."""


class Eye(Protocol):
    """Encodes and decodes frames; every `World` does."""

    def code(self, frames: Tensor) -> Tensor: ...

    def show(self, observations: Tensor) -> Tensor: ...


class WorldImagination:
    """One dream at a time in a world model.

    Args:
        world: the model.
        game: game that it was trained on.
        frames: the model's input frames.
        beginning: draws the starts of dreams.
        tau: temperature; 0: the most likely outcome.
    """

    observation: Tensor
    picture: Tensor
    before: Tensor

    def __init__(
        self, world: World[Any], game: Game, frames: FrameSpec, beginning: Beginning, tau: float = 1.0
    ) -> None:
        if not tau >= 0:
            raise ValueError(f"--tau must be at least 0, but {tau} was given")
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
    """Shows real frames as a model reconstructs them.

    Args:
        eye: encoder and decoder.
        frames: its input frames.
    """

    def __init__(self, eye: Eye, frames: FrameSpec) -> None:
        self.eye, self.frames = eye, frames

    @torch.inference_mode()
    def __call__(self, frame: Frame) -> list[tuple[str, Frame]]:
        """Captioned pictures uint8 [h, w, 3] of a frame [H, W, 3]: the model's input, and its reconstruction."""
        small = np.ascontiguousarray(prepare(frame[None], self.frames))
        again = as_frame(self.eye.show(self.eye.code(torch.from_numpy(small))))
        error = psnr(pictures_of(torch.from_numpy(again[None])), pictures_of(torch.from_numpy(small)))
        pictures = (("downscaled", small[0]), (f"reconstruction {float(error):.0f} dB", again))
        return [(name, unstretched(picture, frame, self.frames)) for name, picture in pictures]
