"""Environments that offer a control scheme: what a driver says by name, they do.

An environment of gymnasium offers its scheme where its unwrapped class has `control_scheme`, the name of a preset, and
`to_action(controls)`, which gives the action for controls by name. Minecraft's spaces are recognised by themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import gymnasium
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs

Step = tuple[Any, Any, bool, bool, dict]


@runtime_checkable
class OffersControls(Protocol):
    """What an environment's own class must have to be driven."""

    control_scheme: str

    def to_action(self, controls: Mapping[str, float]) -> Any:
        """The environment's action for controls by name; ValueError where it has none."""


@runtime_checkable
class ControlledEnv(Protocol):
    """What `make_env` gives, besides gymnasium's methods."""

    control_scheme: str

    def step_controls(self, controls: Mapping[str, float]) -> Step:
        """As `step`, with the controls by name."""


class SchemeEnv(gymnasium.Wrapper, RecordConstructorArgs):
    """Takes controls by name besides actions.

    Args:
        env: its unwrapped environment offers its scheme.
    """

    def __init__(self, env: gymnasium.Env) -> None:
        RecordConstructorArgs.__init__(self)
        super().__init__(env)
        assert isinstance(env.unwrapped, OffersControls)
        self.core: OffersControls = env.unwrapped
        self.control_scheme = self.core.control_scheme

    def step_controls(self, controls: Mapping[str, float]) -> Step:
        """As `step`, with the controls by name."""
        return self.env.step(self.core.to_action(controls))


def offered(env: gymnasium.Env, id: str) -> gymnasium.Env:
    """The environment with `step_controls` and `control_scheme`.

    Raises:
        ValueError: it offers no control scheme; it says what it needs.
    """
    if isinstance(env, ControlledEnv):
        return env
    if isinstance(env.unwrapped, OffersControls):
        return SchemeEnv(env)
    from racing_vpt.envs.minecraft import MinecraftControls, action_space  # with torch, which others do not need

    if isinstance(env.action_space, spaces.Dict) and set(env.action_space.spaces) == set(action_space().spaces):
        return MinecraftControls(env, name=id)
    raise ValueError(
        f"{id} offers no control scheme, so that no driver knows its controls: give its class `control_scheme`, the "
        "name of a preset such as 'car', and `to_action(controls)`"
    )


def step_controls(env: gymnasium.Env, controls: Mapping[str, float]) -> Step:
    """Step an environment of `make_env` with controls by name."""
    assert isinstance(env, ControlledEnv), f"{env} was not made by make_env"
    return env.step_controls(controls)


def check_driver(controls: tuple[str, ...], scheme: str, env: gymnasium.Env) -> None:
    """ValueError unless a driver with these controls, of that scheme, can drive the environment.

    A gear change may be missing, or be said to a car with one gear.
    """
    from racing_vpt.games.controls import control_scheme

    assert isinstance(env, ControlledEnv), f"{env} was not made by make_env"
    taken = control_scheme(env.control_scheme).controls
    if {*controls} ^ {*taken} <= {"gear_change"}:
        return
    raise ValueError(
        f"the driver has the controls of scheme {scheme}, but the environment takes those of {env.control_scheme}: "
        f"{', '.join(taken[:6])}{', ...' if len(taken) > 6 else ''}; give --env that fits, or another checkpoint"
    )
