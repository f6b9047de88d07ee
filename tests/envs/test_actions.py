"""Checks and conversion of controls and actions."""

import math

import numpy as np
import pytest

from racing_vpt.envs.actions import DISCRETE_CONTROLS, ControlEnv, check_action, observation_of, to_action
from racing_vpt.envs.make import FAST_ID, make_env


@pytest.fixture(scope="module")
def continuous() -> ControlEnv:
    env = make_env(FAST_ID)
    env.reset(seed=10_000)
    return env


@pytest.fixture(scope="module")
def discrete() -> ControlEnv:
    env = make_env(FAST_ID, continuous=False)
    env.reset(seed=10_000)
    return env


@pytest.mark.parametrize(
    ("action", "message"),
    [
        ([math.nan, 0.0, 0.0], r"steering=nan .* -1 to 1"),
        ([0.0, math.inf, 0.0], r"throttle=inf .* 0 to 1"),
        ([1.5, 0.0, 0.0], r"steering=1.5 .* -1 to 1"),
        ([0.0, -0.1, 0.0], r"throttle=-0.1 .* 0 to 1"),
        ([0.0, 0.0, 2.0], r"brake=2.0 .* 0 to 1"),
        ([0.0, 0.0], r"shape \(2,\).*steering, throttle, brake"),
        ([[0.0, 0.0, 0.0]], r"shape \(1, 3\)"),
        (3, r"shape \(\)"),
        (["left", "gas", "brake"], r"expected the 3 numbers"),
    ],
)
def test_bad_continuous_actions_are_named(continuous: ControlEnv, action: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        continuous.step(np.array(action))


@pytest.mark.parametrize("action", [5, -1, 1.0, True, [1], None, math.nan])
def test_bad_discrete_actions_are_named(discrete: ControlEnv, action: object) -> None:
    with pytest.raises(ValueError, match=r"action .*expected .*integer from 0 to 4"):
        discrete.step(action)  # type: ignore[arg-type]


def test_good_actions_pass(continuous: ControlEnv, discrete: ControlEnv) -> None:
    for action in (np.array([-1, 1, 1]), np.array([1.0, 0.0, 0.5], np.float32)):
        np.testing.assert_array_equal(check_action(continuous, action), action)
    for index in (0, 4, np.int64(2), np.array(3)):
        assert check_action(discrete, index) == int(index)


def test_controls_become_arrays(continuous: ControlEnv) -> None:
    controls = {"steering": -0.25, "throttle": 0.5, "brake": 0.0, "gear_change": 0}
    np.testing.assert_array_equal(to_action(continuous, controls), [-0.25, 0.5, 0.0])


def test_controls_become_the_equal_discrete_action(discrete: ControlEnv) -> None:
    assert [to_action(discrete, controls) for controls in DISCRETE_CONTROLS] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("controls", "message"),
    [
        ({"steering": 0.0, "throttle": 0.0}, "missing \\['brake'\\]"),
        ({"steering": 0.0, "throttle": 0.0, "brake": 0.0, "clutch": 1.0}, "unknown \\['clutch'\\]"),
        ({"steering": 0.0, "throttle": 0.0, "brake": 0.0, "gear_change": 1}, "gear_change=1"),
        ({"steering": 0.0, "throttle": math.nan, "brake": 0.0}, "throttle=nan"),
    ],
)
def test_bad_controls_are_named(continuous: ControlEnv, controls: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        to_action(continuous, controls)


def test_controls_without_a_discrete_action_are_refused(discrete: ControlEnv) -> None:
    with pytest.raises(ValueError, match=r"equal none of the discrete actions.*continuous=True"):
        to_action(discrete, {"steering": 0.3, "throttle": 0.2, "brake": 0.0})


def test_positive_steering_turns_right_and_is_observed() -> None:
    env = make_env(FAST_ID)
    with pytest.raises(ValueError, match="reset"):
        observation_of(env)
    env.reset(seed=10_000)
    heading = env.unwrapped.car.hull.angle  # type: ignore[attr-defined]
    for _ in range(40):
        env.step_controls({"steering": 0.3, "throttle": 0.4, "brake": 0.0})
    seen = observation_of(env)
    assert env.unwrapped.car.hull.angle < heading, "clockwise"  # type: ignore[attr-defined]
    assert seen["steering_angle"] == pytest.approx(0.3, abs=0.02)
    assert seen["engine_gas"] == pytest.approx(0.4)
    assert seen["speed"] is not None
    assert seen["speed"] > 5
    assert seen["track_position"] is not None
    assert 0 < seen["track_position"] < 0.2
    assert seen["gear"] is None
