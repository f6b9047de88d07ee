"""A world model's reconstruction of each frame and prediction of the next, shown while its agent drives."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from racing_vpt.agents.checkpoint import CheckpointAgent
from racing_vpt.frames import prepare, unstretched
from racing_vpt.nn.memory import MemoryState
from racing_vpt.nn.world import WorldNet
from racing_vpt.types import Agent, Controls, Frame, FrameSpec


@dataclass
class WorldView:
    """Reconstructions and predictions of one episode, frame by frame.

    Args:
        world: VAE and MDN-RNN.
        frames: the encoder's input frames; it gets every `stride`-th frame.
    """

    world: WorldNet
    frames: FrameSpec
    age: int = 0
    state: MemoryState | None = None
    shown: list[tuple[str, Frame]] = field(default_factory=list)

    @torch.inference_mode()
    def __call__(self, frame: Frame, controls: Controls) -> list[tuple[str, Frame]]:
        """Captioned pictures uint8 [h, w, 3] to show beside a frame.

        They are the reconstruction of the model's last input frame and, if it has a memory, the next one as predicted
        by the most likely component of its mixture.
        """
        if self.age % self.frames.stride == 0:
            picture = torch.from_numpy(np.ascontiguousarray(prepare(frame[None], self.frames)))
            z = self.world.vae.encode(picture).mean
            self.shown = [("reconstruction", self.picture(z, frame))]
            if self.world.memory is not None:
                state = self.state if self.state is not None else self.world.initial_state(1)
                action = torch.tensor([[controls[name] for name in self.world.controls]])
                self.state = self.world.remember(z, action, state)
                dreamt = self.world.memory.predict(self.state[0]).draw(tau=0.0)
                self.shown.append((f"predicted, {self.frames.stride} frames on", self.picture(dreamt, frame)))
        self.age += 1
        return self.shown

    def picture(self, z: Tensor, frame: Frame) -> Frame:
        """Codes [1, latent] decoded, in the aspect ratio of the frame."""
        return unstretched(self.world.vae.pictures(z)[0].numpy(), frame, self.frames)


def world_view_of(agent: Agent) -> WorldView | None:
    """The view of an agent's world model; None if it has none."""
    world = getattr(agent.module, "world", None) if isinstance(agent, CheckpointAgent) else None
    return WorldView(world, agent.module.frames) if isinstance(world, WorldNet) else None  # type: ignore[attr-defined]
