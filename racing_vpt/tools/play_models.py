"""What of a checkpoint can be played: its agent, its world model, and its eye."""

from __future__ import annotations

from typing import Any, cast

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from racing_vpt.agents.checkpoint import CheckpointAgent, Policy
from racing_vpt.dream import begun
from racing_vpt.models.controller import Controller
from racing_vpt.models.mdn_rnn import MDNRNN
from racing_vpt.models.token_world import STARTS, TokenWorld
from racing_vpt.nn.imagination import World
from racing_vpt.nn.memory_world import CodeEye, CodeState, MemoryWorld
from racing_vpt.nn.token_net import TokenState
from racing_vpt.rollout.imagination import Beginning, Reconstruction, WorldImagination
from racing_vpt.rollout.scene import Dreamer, Driver, WatchingAgent
from racing_vpt.tools.play_driver import WorldDriver


def driver_of(module: LightningModule, name: str) -> Driver:
    """The agent for the road; ValueError where there is none."""
    if isinstance(module, Controller):
        return WorldDriver(module)
    if hasattr(module, "policy"):
        return WatchingAgent(CheckpointAgent(cast(Policy, module)))
    more = "; drive in it yourself with --world_model" if isinstance(module, MDNRNN | TokenWorld) else ""
    raise ValueError(f"{name} is a {type(module).__name__}, which does not drive{more}")


def dreamer_of(module: LightningModule) -> Dreamer | None:
    """The agent for the dream, where there is one."""
    return WorldDriver(module) if isinstance(module, Controller) else None


def reconstruction_of(module: LightningModule, name: str) -> Reconstruction:
    """What it makes of frames; ValueError where it codes none."""
    if isinstance(module, Controller):
        return Reconstruction(CodeEye(module.world.vae), module.frames)
    raise ValueError(
        f"{name} is a {type(module).__name__}, which reconstructs nothing; --reconstruction is for agents with a world "
        "model, such as a controller of World Models"
    )


def imagination_of(module: LightningModule, name: str, tau: float) -> WorldImagination:
    """The world model; ValueError where there is none, or none that was trained."""
    world: World[Any]
    beginning: Beginning
    if isinstance(module, Controller):
        if module.world.memory is None or module.memory_use != "trained":
            raise ValueError(
                f"{name} drives with --model.memory_use {module.memory_use}, so that it has no world model to play in; "
                "give a controller on a trained memory"
            )
        world = MemoryWorld(module.world.vae, module.world.memory)
        beginning = code_beginning(world, module.beginnings, name)
    elif isinstance(module, MDNRNN):
        world = MemoryWorld(module.vae, module.net)
        beginning = code_beginning(world, module.starts[: int(module.num_starts)], name)
    elif isinstance(module, TokenWorld):
        world, beginning = module, token_beginning(module, name)
    else:
        raise ValueError(
            f"{name} is a {type(module).__name__}, which has no world model to play in; give a controller of World "
            "Models, an MDNRNN or a TokenWorld, or watch it drive without --world_model and --agent_in_world_model"
        )
    return WorldImagination(world, module.frames, beginning, tau)


def code_beginning(world: MemoryWorld, starts: Tensor, name: str) -> Beginning:
    """Draws one of the codes [S, 2 * latent] of first frames, means and log-variances, as `DreamEnv` does."""
    if not len(starts):
        raise ValueError(f"{name}: its memory saw no episode begin, so that no dream can; train it on whole episodes")

    def begin(random: torch.Generator) -> tuple[Tensor, CodeState]:
        z = begun(starts, 1, random)
        return z, world.observe(z[:, None], torch.zeros(1, 1, len(world.controls)), world.initial(1))

    return begin


def token_beginning(module: TokenWorld, name: str) -> Beginning:
    """Draws one of the beginnings that the world model kept; a dream goes on from its last frame."""
    count = min(int(module.num_starts), STARTS)
    if not count:
        raise ValueError(f"{name} was never trained, so that it has no beginning to start from")

    def begin(random: torch.Generator) -> tuple[Tensor, TokenState]:
        row = torch.randint(count, (1,), generator=random)
        return module.start_tokens[row, -1].long(), module.begin(row)

    return begin
