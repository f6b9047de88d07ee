"""CarRacing's actions from controls by name, and the resulting state of the car.

CarRacing's steering is positive to the right, as in recordings. Its five discrete actions are fixed controls (scheme
`five` of `games/carracing.yaml`); their values are those of `gymnasium.envs.box2d.car_racing.CarRacing.step` in
gymnasium 1.4.0.
"""

import math
from collections.abc import Mapping
from typing import SupportsFloat

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs

from racing_vpt.games.heads import Axis
from racing_vpt.games.read import load_game

GAME = load_game("carracing")
AXES = tuple((head.name, head.low, head.high) for head in GAME.controls if isinstance(head, Axis))  # of an action
DISCRETE_CONTROLS = tuple(GAME.actions("five").actions)


class ControlEnv(gymnasium.Wrapper, RecordConstructorArgs):
    """Checks actions, and takes controls by name besides arrays.

    Args:
        env: CarRacing, stock or fast, with any wrappers that keep its actions.
    """

    def __init__(self, env: gymnasium.Env) -> None:
        RecordConstructorArgs.__init__(self)
        super().__init__(env)
        self.game = GAME

    def step(self, action: np.ndarray | int) -> tuple[np.ndarray, SupportsFloat, bool, bool, dict]:
        """As gymnasium's, after `check_action`."""
        return self.env.step(check_action(self.env, action))

    def step_controls(self, controls: Mapping[str, float]) -> tuple[np.ndarray, SupportsFloat, bool, bool, dict]:
        """As `step`, with the controls by name: {"steering": -0.1, "throttle": 0.5, "brake": 0.0}."""
        return self.env.step(to_action(self.env, controls))


def check_action(env: gymnasium.Env, action: np.ndarray | int) -> np.ndarray | int:
    """The action, checked.

    Args:
        env: environment whose action space decides: [steering -1..1, throttle 0..1, brake 0..1], or an integer 0..4.
        action: a real array of shape (3,), or an integer.

    Raises:
        ValueError: wrong type or shape, NaN, or a value out of range; the message names value and range.
    """
    if isinstance(env.action_space, spaces.Discrete):
        num_actions = int(env.action_space.n)
        index = np.asarray(action)
        if index.shape != () or index.dtype.kind not in "iu":
            raise ValueError(f"action {action!r}: expected one integer from 0 to {num_actions - 1}")
        if not 0 <= int(index) < num_actions:
            raise ValueError(f"action {int(index)} is out of range: expected an integer from 0 to {num_actions - 1}")
        return int(index)
    array = np.asarray(action)
    if array.shape != (len(AXES),) or array.dtype.kind not in "fiu":
        names = ", ".join(name for name, _, _ in AXES)
        raise ValueError(f"action {action!r} has shape {array.shape}: expected the {len(AXES)} numbers [{names}]")
    for value, (name, low, high) in zip(array.tolist(), AXES, strict=True):
        if not low <= value <= high:  # false for NaN too
            raise ValueError(f"{name}={value} in action {array.tolist()}: expected a number from {low:g} to {high:g}")
    return array


def to_action(env: gymnasium.Env, controls: Mapping[str, float]) -> np.ndarray | int:
    """The environment's action for controls by name.

    Args:
        env: continuous or discrete CarRacing.
        controls: `steering`, `throttle`, `brake`, and `gear_change`, which must be 0 if given.

    Returns:
        float64 [steering, throttle, brake], or the index of the discrete action with exactly these controls.

    Raises:
        ValueError: a missing, unknown or invalid control, or no discrete action equals the controls.
    """
    unknown = set(controls) - {name for name, _, _ in AXES} - {"gear_change"}
    missing = [name for name, _, _ in AXES if name not in controls]
    if unknown or missing:
        raise ValueError(
            f"controls {dict(controls)}: expected steering, throttle and brake; "
            f"missing {missing or 'none'}, unknown {sorted(unknown) or 'none'}"
        )
    if controls.get("gear_change", 0) != 0:
        raise ValueError(f"gear_change={controls['gear_change']}: CarRacing has one gear, expected 0")
    values = [float(controls[name]) for name, _, _ in AXES]
    if not isinstance(env.action_space, spaces.Discrete):
        return check_action(env, np.array(values))
    for index, known in enumerate(DISCRETE_CONTROLS):
        if all(
            math.isclose(value, known[name], abs_tol=1e-6) for value, (name, _, _) in zip(values, AXES, strict=True)
        ):
            return index
    raise ValueError(
        f"controls {dict(controls)} equal none of the discrete actions: steering +-0.6, throttle 0.2, or brake 0.8, "
        "one at a time; make the environment with continuous=True"
    )


def observation_of(env: gymnasium.Env) -> dict[str, float | None]:
    """State of the car, as a recording stores it.

    Returns:
        `speed` in track units per second; `steering_angle` of the front wheels in radians, positive to the right;
        `engine_gas` 0..1; `track_position`, the fraction of tiles visited; `gear`, None.

    Raises:
        ValueError: before the first reset.
    """
    core = env.unwrapped
    car = getattr(core, "car", None)
    if car is None:
        raise ValueError(f"{core} has no car yet: call reset() first")
    velocity = car.hull.linearVelocity
    return {
        "speed": math.hypot(velocity[0], velocity[1]),
        "steering_angle": -float(car.wheels[0].joint.angle),
        "engine_gas": float(car.wheels[2].gas),
        "track_position": core.tile_visited_count / len(core.track),  # type: ignore[attr-defined]
        "gear": None,
    }
