"""Environments that take controls by name.

An environment of gymnasium does if its unwrapped class has `game`, the name or file of its game, and
`to_action(controls)`, which returns the action for controls by name. Minecraft's spaces are recognised without these.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import gymnasium
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs

from racing_vpt.games.game import Game
from racing_vpt.games.read import as_game

Step = tuple[Any, Any, bool, bool, dict]


@runtime_checkable
class OffersControls(Protocol):
    """Attributes that an environment's own class needs to be driven."""

    game: Game | str

    def to_action(self, controls: Mapping[str, float]) -> Any:
        """The environment's action for controls by name; ValueError if there is none."""


@runtime_checkable
class ControlledEnv(Protocol):
    """Environments as `make_env` returns them, besides gymnasium's methods."""

    game: Game

    def step_controls(self, controls: Mapping[str, float]) -> Step:
        """As `step`, with the controls by name."""


class GameEnv(gymnasium.Wrapper, RecordConstructorArgs):
    """Takes controls by name besides actions.

    Args:
        env: environment whose unwrapped class has `game` and `to_action`.
    """

    def __init__(self, env: gymnasium.Env) -> None:
        RecordConstructorArgs.__init__(self)
        super().__init__(env)
        assert isinstance(env.unwrapped, OffersControls)
        self.core: OffersControls = env.unwrapped
        self.game = as_game(self.core.game)

    def step_controls(self, controls: Mapping[str, float]) -> Step:
        """As `step`, with the controls by name."""
        return self.env.step(self.core.to_action(controls))


def offered(env: gymnasium.Env, id: str) -> gymnasium.Env:
    """The environment, with `step_controls` and `game`.

    Raises:
        ValueError: it does not offer its controls; the message says what it needs.
    """
    if isinstance(env, ControlledEnv):
        return env
    if isinstance(env.unwrapped, OffersControls):
        return GameEnv(env)
    from racing_vpt.envs.minecraft import MinecraftControls, action_space  # imports torch

    if isinstance(env.action_space, spaces.Dict) and set(env.action_space.spaces) == set(action_space().spaces):
        return MinecraftControls(env, name=id)
    raise ValueError(
        f"{id} does not say what its controls are: give its class `game`, the name of a game such as 'carracing' or "
        "the path of your game's YAML file, and `to_action(controls)`"
    )


def step_controls(env: gymnasium.Env, controls: Mapping[str, float]) -> Step:
    """Step an environment made by `make_env` with controls by name."""
    assert isinstance(env, ControlledEnv), f"{env} was not made by make_env"
    return env.step_controls(controls)


def check_driver(controls: tuple[str, ...], scheme: str, env: gymnasium.Env) -> None:
    """ValueError unless a driver with these controls can drive the environment.

    `gear_change` may be missing, or be given to a car with one gear.

    Args:
        controls: controls of the driver.
        scheme: name of the driver's scheme, for the message.
        env: environment made by `make_env`.
    """
    assert isinstance(env, ControlledEnv), f"{env} was not made by make_env"
    taken = env.game.control_names
    if {*controls} ^ {*taken} <= {"gear_change"}:
        return
    raise ValueError(
        f"the driver has the controls of {scheme}, but the environment takes those of {env.game.name}: "
        f"{', '.join(taken[:6])}{', ...' if len(taken) > 6 else ''}; give --env that fits, or another checkpoint"
    )
