"""The world model of a module, as an `imagination.World`."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import LightningModule

from racing_vpt.models.controller import Controller
from racing_vpt.models.mdn_rnn import MDNRNN
from racing_vpt.models.token_world import TokenWorld
from racing_vpt.nn.imagination import World
from racing_vpt.nn.memory_world import MemoryWorld


def token_world_of(module: LightningModule) -> TokenWorld | None:
    """The world model over tokens that a module is or has; None if there is none."""
    world = module if isinstance(module, TokenWorld) else getattr(module, "world", None)
    return world if isinstance(world, TokenWorld) else None


def world_of(module: LightningModule, name: str) -> World[Any]:
    """The world model that a module is or has: over tokens, or the VAE and MDN-RNN of World Models.

    Args:
        module: module of a checkpoint.
        name: name of the checkpoint, for messages.

    Raises:
        ValueError: it has none.
    """
    if isinstance(module, Controller):
        if module.world.memory is None or module.memory_use != "trained":
            raise ValueError(
                f"{name} drives with --model.memory_use {module.memory_use}, so that it has no world model to play in; "
                "give a controller on a trained memory"
            )
        return MemoryWorld(module.world.vae, module.world.memory, module.world.controls)
    if isinstance(module, MDNRNN):
        return MemoryWorld(module.vae, module.net, module.controls)
    if tokens := token_world_of(module):
        return tokens
    raise ValueError(
        f"{name} is a {type(module).__name__}, which has no world model to play in; give a controller of World Models, "
        "an IRIS, a TokenWorld or an MDNRNN, or watch it drive without --world_model and --agent_in_world_model"
    )
