"""Minecraft's interface: its spaces, the actions of a policy's controls, and our meadow."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env

from racing_vpt.envs.make import FAST_ID, MEADOW_ID, make_env
from racing_vpt.envs.meadow import FELLING, WALK, Meadow
from racing_vpt.envs.minecraft import SETTINGS, MinecraftControls, action_space, observation_space, to_action
from racing_vpt.envs.offers import check_driver, offered
from racing_vpt.games.minecraft import BUTTONS, CAMERA
from racing_vpt.games.read import load_game

REST = {**dict.fromkeys(BUTTONS, 0.0), **dict.fromkeys(CAMERA, 0.0)}
MINERL_KEYS = [
    "ESC",
    "attack",
    "back",
    "camera",
    "drop",
    "forward",
    "hotbar.1",
    "hotbar.2",
    "hotbar.3",
    "hotbar.4",
    "hotbar.5",
    "hotbar.6",
    "hotbar.7",
    "hotbar.8",
    "hotbar.9",
    "inventory",
    "jump",
    "left",
    "pickItem",
    "right",
    "sneak",
    "sprint",
    "swapHands",
    "use",
]


@pytest.fixture
def meadow() -> Iterator[Any]:
    env: Any = make_env(MEADOW_ID)
    env.reset(seed=3)
    yield env
    env.close()


def test_the_spaces_are_those_of_minerl() -> None:
    assert sorted(action_space().spaces) == sorted(MINERL_KEYS)
    assert action_space()["camera"] == spaces.Box(-180, 180, (2,), np.float32)
    assert all(action_space()[key] == spaces.Discrete(2) for key in MINERL_KEYS if key != "camera")
    assert observation_space()["pov"].shape == (360, 640, 3)
    assert SETTINGS["resolution"] == [640, 360]


def test_every_class_of_a_policy_is_an_action_of_the_game() -> None:
    scheme, space = load_game("minecraft").scheme(), action_space()
    random = torch.Generator().manual_seed(0)
    classes = {head: torch.randint(n, (64,), generator=random) for head, n in scheme.num_classes.items()}
    decoded = scheme.decode(classes)
    for row in range(64):
        controls = {name: column[row].item() for name, column in decoded.items()}
        action = to_action(controls)
        assert space.contains(action)
        assert {name for name in BUTTONS if action[name]} == {name for name in BUTTONS if controls[name]}
        np.testing.assert_allclose(action["camera"], [controls["camera_pitch"], controls["camera_yaw"]], rtol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            {"steering": 0.1, "brake": 0.0},
            r"22 are missing \(attack, back, forward\), unknown are \['brake', 'st",
        ),
        (REST | {"camera_yaw": float("nan")}, "finite"),
    ],
)
def test_controls_of_another_game_are_refused(wrong: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        to_action(wrong)


def test_the_meadow_is_a_proper_environment() -> None:
    check_env(Meadow("rgb_array"), skip_render_check=False)


def test_the_meadow_shows_pictures_at_the_games_size_and_pace(meadow: Any) -> None:
    frame, _ = meadow.reset(seed=1)
    assert (frame.shape, frame.dtype) == ((360, 640, 3), np.uint8)
    assert meadow.metadata["render_fps"] == 20
    again, _ = meadow.reset(seed=1)
    np.testing.assert_array_equal(frame, again)


def test_walking_to_the_tree_and_hitting_it_fells_it(meadow: Any) -> None:
    core, rewards = meadow.played.unwrapped, []
    for _ in range(150):
        bearing, distance = core.tree_from_here()
        turn = float(np.clip(bearing, -10, 10))
        hit = float(core.aims_at_trunk())
        rewards.append(meadow.step_controls(REST | {"camera_yaw": turn, "forward": distance > 3, "attack": hit})[1])
        if rewards[-1]:
            break
    assert sum(rewards) == 1
    assert len(rewards) > FELLING


def test_keys_do_what_they_do_in_the_game(meadow: Any) -> None:
    core = meadow.played.unwrapped
    meadow.step_controls(REST | {"forward": 1, "sprint": 1})
    np.testing.assert_allclose(core.place, [0, 1.3 * WALK])
    meadow.step_controls(REST | {"camera_yaw": 90.0, "camera_pitch": -4.0, "hotbar.4": 1})
    assert (core.yaw, core.pitch, core.slot) == (90, -4, 4)
    before = meadow.step_controls(REST)[0]
    shown = meadow.step_controls(REST | {"inventory": 1})[0]
    assert np.abs(shown.astype(int) - before).mean() > 5
    held = meadow.step_controls(REST | {"inventory": 1, "forward": 1})[0]  # still held: the panel stays
    np.testing.assert_array_equal(held, shown)
    meadow.step_controls(REST)
    meadow.step_controls(REST | {"inventory": 1})
    meadow.step_controls(REST | {"jump": 1})
    assert core.height > 0


class OldGame:
    """Like MineRL: the API of gym before 0.26 with four values per step; the pictures are the meadow's."""

    def __init__(self, keys: list[str] = MINERL_KEYS, shape: tuple[int, ...] = (360, 640, 3)) -> None:
        self.action_space = spaces.Dict({key: action_space()[key] for key in keys if key in action_space().spaces})
        self.observation_space = spaces.Dict({"pov": spaces.Box(0, 255, shape, np.uint8)})
        self.meadow, self.seeded, self.closed = Meadow(), None, False

    def seed(self, seed: int) -> None:
        self.seeded = seed

    def reset(self) -> dict:
        return self.meadow.reset(seed=self.seeded)[0]

    def step(self, action: dict) -> tuple[dict, float, bool, dict]:
        observation, reward, over, _, info = self.meadow.step(action)
        return observation, reward, over, info

    def close(self) -> None:
        self.closed = True


