"""Pictures of the fast CarRacing compared with the stock one's."""

import numpy as np
import pytest
from gymnasium.envs.box2d.car_racing import CarRacing

from racing_vpt.envs.carracing.fast import CarRacingFast
from racing_vpt.envs.carracing.instruments import coverage
from racing_vpt.envs.make import STOCK_ID, WINDOW_ID, make_env

MUCH = 40  # of 255: a difference that the eye sees


def drive(frame: int) -> np.ndarray:
    """Pulls away, then turns until the car spins on the grass."""
    return np.array([0.0 if frame < 60 else 0.5, 0.6 if frame < 150 else 0.1, 0.0 if frame < 150 else 0.4])


@pytest.mark.parametrize("domain_randomize", [False, True])
def test_the_picture_differs_little_from_the_stock(domain_randomize: bool) -> None:
    stock, fast = (kind(domain_randomize=domain_randomize) for kind in (CarRacing, CarRacingFast))
    seen, shown = stock.reset(seed=10_020)[0], fast.reset(seed=10_020)[0]
    differences = []
    for frame in range(200):
        differences.append(np.abs(seen.astype(int) - shown))
        seen, shown = stock.step(drive(frame))[0], fast.step(drive(frame))[0]
        assert shown.shape == (96, 96, 3)
        assert shown.dtype == np.uint8
    difference = np.array(differences)
    assert difference[50:].mean() < 0.3
    assert difference[:50].mean() < 0.6, "the camera comes nearer"
    assert difference[:, 84:].mean() < 0.05, "instruments"
    assert difference[:, 66:78, 44:52].mean() < 3, "car"
    assert (difference > MUCH).mean() < 0.001


def test_beyond_the_field_it_is_black_as_in_the_stock() -> None:
    stock, fast = CarRacing(), CarRacingFast()
    for env in (stock, fast):
        env.reset(seed=10_021)
        env.t = 2.0  # zoomed in
        env.car.hull.position = (325.0, 100.0)
        env.car.hull.angle = -1.0
    seen, shown = stock._render("state_pixels"), fast._render("state_pixels")
    assert (shown[:84] == 0).all(-1).mean() > 0.2
    assert np.abs(seen.astype(int) - shown)[:84].mean() < 1


def test_every_observation_is_an_array_of_its_own() -> None:
    env = CarRacingFast()
    first, _ = env.reset(seed=10_022)
    copy = first.copy()
    for _ in range(5):
        second = env.step(np.array([0.0, 1.0, 0.0]))[0]
    np.testing.assert_array_equal(first, copy)
    assert not np.shares_memory(first, second)
    assert second.flags.c_contiguous


def test_a_seed_shows_the_same_episode_after_other_episodes() -> None:
    fresh, used = CarRacingFast(), CarRacingFast()
    used.reset(seed=10_023)
    for _ in range(120):
        used.step(np.array([0.0, 0.5, 0.0]))
    np.testing.assert_array_equal(fresh.reset(seed=10_024)[0], used.reset(seed=10_024)[0])
    for frame in range(120):
        ours, theirs = fresh.step(drive(frame))[0], used.step(drive(frame))[0]
        np.testing.assert_array_equal(ours, theirs)


def test_the_large_picture_is_the_stock_one() -> None:
    pictures = []
    for kind in (CarRacing, CarRacingFast):
        env = kind(render_mode="rgb_array")
        env.reset(seed=10_025)
        for frame in range(3):
            env.step(drive(frame))
        pictures.append(env.render())
    assert pictures[0].shape == (400, 600, 3)
    np.testing.assert_array_equal(*pictures)


def test_the_windows_frames_are_the_stock_ones_and_its_rewards_too() -> None:
    window, stock = make_env(WINDOW_ID), make_env(STOCK_ID, render_mode="rgb_array")
    frame, _ = window.reset(seed=10_003)
    stock.reset(seed=10_003)
    for _ in range(4):
        assert frame.shape == (400, 600, 3)
        np.testing.assert_array_equal(frame[:350], stock.render()[:350])  # the score below is that before this frame
        frame, reward, *_ = window.step(np.array([0.3, 0.6, 0.0]))
        assert reward == stock.step(np.array([0.3, 0.6, 0.0]))[1]
    assert window.observation_space.contains(frame)
    for env in (
        window.unwrapped,
        stock.unwrapped,
    ):  # zoomed in, at the edge of the field, with most polygons off the screen
        env.t, env.reward = 2.0, 7.0
        env.car.hull.position, env.car.hull.angle = (325.0, 100.0), -1.0
    np.testing.assert_array_equal(window.unwrapped.draw(), stock.render())


def test_coverage_shares_pixels_out_among_cells() -> None:
    shares = coverage(3, 12, length=20, num_cells=4)
    np.testing.assert_allclose(shares, [0.4, 1.0, 0.6, 0.0])
