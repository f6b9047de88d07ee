"""racing-vpt: learn to drive in racing games by watching video.

Public names, each imported when first used:

>>> from racing_vpt import load_agent, load_game, load_vpt, make_env
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.2.0"
__all__ = ["__version__", "load_agent", "load_game", "load_vpt", "make_env"]

if TYPE_CHECKING:
    from racing_vpt.agents.load import load_agent
    from racing_vpt.envs.make import make_env
    from racing_vpt.games.read import load_game
    from racing_vpt.models.openai_vpt import load_vpt

_DOORS = {
    "load_agent": "racing_vpt.agents.load",
    "load_game": "racing_vpt.games.read",
    "load_vpt": "racing_vpt.models.openai_vpt",
    "make_env": "racing_vpt.envs.make",
}


def __getattr__(name: str) -> object:
    if name in _DOORS:
        return getattr(import_module(_DOORS[name]), name)
    raise AttributeError(f"module 'racing_vpt' has no attribute {name!r}")
