from __future__ import annotations

import gymnasium
import numpy as np
import pygame
import pytest

from racing_vpt.agents.keyboard import KeyboardAgent
from racing_vpt.agents.load import load_agent
from racing_vpt.agents.perturbation import Disturbance, Perturbation
from racing_vpt.games.read import load_game
from racing_vpt.types import Agent

FRAME = np.zeros((96, 96, 3), np.uint8)
COAST = {"steering": 0.0, "throttle": 0.5, "brake": 0.0}


@pytest.mark.parametrize("name", ["brownian", "random"])
def test_blind_agents_are_a_function_of_their_seed(name: str) -> None:
    agents = [load_agent(name, seed=7), load_agent(name, seed=7), load_agent(name, seed=8)]
    said = [[agent.act(FRAME) for _ in range(50)] for agent in agents]
    assert said[0] == said[1] != said[2]


@pytest.mark.parametrize("name", ["brownian", "random"])
def test_blind_agents_stay_in_range(name: str) -> None:
    agent, scheme = load_agent(name), load_game("carracing").scheme()
    assert isinstance(agent, Agent)
    for _ in range(300):
        scheme.check({**agent.act(FRAME), "gear_change": 0.0})


def test_brownian_motion_moves_by_the_root_of_its_time_step() -> None:
    agent = load_agent("brownian", seed=1)
    steering = np.array([agent.act(FRAME)["steering"] for _ in range(4000)])
    inside = (np.abs(steering[:-1]) < 0.5) & (np.abs(steering[1:]) < 1)
    assert np.diff(steering)[inside].std() == pytest.approx(np.sqrt(1 / 50), rel=0.1)


def test_rows_of_a_batch_are_independent_drivers() -> None:
    batched, alone = load_agent("brownian", seed=3), load_agent("brownian", seed=3)
    frames, first = np.stack([FRAME, FRAME]), np.array([True, True])
    batched.row(0).seed(3)  # type: ignore[attr-defined]
    batched.row(1).seed(4)  # type: ignore[attr-defined]
    said = [batched.act_batch(frames, first) for _ in range(20)]
    assert [row[0] for row in said] == [alone.act(FRAME) for _ in range(20)]
    assert [row[1] for row in said] != [row[0] for row in said]


def test_perturbation_changes_some_frames_and_is_a_function_of_the_seed() -> None:
    perturbation = Perturbation(probability=0.05, min_frames=2, max_frames=4)
    runs = []
    for seed in (1, 1, 2):
        disturbance = Disturbance(perturbation, seed)
        runs.append([disturbance.apply(COAST) for _ in range(400)])
    assert runs[0] == runs[1] != runs[2]
    assert 0.05 < np.mean([executed is not None for executed in runs[0]]) < 0.3
    assert all(run is None or run.keys() == COAST.keys() for run in runs[0])


def test_each_kind_of_perturbation_has_its_effect() -> None:
    executed = {}
    for kind in ("steering_offset", "random_steering", "no_throttle", "full_throttle", "brake", "full_brake"):
        perturbation = Perturbation(probability=1.0, strength=0.4, kinds=(kind,))  # type: ignore[arg-type]
        executed[kind] = Disturbance(perturbation, 0).apply({**COAST, "steering": 0.9}) or {}
    assert 0.5 <= executed["steering_offset"]["steering"] <= 1.0
    assert abs(executed["random_steering"]["steering"]) <= 0.4
    assert executed["no_throttle"]["throttle"] == 0
    assert executed["full_throttle"]["throttle"] == 1
    assert 0 < executed["brake"]["brake"] <= 0.4
    assert executed["full_brake"] == {"steering": 0.9, "throttle": 0.0, "brake": 1.0}


@pytest.mark.parametrize("wrong", [{"probability": 2.0}, {"min_frames": 0}, {"kinds": ("sneeze",)}, {"kinds": ()}])
def test_an_impossible_perturbation_is_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match="given"):
        Perturbation(**wrong)


@pytest.fixture
def keyboard(monkeypatch: pytest.MonkeyPatch) -> KeyboardAgent:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    pygame.display.init()
    pygame.event.clear()
    return KeyboardAgent(scale=2, frames_per_second=1000)


def press(key: int, down: bool = True) -> None:
    pygame.event.post(pygame.event.Event(pygame.KEYDOWN if down else pygame.KEYUP, key=key))


@pytest.mark.parametrize("keys", [(pygame.K_LEFT, pygame.K_UP, pygame.K_DOWN), (pygame.K_a, pygame.K_w, pygame.K_s)])
def test_keys_steer_accelerate_and_brake(keyboard: KeyboardAgent, keys: tuple[int, int, int]) -> None:
    left, throttle, brake = keys
    keyboard.act(FRAME)
    press(left)
    press(throttle)
    steering = [keyboard.act(FRAME)["steering"] for _ in range(30)]
    assert steering[0] > steering[10] > steering[-1] == -1.0
    assert keyboard.act(FRAME)["throttle"] == 1.0
    press(throttle, down=False)
    press(brake)
    assert keyboard.act(FRAME) == {"steering": -1.0, "throttle": 0.0, "brake": 0.8, "gear_change": 0.0}
    press(left, down=False)
    assert keyboard.act(FRAME)["steering"] > -1.0


def test_keys_move_the_joystick_of_a_joystick_game(keyboard: KeyboardAgent) -> None:
    env = gymnasium.Env()
    env.game, env.metadata = load_game("breakout"), {"render_fps": 15.0}  # type: ignore[attr-defined]
    keyboard.attach(env)
    keyboard.act(FRAME)
    press(pygame.K_LEFT)
    press(pygame.K_SPACE)
    assert keyboard.act(FRAME) == {"up": 0, "down": 0, "left": 1, "right": 0, "fire": 1}
    press(pygame.K_d)
    assert keyboard.act(FRAME)["left"] == keyboard.act(FRAME)["right"] == 0
    env.game = load_game("minecraft")  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="the game minecraft names no keys"):
        keyboard.attach(env)


def test_escape_ends_the_driving(keyboard: KeyboardAgent) -> None:
    keyboard.act(FRAME)
    press(pygame.K_ESCAPE)
    with pytest.raises(KeyboardInterrupt):
        keyboard.act(FRAME)


def test_the_keyboard_needs_a_display(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match="no display"):
        load_agent("keyboard")


def test_an_unknown_agent_is_answered_with_those_that_exist() -> None:
    with pytest.raises(FileNotFoundError, match="brownian"):
        load_agent("no-such-checkpoint")
