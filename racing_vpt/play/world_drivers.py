"""Agents with a world model, in an environment or in the world model, where a person may take over.

The memory of a World Models controller needs the executed controls, whoever drove; IRIS's actor needs frames only.
"""

from __future__ import annotations

from typing import Protocol

import gymnasium
import numpy as np
import torch
from torch import Tensor

from racing_vpt.agents.checkpoint import CheckpointAgent, Policy
from racing_vpt.frames import prepare
from racing_vpt.models.controller import Controller
from racing_vpt.models.token_world import TokenWorld
from racing_vpt.nn.actor_critic import ActorCritic
from racing_vpt.nn.dreaming import view
from racing_vpt.nn.world import drive
from racing_vpt.types import Controls, Frame


class WorldDriver:
    """A World Models controller as `Driver` and `Dreamer`.

    (`CheckpointAgent` feeds its own controls to the memory, which is wrong while a person drives.)

    Args:
        module: the controller's module.
    """

    def __init__(self, module: Controller) -> None:
        self.module, self.world = module.eval(), module.world
        self.repeat = module.frames.stride
        self.begin()

    def begin(self, env: gymnasium.Env | None = None, seed: int = 0) -> None:
        """Start an episode of `env`; ValueError if that has other controls."""
        if env is not None:
            known = CheckpointAgent(self.module)
            known.attach(env)
            self.repeat = known.repeat
        self.age, self.state = 0, self.module.initial_state(1)
        self.said: Controls = {}

    def begin_dream(self, before: Tensor) -> None:
        """Start a dream, at the beginning of an episode."""
        self.begin()

    @torch.inference_mode()
    def act(self, frame: Frame) -> Controls:
        """Controls for a frame uint8 [H, W, 3] of the environment, held between decisions."""
        if self.age % self.repeat == 0:
            picture = np.ascontiguousarray(prepare(frame[None], self.module.frames))
            self.said = self.answer(self.world.vae.encode(torch.from_numpy(picture)).mean)
        return dict(self.said)

    def told(self, controls: Controls) -> None:
        """Store the executed controls."""
        if self.age % self.repeat == 0:
            self.remember(controls)
        self.age += 1

    @torch.inference_mode()
    def answer(self, observation: Tensor, picture: Tensor | None = None) -> Controls:
        """Controls for the code [1, latent] of a frame."""
        self.z = observation
        action = drive(self.module.controller[None], self.world.features(observation, self.state))
        return dict(zip(self.world.controls, action[0].tolist(), strict=True))

    @torch.inference_mode()
    def remember(self, controls: Controls) -> None:
        """Update the memory with the executed controls."""
        action = torch.tensor([[controls[name] for name in self.world.controls]])
        self.state = self.world.remember(self.z, action, self.state)


class Imaginer(Policy, Protocol):
    """A policy with a world model over tokens, such as `IRIS`."""

    world: TokenWorld
    agent: ActorCritic


class ActorDreamer:
    """IRIS's actor in its world model, as a `Dreamer`.

    Args:
        module: module with actor and world model.
    """

    def __init__(self, module: Imaginer) -> None:
        self.world, self.actor = module.world, module.agent.eval()
        self.chooser = CheckpointAgent(module)

    @torch.inference_mode()
    def begin_dream(self, before: Tensor) -> None:
        """Start a dream; the actor is given the same past as the world model, tokens [T, K]."""
        self.chooser.reset()
        self.state = self.actor.initial(1)
        if len(before):
            self.state = self.actor(view(self.world, self.actor, before).unsqueeze(0), self.state)[1]

    @torch.inference_mode()
    def answer(self, observation: Tensor, picture: Tensor) -> Controls:
        """Controls for tokens [1, K], as in an environment."""
        judged, self.state = self.actor(view(self.world, self.actor, observation).unsqueeze(1), self.state)
        chosen = self.chooser.choose({name: x[:, -1].exp() for name, x in judged.log_probs.items()})
        return {name: float(value) for name, value in chosen.items()}

    def remember(self, controls: Controls) -> None:
        """Does nothing: the actor's memory needs frames only."""
