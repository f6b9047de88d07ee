"""`make_env`: ids, options, wrappers."""

import subprocess
import sys
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from racing_vpt.envs.carracing.fast import CarRacingFast
from racing_vpt.envs.make import FAST_ID, STOCK_ID, make_env

GAS = np.array([0.0, 0.5, 0.0], np.float32)


@pytest.mark.parametrize("id", [STOCK_ID, FAST_ID])
@pytest.mark.parametrize("continuous", [True, False])
def test_environments_pass_gymnasiums_check(id: str, continuous: bool) -> None:
    env = make_env(id, continuous=continuous)
    with warnings.catch_warnings():
        warnings.filterwarnings("error")
        warnings.filterwarnings("ignore", message=".*different from the unwrapped version.*")
        check_env(env, skip_render_check=True)


def test_gymnasium_makes_the_registered_environment() -> None:
    env = gymnasium.make(FAST_ID, max_episode_steps=2)
    env.reset(seed=10_000)
    assert isinstance(env.unwrapped, CarRacingFast)
    assert not env.step(GAS)[3]
    assert env.step(GAS)[3], "truncated"


def test_importing_the_package_loads_no_game() -> None:
    code = "import sys, racing_vpt.envs; print([name for name in ('Box2D', 'pygame', 'cv2') if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "[]"


@pytest.mark.parametrize("id", ["CarRacing-v0", "CarRacing-v2", "CarRacing", "Pong-v5"])
def test_other_names_get_an_error_that_says_what_to_use(id: str) -> None:
    with pytest.raises(ValueError, match=f"{id}.*use CarRacing-v3 or racing_vpt/CarRacingFast-v3"):
        make_env(id)


@pytest.mark.parametrize(("option", "value"), [("frame_skip", 0), ("max_episode_steps", 0)])
def test_impossible_lengths_are_refused(option: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{option}=0"):
        make_env(FAST_ID, **{option: value})


def test_a_window_without_a_display_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match=r"render_mode='human'.*no display.*--video"):
        make_env(render_mode="human")


@pytest.mark.parametrize("id", [STOCK_ID, FAST_ID])
def test_a_window_opens_where_there_is_a_driver(id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    env = make_env(id, render_mode="human")
    env.reset(seed=10_000)
    assert env.step(GAS)[0].shape == (96, 96, 3)
    env.close()


@pytest.mark.parametrize("id", [STOCK_ID, FAST_ID])
def test_a_frame_skip_sums_rewards_and_shows_the_last_frame(id: str) -> None:
    plain, skipping = make_env(id), make_env(id, frame_skip=4)
    plain.reset(seed=10_001)
    skipping.reset(seed=10_001)
    for _ in range(4):
        rewards = []
        for _ in range(4):
            frame, reward, *_ = plain.step(GAS)
            rewards.append(float(reward))
        seen, total, *_ = skipping.step(GAS)
        assert total == sum(rewards)
        np.testing.assert_array_equal(seen, frame)


def test_a_frame_skip_draws_only_what_it_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    draw = CarRacingFast.draw
    monkeypatch.setattr(CarRacingFast, "draw", lambda self: drawn.append(1) or draw(self))
    env = make_env(FAST_ID, frame_skip=4)
    env.reset(seed=10_001)
    drawn.clear()
    for _ in range(5):
        env.step(GAS)
    assert len(drawn) == 5


def test_a_frame_skip_stops_with_the_episode() -> None:
    env = make_env(FAST_ID, frame_skip=4, max_episode_steps=10)
    env.reset(seed=10_001)
    assert [env.step(GAS)[3] for _ in range(3)] == [False, False, True]
    assert env.unwrapped.t == pytest.approx(11 / 50), "10 frames and the one of the reset"  # type: ignore[attr-defined]


def test_domain_randomisation_changes_colours_at_each_reset() -> None:
    env = make_env(FAST_ID, domain_randomize=True)
    colors = {tuple(env.reset(seed=seed)[0].reshape(-1, 3).max(0)) for seed in (10_000, 10_001, 10_002)}
    assert len(colors) == 3


def test_the_specification_makes_the_same_environment_again() -> None:
    env = make_env(FAST_ID, frame_skip=3, continuous=False)
    assert env.spec is not None
    assert str(gymnasium.make(env.spec)) == str(env)