def test_a_game_of_the_old_gym_is_stepped_as_a_new_one() -> None:
    game = OldGame()
    env = MinecraftControls(game, max_episode_steps=2)
    frame, _ = env.reset(seed=7)
    assert (frame.shape, game.seeded) == ((360, 640, 3), 7)
    ends = [env.step_controls(REST)[2:4] for _ in range(2)]
    assert ends == [(False, False), (False, True)]
    env.reset(seed=8)
    assert env.step({**to_action(REST), "ESC": 1})[2]
    env.close()
    assert game.closed


def test_games_that_the_checkpoints_do_not_know_are_refused() -> None:
    with pytest.raises(ValueError, match=r"lacks \['ESC', 'pickItem'\].*MineRL 1\.0"):
        MinecraftControls(OldGame(keys=[key for key in MINERL_KEYS if key not in ("ESC", "pickItem")]))
    with pytest.raises(ValueError, match=r"\(64, 64, 3\).*resolution=\[640, 360\]"):
        MinecraftControls(OldGame(shape=(64, 64, 3)))


def test_without_minerl_the_error_says_what_to_install() -> None:
    with pytest.raises(ValueError, match=r"needs MineRL 1\.0.*\[minecraft\].*JDK 8"):
        make_env("minerl:HumanSurvival")


def test_an_installed_minerl_is_made_with_the_settings_of_the_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """MineRL itself needs Java and the game; its package is stood in for by modules with the same names."""
    made: list[dict] = []

    class HumanSurvival:
        def __init__(self, **settings: object) -> None:
            made.append(settings)

        def make(self) -> OldGame:
            return OldGame()

    for name in ("gym", "minerl", "minerl.herobraine", "minerl.herobraine.env_specs"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    specs: Any = ModuleType("minerl.herobraine.env_specs.human_survival_specs")
    specs.HumanSurvival = HumanSurvival
    monkeypatch.setitem(sys.modules, specs.__name__, specs)
    gym: Any = sys.modules["gym"]
    gym.error = ModuleType("gym.error")
    gym.error.Error = KeyError
    gym.make = {"MineRLBasaltFindCave-v0": OldGame()}.__getitem__
    env: Any = make_env("minerl:HumanSurvival", max_episode_steps=3)
    assert made == [SETTINGS]
    assert env.reset(seed=1)[0].shape == (360, 640, 3)
    assert make_env("minerl:MineRLBasaltFindCave-v0").game.name == "minecraft"  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="no game 'MineRLNowhere'"):
        make_env("minerl:MineRLNowhere")


class Kart(gymnasium.Env):
    """An environment that provides its own scheme."""

    game = "carracing"
    metadata = {"render_fps": 30}  # noqa: RUF012
    observation_space, action_space = spaces.Box(0, 255, (8, 8, 3), np.uint8), spaces.Box(-1, 1, (2,))

    def to_action(self, controls: dict[str, float]) -> np.ndarray:
        return np.array([controls["steering"], controls["throttle"] - controls["brake"]])

    def step(self, action: np.ndarray) -> tuple:
        return np.zeros((8, 8, 3), np.uint8), float(action[0]), False, False, {}


def test_any_environment_that_offers_its_scheme_is_driven_by_name() -> None:
    env: Any = offered(Kart(), "Kart")
    assert env.step_controls({"steering": 0.25, "throttle": 1.0, "brake": 0.0, "gear_change": 0.0})[1] == 0.25
    check_driver(("steering", "throttle", "brake"), "carracing-discrete", env)
    with pytest.raises(ValueError, match="does not say what its controls are"):
        make_env("CartPole-v1")


def test_a_driver_of_another_game_is_refused(meadow: Any) -> None:
    with pytest.raises(ValueError, match="carracing, but the environment takes those of minecraft: attack"):
        check_driver(load_game("carracing").scheme().controls, "carracing", meadow)
    with pytest.raises(ValueError, match="minecraft, but the environment takes those of carracing"):
        check_driver(load_game("minecraft").scheme().controls, "minecraft", make_env(FAST_ID))


def test_options_of_carracing_are_refused_elsewhere() -> None:
    with pytest.raises(ValueError, match="no options"):
        make_env(MEADOW_ID, frame_skip=4)
    with pytest.raises(ValueError, match="cannot be rendered as 'state_pixels'"):
        make_env(MEADOW_ID, render_mode="state_pixels")
