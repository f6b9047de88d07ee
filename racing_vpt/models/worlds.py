"""World models, whatever they are, behind the interface that they share (`nn/imagination.py`)."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import LightningModule

from racing_vpt.models.controller import Controller
from racing_vpt.models.mdn_rnn import MDNRNN
from racing_vpt.models.token_world import TokenWorld
from racing_vpt.nn.imagination import World
from racing_vpt.nn.memory_world import MemoryWorld


def token_world_of(module: LightningModule) -> TokenWorld | None:
    """Its world model over tokens, where it has one or is one."""
    world = module if isinstance(module, TokenWorld) else getattr(module, "world", None)
    return world if isinstance(world, TokenWorld) else None


def world_of(module: LightningModule, name: str) -> World[Any]:
    """The world model that a module is or has: over tokens, or the memory of World Models with its eye.

    Args:
        module: of a checkpoint.
        name: of the checkpoint.

    Raises:
        ValueError: there is none.
    """
    if isinstance(module, Controller):
        if module.world.memory is None or module.memory_use != "trained":
            raise ValueError(
                f"{name} drives with --model.memory_use {module.memory_use}, so that it has no world model to play in; "
                "give a controller on a trained memory"
            )
        return MemoryWorld(module.world.vae, module.world.memory)
    if isinstance(module, MDNRNN):
        return MemoryWorld(module.vae, module.net)
    if tokens := token_world_of(module):
        return tokens
    raise ValueError(
        f"{name} is a {type(module).__name__}, which has no world model to play in; give a controller of World Models, "
        "an IRIS, a TokenWorld or an MDNRNN, or watch it drive without --world_model and --agent_in_world_model"
    )
