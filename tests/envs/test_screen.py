"""A program in a window is an environment: started, driven by keys, ended by its file's rules."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from gymnasium.utils.env_checker import check_env

from racing_vpt.agents.key_controls import KeyControls
from racing_vpt.envs.key_presses import KeyPresses
from racing_vpt.envs.make import make_env
from racing_vpt.envs.offers import step_controls
from racing_vpt.games.game import Game
from racing_vpt.games.read import load_game
from racing_vpt.rollout.episodes import in_one_gear
from racing_vpt.screen.calibration_window import keys_shown

ROOT = str(Path(__file__).parents[2])
GAME = {
    "controls": {
        "up": "button",
        "down": {"axis": [0, 1], "bins": 3},
        "steering": {"axis": [-1, 1], "bins": 5},
    },
    "frames": {"height": 24, "width": 96, "frames_per_second": 10},
    "keys": {"up": ["up"], "down": ["down"], "steering": {"less": ["left"], "more": ["right"], "step": 0.5}},
    "screen": {
        "window": "racing-vpt calibration",
        "size": [128, 48],
        "program": {
            "command": [sys.executable, "-m", "racing_vpt.screen.calibration_window", "$display"],
            "environment": {"PYTHONPATH": ROOT},
            "choices": {"car": ["red", "blue"]},
        },
        "menu": [{"until": "still"}],
        "end": {"seconds": 0.5},
    },
}


def game_file(folder: Path, **screen: object) -> Path:
    """The game in a file, with another section of its screen."""
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({**GAME, "screen": {**GAME["screen"], **screen}}, sort_keys=False))
    return path


def test_keys_that_execute_an_axis_make_the_recorded_axis_again() -> None:
    game: Game = load_game("torcs")
    keys, presses = KeyControls(game), KeyPresses(game)
    drawn, held = np.random.default_rng(0), set[str]()
    for _ in range(200):
        if drawn.random() < 0.2:
            held ^= {("left", "right", "up", "down")[drawn.integers(4)]}
        controls = keys.controls(held)
        again = set(presses.held(controls))
        assert again - {"left", "right"} == held - {"left", "right"}
        assert keys.game.keys["steering"].step > abs(presses._values["steering"] - controls["steering"])


def test_a_game_without_gears_is_driven_without_gear_change() -> None:
    assert in_one_gear({"steering": 0.5}, load_game("torcs").control_names) == {"steering": 0.5}
    assert in_one_gear({"steering": 0.5}, load_game("carracing").control_names) == {"steering": 0.5, "gear_change": 0}


def test_half_of_a_pedal_is_its_key_in_every_second_frame() -> None:
    presses = KeyPresses(load_game("torcs"))
    held = [presses.held({"steering": 0, "throttle": 0.5, "brake": 0}) for _ in range(100)]
    assert sum("up" in keys for keys in held) == 50


def test_a_program_in_a_window_is_an_environment(display: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", display)
    env = make_env(f"screen:{game_file(tmp_path, display='user')}")  # a display that runs already: many resets
    check_env(env.unwrapped, skip_render_check=True)
    env.close()
    env = make_env(f"screen:{game_file(tmp_path)}?car=blue")
    _, info = env.reset(seed=7)
    assert info["choice"] == {"car": "blue"}
    for _ in range(4):
        frame, reward, terminated, truncated, info = step_controls(env, {"up": 1, "down": 0, "steering": -1})
    assert keys_shown(frame) == {"up", "left"}
    assert (reward, terminated, truncated) == (0.0, False, False)
    *_, terminated, truncated, info = step_controls(env, {"up": 0, "down": 0, "steering": 0})
    assert (terminated, truncated, info["time"]) == (False, True, 0.5)
    with pytest.raises(ValueError, match="mine has no control gas; it has up, down, steering"):
        step_controls(env, {"gas": 1})
    process = env.unwrapped.process  # type: ignore[attr-defined]
    env.close()
    assert not process.runs
    assert not process.home.exists()


def test_mistakes_of_a_game_file_are_said(display: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", display)

    def made(**screen: object) -> None:
        make_env(f"screen:{game_file(tmp_path, display='user', **screen)}").reset()

    with pytest.raises(ValueError, match=r"mine did not start: it has ended .*; its last words: no engine"):
        made(program={"command": ["sh", "-c", "echo no engine; exit 3"]})
    with pytest.raises(ValueError, match="program no-such-game is not installed; apt-get install it"):
        made(program={"command": ["no-such-game"], "install": "apt-get install it"})
    with pytest.raises(ValueError, match=r"names a value that is not given \('trak'\); there are \$display, \$height"):
        made(program={"command": ["sh", "$trak"]})
    with pytest.raises(ValueError, match="there is no key 'spcae'"):
        made(menu=[{"press": "spcae"}])
    with pytest.raises(ValueError, match="step 1: until is 'stil'; did you mean still"):
        made(menu=[{"until": "stil"}])
    with pytest.raises(ValueError, match="the game has no option 'cra'; it has: car"):
        make_env(f"screen:{game_file(tmp_path)}?cra=red")


@pytest.mark.skipif(
    shutil.which("/usr/games/torcs") is None or not [*Path("/usr/lib").glob("*/faketime")],
    reason="TORCS is not installed (Debian: apt-get install torcs xvfb faketime)",
)
def test_torcs_starts_and_drives(display: str) -> None:
    env = make_env("screen:torcs?track=g-track-1")
    frame, _ = env.reset(seed=1000)
    assert frame.shape == (240, 320, 3)
    last, *_ = step_controls(env, {"steering": 0.0, "throttle": 1.0, "brake": 0.0})
    assert np.abs(last.astype(int) - frame).mean() < 60  # still at the start: the same place
    assert env.unwrapped.clock.num_late == 0  # type: ignore[attr-defined]
    home = env.unwrapped.process.home  # type: ignore[attr-defined]
    env.close()
    assert not os.path.exists(home)
