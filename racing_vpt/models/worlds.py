"""World models out of checkpoints, whatever they are, behind the interface that they share (`nn/imagination.py`)."""

from __future__ import annotations

from typing import Any

from racing_vpt.models.mdn_rnn import MDNRNN
from racing_vpt.models.token_world import TokenWorld
from racing_vpt.nn.imagination import World
from racing_vpt.nn.memory_world import MemoryWorld


def load_world(name: str) -> World[Any]:
    """The world model of a checkpoint: a `TokenWorld`, or the memory of World Models with its eye.

    Args:
        name: as `read_checkpoint` takes it.

    Raises:
        FileNotFoundError: there is nothing of that name.
        ValueError: it holds no world model.
    """
    from racing_vpt.checkpoints import load_module

    module = load_module(name)
    if isinstance(module, TokenWorld):
        return module
    if isinstance(module, MDNRNN):
        return MemoryWorld(module.vae, module.net)
    raise ValueError(
        f"{name} holds a {type(module).__name__}, but a TokenWorld or an MDNRNN is needed; train one with: make "
        "iris-world, or make mdnrnn"
    )
