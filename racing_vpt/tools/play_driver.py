"""A controller of World Models that may be relieved at the wheel: it remembers what was done, whoever did it."""

from __future__ import annotations

import gymnasium
import numpy as np
import torch
from torch import Tensor

from racing_vpt.agents.checkpoint import CheckpointAgent
from racing_vpt.controls import CARRACING_CONTROLS
from racing_vpt.frames import prepare
from racing_vpt.models.controller import Controller
from racing_vpt.nn.world import drive
from racing_vpt.types import Controls, Frame


class WorldDriver:
    """Drives on the road, or in the dream of its own memory.

    `CheckpointAgent` remembers what it says itself, which is right as long as nobody else drives.

    Args:
        module: the controller.
    """

    def __init__(self, module: Controller) -> None:
        self.module, self.world = module.eval(), module.world
        self.repeat = module.frames.stride
        self.begin()

    def begin(self, env: gymnasium.Env | None = None, seed: int = 0) -> None:
        """A new episode on the road of `env`, or a new dream; ValueError where `env` takes other controls."""
        if env is not None:
            known = CheckpointAgent(self.module)
            known.attach(env)
            self.repeat = known.repeat
        self.age, self.state = 0, self.module.initial_state(1)
        self.said: Controls = {}

    @torch.inference_mode()
    def act(self, frame: Frame) -> Controls:
        """Controls for a frame uint8 [H, W, 3] of the road; they are held between decisions."""
        if self.age % self.repeat == 0:
            picture = np.ascontiguousarray(prepare(frame[None], self.module.frames))
            self.said = self.answer(self.world.vae.encode(torch.from_numpy(picture)).mean)
        return dict(self.said)

    def told(self, controls: Controls) -> None:
        """These controls answered the frame."""
        if self.age % self.repeat == 0:
            self.remember(controls)
        self.age += 1

    @torch.inference_mode()
    def answer(self, observation: Tensor, picture: Tensor | None = None) -> Controls:
        """Controls for the code [1, latent] of what is seen."""
        self.z = observation
        action = drive(self.module.controller[None], self.world.features(observation, self.state))
        return dict(zip(CARRACING_CONTROLS, action[0].tolist(), strict=True))

    @torch.inference_mode()
    def remember(self, controls: Controls) -> None:
        """These controls answered the code."""
        action = torch.tensor([[controls[name] for name in CARRACING_CONTROLS]])
        self.state = self.world.remember(self.z, action, self.state)
