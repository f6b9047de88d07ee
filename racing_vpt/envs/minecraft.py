"""Minecraft as an environment that takes controls by name: an adapter for MineRL 1.0, and its spaces.

MineRL (Guss et al. 2019, arXiv:1907.10440; version 1.0 is VPT's) has the old gym API: a dict of pictures as
observation, a dict of 24 keys and the camera as action, four values per step. Settings for VPT's checkpoints are those
of OpenAI's `run_agent.py`. MineRL is imported when a game is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import gymnasium
import numpy as np
from gymnasium import spaces

from racing_vpt.games.minecraft import BUTTONS, CAMERA
from racing_vpt.games.read import load_game
from racing_vpt.types import Frame

PREFIX = "minerl:"
GAME = "HumanSurvival"  # the game of the public checkpoints, without a task
OTHER_KEYS = ("ESC", "pickItem", "swapHands")  # keys of MineRL that VPT never presses
HEIGHT, WIDTH = 360, 640
FRAMES_PER_SECOND = 20.0
SETTINGS = {  # as in the training of the public checkpoints
    "fov_range": [70, 70],
    "frameskip": 1,
    "gamma_range": [2, 2],
    "guiscale_range": [1, 1],
    "resolution": [WIDTH, HEIGHT],
    "cursor_size_range": [16.0, 16.0],
}
INSTALL = "pip install '.[minecraft]' in a checkout of racing-vpt (MineRL 1.0 comes from GitHub and needs a Java JDK 8)"


class Game(Protocol):
    """Interface of MineRL, or of a game with its spaces; the old or the new gym API."""

    action_space: Any
    observation_space: Any

    def reset(self) -> Any: ...

    def step(self, action: dict[str, Any]) -> Any: ...

    def close(self) -> None: ...


def action_space() -> spaces.Dict:
    """Action space of MineRL 1.0: buttons, and `camera`, pitch and yaw in degrees."""
    keys: dict[str, spaces.Space] = {name: spaces.Discrete(2) for name in (*BUTTONS, *OTHER_KEYS)}
    return spaces.Dict({**keys, "camera": spaces.Box(-180.0, 180.0, (2,), np.float32)})


def observation_space() -> spaces.Dict:
    """Observation space of MineRL 1.0: `pov`, the picture."""
    return spaces.Dict({"pov": spaces.Box(0, 255, (HEIGHT, WIDTH, 3), np.uint8)})


def to_action(controls: Mapping[str, float]) -> dict[str, Any]:
    """MineRL's action for controls by name.

    Raises:
        ValueError: controls are missing, unknown or not finite.
    """
    missing = [name for name in (*BUTTONS, *CAMERA) if name not in controls]
    unknown = sorted(controls.keys() - {*BUTTONS, *CAMERA})
    if missing or unknown:
        raise ValueError(
            f"Minecraft takes the {len(BUTTONS) + len(CAMERA)} controls of the game minecraft; given were "
            f"{sorted(controls)[:4]}: {len(missing)} are missing ({', '.join(missing[:3])}), "
            f"unknown are {unknown or 'none'}"
        )
    camera = np.array([controls[name] for name in CAMERA], np.float32)
    if not np.isfinite(camera).all():
        raise ValueError(f"the camera is to turn by {camera.tolist()} degrees; finite numbers were expected")
    keys: dict[str, Any] = {name: int(controls[name] > 0.5) for name in BUTTONS} | dict.fromkeys(OTHER_KEYS, 0)
    return {**keys, "camera": np.clip(camera, -180.0, 180.0)}


class MinecraftControls(gymnasium.Env):
    """A game with Minecraft's spaces as an environment whose observation is the picture, uint8 [360, 640, 3].

    Args:
        game: MineRL's environment, or one with its spaces.
        max_episode_steps: frames until truncation; None: the game's own limit.
        name: name of the game, for messages.

    Raises:
        ValueError: the game has other keys or another resolution than the checkpoints.
    """

    def __init__(self, game: Game, max_episode_steps: int | None = None, name: str = "the game") -> None:
        self.metadata = {"render_modes": [], "render_fps": FRAMES_PER_SECOND}
        self.action_space, self.observation_space = action_space(), observation_space()["pov"]
        theirs = set(getattr(game.action_space, "spaces", {}))
        if theirs != set(self.action_space.spaces):
            lacks, has = sorted(set(self.action_space.spaces) - theirs), sorted(theirs - set(self.action_space.spaces))
            raise ValueError(
                f"{name} does not have MineRL 1.0's action space: it lacks {lacks or 'nothing'} and has "
                f"{has or 'nothing'} more; VPT's checkpoints know MineRL 1.0 only: {INSTALL}"
            )
        pictures = getattr(game.observation_space, "spaces", {}).get("pov")
        shape = getattr(pictures, "shape", None)
        if shape != (HEIGHT, WIDTH, 3):
            raise ValueError(
                f"{name} shows pictures {shape}, but VPT's checkpoints were trained on ({HEIGHT}, {WIDTH}, 3): "
                f"make it with resolution={SETTINGS['resolution']}"
            )
        self.game = load_game("minecraft")
        self.played, self.max_episode_steps, self.frames = game, max_episode_steps, 0

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[Frame, dict]:
        """A new world, made from the seed if MineRL's version supports it."""
        super().reset(seed=seed)
        self.frames = 0
        if isinstance(self.played, gymnasium.Env):
            observation, info = self.played.reset(seed=seed, options=options)
            return observation["pov"], info
        if seed is not None and hasattr(self.played, "seed"):
            self.played.seed(seed)
        observation = self.played.reset()
        return self._picture(observation), {}

    def step(self, action: dict[str, Any]) -> tuple[Frame, float, bool, bool, dict]:
        """As gymnasium's, with MineRL's action."""
        result = self.played.step(action)
        if len(result) == 4:  # gym before 0.26
            observation, reward, over, info = result
            result = observation, reward, over, bool(info.get("TimeLimit.truncated", False)), info
        observation, reward, terminated, truncated, info = result
        self.frames += 1
        truncated = truncated or self.frames == self.max_episode_steps
        return self._picture(observation), float(reward), bool(terminated), bool(truncated), info

    def step_controls(self, controls: Mapping[str, float]) -> tuple[Frame, float, bool, bool, dict]:
        """As `step`, with the controls by name."""
        return self.step(to_action(controls))

    def close(self) -> None:
        self.played.close()

    @staticmethod
    def _picture(observation: Mapping[str, Any]) -> Frame:
        return np.ascontiguousarray(observation["pov"], np.uint8)


def make_minerl(name: str, max_episode_steps: int | None = None) -> MinecraftControls:
    """MineRL's game of a name: `HumanSurvival`, with the settings of VPT's checkpoints, or one of MineRL's ids.

    Raises:
        ValueError: MineRL is not installed, or has no such game; the message says what to install.
    """
    try:
        import gym
        import minerl  # noqa: F401 - registers its games with gym
        from minerl.herobraine.env_specs.human_survival_specs import HumanSurvival
    except ImportError as error:
        raise ValueError(f"{PREFIX}{name} needs MineRL 1.0 ({error}); install it with: {INSTALL}") from error
    try:
        game = HumanSurvival(**SETTINGS).make() if name == GAME else gym.make(name)
    except gym.error.Error as error:
        raise ValueError(f"MineRL has no game {name!r} ({error}); try {PREFIX}{GAME}") from error
    return MinecraftControls(game, max_episode_steps, name)
