from __future__ import annotations

from collections.abc import Iterator

import gymnasium
import numpy as np
import pytest

from racing_vpt.agents.expert import ExpertAgent
from racing_vpt.agents.line import ROAD_HALF_WIDTH, pace, racing_line, resample
from racing_vpt.agents.load import load_agent
from racing_vpt.agents.styles import HELD_OUT, STYLES, ExpertStyle, style_names
from racing_vpt.agents.varied import VariedAgent
from racing_vpt.envs.make import FAST_ID, make_env
from racing_vpt.games.read import load_game
from tests.episodes import run_episode

NO_FRAME = np.zeros((96, 96, 3), np.uint8)


@pytest.fixture
def env() -> Iterator[gymnasium.Env]:
    env = make_env(FAST_ID)
    yield env
    env.close()


def ring(radius: float = 60.0, tiles: int = 110) -> np.ndarray:
    """A circular track, float64 [N, 4], driven to the left."""
    angle = np.linspace(0, 2 * np.pi, tiles, endpoint=False)
    return np.stack([angle, angle, radius * np.cos(angle), radius * np.sin(angle)], -1)


def test_the_line_around_a_ring_keeps_to_its_inner_edge() -> None:
    line = racing_line(ring(), 0.5, 0.0, lateral_limit=100, braking=100, top_speed=200)
    radius = np.hypot(*line.points.T)
    np.testing.assert_allclose(radius, 60 - 0.5 * ROAD_HALF_WIDTH, atol=0.1)
    np.testing.assert_allclose(line.curvature, 1 / radius, rtol=0.02)


def test_a_bias_shifts_the_line_to_the_right() -> None:
    middle = racing_line(ring(), 0.0, 0.3, 100, 100, 200)
    np.testing.assert_allclose(np.hypot(*middle.points.T), 60 + 0.3 * ROAD_HALF_WIDTH, atol=0.1)


def test_the_pace_keeps_grip_brakes_in_time_and_obeys_the_top_speed() -> None:
    bend = np.zeros(400)
    bend[200:230] = 0.05
    speed = pace(bend, spacing=1.0, lateral_limit=180, braking=90, top_speed=100)
    np.testing.assert_allclose(speed[200:230], 60, atol=1e-6)
    braking = (speed[:-1] ** 2 - speed[1:] ** 2) / 2
    assert braking.max() <= 90 + 1e-6
    assert speed.max() == 100
    assert (speed[:120] == 100).all()


def test_a_line_is_resampled_evenly() -> None:
    points = resample(ring()[:, 2:4])
    steps = np.hypot(*np.diff(points, axis=0).T)
    assert steps.std() < 0.01 * steps.mean()


@pytest.mark.parametrize("style", ["limit", "brisk"])
def test_the_expert_finishes_a_lap_fast(style: str, env: gymnasium.Env) -> None:
    result = run_episode(env, load_agent(f"expert:{style}"), 1000)
    assert result.lap_finished
    assert result.tiles_visited == result.tiles
    assert result.score > 900


def test_every_style_drives_and_differs(env: gymnasium.Env) -> None:
    places = set()
    for name in style_names():
        result = run_episode(env, load_agent(f"expert:{name}"), 1000, max_frames=150)
        places.add(tuple(env.unwrapped.car.hull.position))  # type: ignore[attr-defined]
        assert result.score > 50 or name == "wild"
    assert len(places) == len(style_names())


def test_a_driver_with_keys_taps_them_for_two_frames_or_more(env: gymnasium.Env) -> None:
    env.reset(seed=1130)
    agent = load_agent("expert:taps")
    agent.attach(env)  # type: ignore[attr-defined]
    said = []
    for _ in range(200):
        said.append(tuple(agent.act(NO_FRAME).values()))
        env.step(np.array(said[-1]))
    steering, throttle, brake = np.array(said).T
    assert set(steering) == {-1, 0, 1}
    assert set(throttle) | set(brake) == {0, 0.8}
    assert not ((throttle > 0) & (brake > 0)).any()
    held = np.diff(np.nonzero(np.diff(steering))[0])
    assert held.min() == 2
    assert np.median(held) < 12


@pytest.mark.parametrize(
    ("style", "actions"),
    [("five", load_game("carracing").actions("five").rows), ("eleven", load_game("carracing").actions("eleven").rows)],
)
def test_a_driver_with_a_few_actions_holds_each_for_a_decision_and_drives(
    env: gymnasium.Env, style: str, actions: tuple[tuple[float, ...], ...]
) -> None:
    result = run_episode(env, load_agent(f"expert:{style}"), 1000, max_frames=300)
    assert result.score > 150
    env.reset(seed=1000)
    agent = load_agent(f"expert:{style}")
    agent.attach(env)  # type: ignore[attr-defined]
    said = []
    for _ in range(200):
        said.append(tuple(agent.act(NO_FRAME).values()))
        env.step(np.array(said[-1]))
    assert all(said[start : start + 4] == [said[start]] * 4 for start in range(0, 200, 4))
    assert set(said) <= set(load_game("carracing").actions(style).rows)
    assert len(set(said)) >= 3


