"""The scripted driver of Enduro: it reads the picture rightly, passes cars, and its styles differ."""

from __future__ import annotations

import numpy as np
import pytest

from racing_vpt.agents.enduro_expert import EnduroExpert
from racing_vpt.agents.enduro_sight import look
from racing_vpt.agents.enduro_styles import EnduroStyle
from racing_vpt.agents.load import load_agent
from racing_vpt.envs.make import make_env
from racing_vpt.games.atari import JOYSTICK
from racing_vpt.games.read import load_game
from tests.episodes import run_episode

SPEED = 22  # address of the car's speed in the console's memory, 6 to 120


@pytest.fixture
def ale() -> None:
    pytest.importorskip("ale_py", reason="Atari's games come with ale-py: pip install '.[atari]'")


def drawn(background: tuple[int, int, int], car: int, other: tuple[int, int] | None) -> np.ndarray:
    """A straight road with edges 30 and 130 at the bottom, one's own car, and another one in blue."""
    frame = np.zeros((210, 160, 3), np.uint8)
    frame[52:155, 8:] = background
    for row in range(54, 155):
        half = round(50 * (row - 50) / 104)
        frame[row, [80 - half, 80 + half]] = 192
    frame[140:151, car - 8 : car + 8] = 192
    if other is not None:
        frame[other[0] - 3 : other[0] + 3, other[1] - 4 : other[1] + 4] = (66, 114, 194)
    return frame


@pytest.mark.parametrize("background", [(0, 68, 0), (236, 236, 236), (0, 0, 0), (74, 74, 74)])
def test_it_sees_the_road_by_day_in_snow_by_night_and_in_fog(background: tuple[int, int, int]) -> None:
    sight = look(drawn(background, car=91, other=(104, 93)))
    assert sight is not None
    width = 2 * 50 * (145.5 - 50) / 104
    assert sight.place == pytest.approx(0.5 + 10.5 / width, abs=0.03)
    assert sight.speed == 0.5
    assert sight.cars.mean() == pytest.approx(0.5 + 12.5 / 52, abs=0.04)
    assert sight.depths.mean() == pytest.approx(104 / 54, rel=0.05)
    assert look(np.zeros((210, 160, 3), np.uint8)) is None


def test_it_goes_round_a_car_and_brakes_where_it_cannot() -> None:
    for place, side in ((76, "right"), (84, "left")):
        driver = EnduroExpert(EnduroStyle(deadband=0.01))
        assert driver.act(drawn((0, 68, 0), car=80, other=(110, place)))[side] == 1
    wall = drawn((0, 68, 0), car=80, other=None)
    wall[128:134, 42:118] = (66, 114, 194)  # from edge to edge
    pressed = EnduroExpert().act(wall)
    assert pressed["down"] == 1
    assert pressed["fire"] == 0


def test_what_it_does_is_a_choice_of_the_game() -> None:
    rows = {tuple(row) for row in load_game("enduro").scheme().heads["action"].table.tolist()}
    driver, random = load_agent("enduro-expert:wild", seed=3), np.random.default_rng(0)
    for _ in range(300):
        frame = drawn((0, 68, 0), int(random.integers(60, 100)), (int(random.integers(70, 135)), 80))
        controls = driver.act(frame)
        assert tuple(controls[name] for name in JOYSTICK) in rows


def test_a_wrong_style_or_picture_is_named() -> None:
    with pytest.raises(ValueError, match=r"no style 'slow'; it has limit, calm, watched, varied, wild"):
        load_agent("enduro-expert:slow")
    with pytest.raises(ValueError, match=r"\(210, 160, 3\), but \(96, 96, 3\) was given"):
        load_agent("enduro-expert").act(np.zeros((96, 96, 3), np.uint8))
    with pytest.raises(ValueError, match="hold >= 1"):
        EnduroStyle(hold=0)


@pytest.mark.usefixtures("ale")
def test_it_passes_cars_and_drives_a_game_again_alike() -> None:
    env = make_env("ALE/Enduro-v5")
    drivers = [load_agent(f"enduro-expert{style}") for style in ("", "", ":wild")]
    first, again, wild = (run_episode(env, driver, 30_000, max_frames=260) for driver in drivers)
    assert first.score >= 8
    assert first == again
    assert first != wild


@pytest.mark.usefixtures("ale")
def test_the_height_of_the_car_is_its_speed() -> None:
    env, driver = make_env("ALE/Enduro-v5"), EnduroExpert(EnduroStyle(top=0.4))
    frame, speeds = env.reset(seed=30_001)[0], []
    for _ in range(120):
        sight = look(frame)
        assert sight is not None
        speeds.append((sight.speed, int(env.unwrapped.ale.getRAM()[SPEED])))  # type: ignore[attr-defined]
        frame = env.step_controls(driver.act(frame))[0]  # type: ignore[attr-defined]
    shown, true = np.array(speeds[1:]).T
    slow = true < 56
    assert np.abs(8 + 54 * shown[slow] - true[slow]).max() < 10
    assert len({*shown}) >= 6
