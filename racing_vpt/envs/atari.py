"""Atari games (extra `[atari]`: ale-py carries their ROMs) as environments that take controls by name.

These are ale-py's unchanged v5 environments: four frames per action, sticky actions with probability 0.25 (Machado et
al. 2018, arXiv:1709.06009), colours, no maximum over frames, episodes of whole games, raw rewards. Unlike those, every
game takes all 18 positions of the joystick, not only its minimal set, so that a person may hold any keys and recordings
of one game can train models of another; `render_fps` is that of the console: 60 frames per second, four per action.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, SupportsFloat

import gymnasium
from gymnasium.utils import RecordConstructorArgs

from racing_vpt.games.atari import ATARI, position_of
from racing_vpt.games.read import game_names, load_game
from racing_vpt.types import Frame

CONSOLE_FRAMES_PER_SECOND = 60.0
LONGEST = 27_000  # observed frames: half an hour, after which ale-py ends a game
INSTALL = "pip install '.[atari]' in a checkout of racing-vpt"
Step = tuple[Frame, SupportsFloat, bool, bool, dict[str, Any]]


class AtariGame(gymnasium.Wrapper, RecordConstructorArgs):
    """Frames uint8 [210, 160, 3], for controls of the joystick by name.

    Args:
        env: environment of ale-py with all positions of the joystick as its actions.
        end_on_life_loss: end an episode with each life, for training: `reset()` then continues with the next life of
            the same game, and `reset(seed=...)` begins another game.
    """

    def __init__(self, env: gymnasium.Env, end_on_life_loss: bool = False) -> None:
        RecordConstructorArgs.__init__(self, end_on_life_loss=end_on_life_loss)
        super().__init__(env)
        assert env.spec is not None
        settings = env.spec.kwargs
        self.game = load_game(settings["game"] if settings["game"] in game_names() else "atari")
        self.metadata = {**env.metadata, "render_fps": CONSOLE_FRAMES_PER_SECOND / settings["frameskip"]}
        self.end_on_life_loss = end_on_life_loss
        self.lives, self.game_over = 0, True

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Frame, dict[str, Any]]:
        if self.end_on_life_loss and not self.game_over and seed is None:
            frame, _, terminated, truncated, info = self.env.step(0)
            if not (terminated or truncated):
                self.lives = info["lives"]
                return frame, info
        frame, info = self.env.reset(seed=seed, options=options)
        self.lives, self.game_over = info["lives"], False
        return frame, info

    def step(self, action: int) -> Step:
        """As gymnasium's; an action is the index of a position."""
        frame, reward, terminated, truncated, info = self.env.step(action)
        lost, self.lives = info["lives"] < self.lives, info["lives"]
        self.game_over = terminated or truncated
        return frame, reward, terminated or (lost and self.end_on_life_loss), truncated, info

    def step_controls(self, controls: Mapping[str, float]) -> Step:
        """As `step`, with the controls by name."""
        return self.step(position_of(controls))


def make_atari(
    id: str, render_mode: str | None = None, max_episode_steps: int | None = None, end_on_life_loss: bool = False
) -> AtariGame:
    """The game of an id such as `ALE/Enduro-v5`.

    Raises:
        ValueError: ale-py is not installed, has no such game, or does not know the render mode.
    """
    try:
        import ale_py
    except ModuleNotFoundError as error:
        raise ValueError(f"{id} needs ale-py, which carries the games ({error}); install it with: {INSTALL}") from error
    games = [name for name in gymnasium.registry if name.startswith(ATARI)]
    if id not in games:
        near = difflib.get_close_matches(id, games, 3, 0.3)
        raise ValueError(f"ale-py has no game {id!r}; it has {', '.join(near)} and {len(games) - len(near)} more")
    if render_mode not in (None, "human", "rgb_array"):
        raise ValueError(f"{id} is rendered as human or rgb_array, but {render_mode!r} was asked for")
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)  # ale-py prints a banner otherwise
    env = gymnasium.make(
        id,
        max_episode_steps=max_episode_steps or LONGEST,
        disable_env_checker=True,
        render_mode=render_mode,
        full_action_space=True,
    )
    return AtariGame(env, end_on_life_loss)