@pytest.mark.parametrize("seed", [1001, 1004])
@pytest.mark.parametrize("name", ["expert:calm", "expert:five", "expert:eleven"])
def test_an_expert_recovers_when_the_car_was_turned_around(env: gymnasium.Env, name: str, seed: int) -> None:
    env.reset(seed=seed)
    env.unwrapped.drawing = False  # type: ignore[attr-defined]  # the expert does not look
    agent = load_agent(name)
    agent.attach(env)  # type: ignore[attr-defined]
    car = env.unwrapped.car  # type: ignore[attr-defined]
    for frame in range(400):
        controls = {"steering": 1.0, "throttle": 0.5, "brake": 0.0} if 60 <= frame < 130 else agent.act(NO_FRAME)
        env.step(np.array([controls["steering"], controls["throttle"], controls["brake"]]))
    line, sample = agent.line, agent.sample  # type: ignore[attr-defined]
    turn = np.remainder(car.hull.angle + np.pi / 2 - line.heading(sample) + np.pi, 2 * np.pi) - np.pi
    assert abs(turn) < 0.6
    assert line.distance(*car.hull.position, sample) < ROAD_HALF_WIDTH


def test_held_controls_change_only_every_few_frames_and_in_levels(env: gymnasium.Env) -> None:
    env.reset(seed=1000)
    agent = ExpertAgent(ExpertStyle(hold=5, steering_levels=0.1))
    agent.attach(env)
    said = [agent.act(NO_FRAME)["steering"] for _ in range(20) if env.step(np.array([0.1, 0.5, 0.0])) is not None]
    assert all(said[start : start + 5] == [said[start]] * 5 for start in range(0, 20, 5))
    np.testing.assert_allclose(np.round(np.array(said) * 10), np.array(said) * 10, atol=1e-6)


def test_a_reaction_delay_shifts_the_controls(env: gymnasium.Env) -> None:
    said = []
    for delay in (0, 3):
        env.reset(seed=1000)
        agent = ExpertAgent(ExpertStyle(reaction_delay=delay))
        agent.attach(env)
        said.append([agent.act(NO_FRAME) for _ in range(12) if env.step(np.array([0.2, 0.5, 0.0])) is not None])
    assert said[1][:3] == [{"steering": 0.0, "throttle": 0.0, "brake": 0.0}] * 3
    assert said[1][3:] == said[0][:-3]


def test_the_held_out_style_holds_delays_and_takes_another_line() -> None:
    judge = STYLES[HELD_OUT]
    assert judge.reaction_delay > 0
    assert judge.hold > 1
    assert judge.steering_levels > 0
    others = [style for name, style in STYLES.items() if name != HELD_OUT]
    assert all(judge.line_half_width != style.line_half_width for style in others)
    assert all(judge.line_bias != style.line_bias for style in others)


def test_the_expert_without_an_environment_is_an_error() -> None:
    with pytest.raises(ValueError, match="attach"):
        load_agent("expert").act(NO_FRAME)


def test_the_expert_refuses_an_environment_without_a_track() -> None:
    with pytest.raises(ValueError, match="reads the track"):
        ExpertAgent(ExpertStyle()).attach(gymnasium.make("CartPole-v1"))


def test_a_style_that_does_not_exist_is_answered_with_those_that_do() -> None:
    with pytest.raises(ValueError, match="calm"):
        load_agent("expert:reckless")


def test_an_impossible_style_is_refused() -> None:
    with pytest.raises(ValueError, match="smoothness"):
        ExpertStyle(smoothness=1.0)


def test_a_varied_driver_has_another_style_in_each_episode_and_never_the_held_out_one() -> None:
    agent = VariedAgent()
    styles = []
    for seed in range(200):
        agent.seed(seed)
        styles.append(agent.style)
    assert len({style.lookahead for style in styles}) == 200
    held_out = STYLES[HELD_OUT]
    for name in ("reaction_delay", "hold", "steering_levels", "pedal_levels"):
        assert getattr(held_out, name) not in {getattr(style, name) for style in styles}
    agent.seed(7)
    assert agent.style == styles[7]


def test_wild_driving_stops_spins_and_recovers(env: gymnasium.Env) -> None:
    agent = load_agent("expert:wild")
    env.reset(seed=10_000)
    env.unwrapped.drawing = False  # type: ignore[attr-defined]
    agent.seed(10_000)  # type: ignore[attr-defined]
    agent.attach(env)  # type: ignore[attr-defined]
    car, speeds, yaw, controls = env.unwrapped.car, [], [], []  # type: ignore[attr-defined]
    for _ in range(700):
        said = agent.act(NO_FRAME)
        env.step(np.array([said["steering"], said["throttle"], said["brake"]]))
        controls.append(list(said.values()))
        speeds.append(np.hypot(*car.hull.linearVelocity))
        yaw.append(abs(car.hull.angularVelocity))
    steering, throttle, brake = np.array(controls).T
    assert max(speeds) > 30
    assert min(speeds[100:]) < 3
    assert max(yaw) > 3
    assert (brake == 1).any()
    assert (steering == 1).any()
    assert ((throttle == 0) & (brake == 0)).mean() > 0.02
