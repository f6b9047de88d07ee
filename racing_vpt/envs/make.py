"""Makes environments by id, checked, with controls by name."""

import os
import sys
from typing import Literal

import gymnasium

from racing_vpt.envs.actions import ControlEnv
from racing_vpt.envs.frame_skip import FrameSkip
from racing_vpt.envs.offers import offered
from racing_vpt.envs.register import FAST_ID, MEADOW_ID, WINDOW_ID, register_envs
from racing_vpt.games.atari import ATARI
from racing_vpt.games.console import NES
from racing_vpt.games.read import SCREEN

STOCK_ID = "CarRacing-v3"
CARRACING_IDS = (STOCK_ID, FAST_ID, WINDOW_ID)
RenderMode = Literal["human", "rgb_array", "state_pixels"]
OLDER_IDS = ("CarRacing-v0", "CarRacing-v1", "CarRacing-v2")

register_envs()  # also if the package was not installed with its entry points


def make_env(
    id: str = STOCK_ID,
    *,
    continuous: bool = True,
    frame_skip: int = 1,
    render_mode: RenderMode | None = None,
    domain_randomize: bool = False,
    max_episode_steps: int | None = None,
    end_on_life_loss: bool = False,
) -> gymnasium.Env:
    """Make an environment with pictures as observations that takes controls by name (`envs.offers`).

    Args:
        id: `CarRacing-v3` (stock) or `racing_vpt/CarRacingFast-v3` (same physics and rewards, drawn much faster), whose
            pictures are uint8 [96, 96, 3] and whose actions are checked at every step;
            `racing_vpt/CarRacingWindow-v3`, the same with the pictures of its window, uint8 [400, 600, 3];
            `minerl:HumanSurvival` or `minerl:ID` for Minecraft, `racing_vpt/Meadow-v0` with the same spaces;
            `screen:torcs` or `screen:FILE.yaml` for a program in a window (`envs.screen`);
            `ALE/Enduro-v5` or another game of ale-py; `nes:nes-road` or `nes:nes@ROM` for games of the NES; or any
            environment of gymnasium that offers its game.
        continuous: actions are float [steering, throttle, brake]; otherwise one of five integers. CarRacing only.
        frame_skip: environment frames for which an action is held; their rewards are summed.
        render_mode: result of `env.render()`: a window, a uint8 [400, 600, 3] picture, or the observation.
        domain_randomize: new colours of road and grass at every reset. CarRacing only.
        max_episode_steps: frames (not decisions) until truncation; None: the registered 1000. In Atari, observed
            frames, of four frames of the console each.
        end_on_life_loss: end an episode with each life, for training only. Atari only (`envs.atari`).

    Raises:
        ValueError: an unknown or retired id, one that offers no game, options that it does not have, an invalid frame
            skip or length, a window without a display, or a game that is not installed.
    """
    if id in OLDER_IDS:
        raise ValueError(f"{id} is retired in gymnasium {gymnasium.__version__}; use {STOCK_ID} or {FAST_ID}")
    if frame_skip < 1:
        raise ValueError(f"frame_skip={frame_skip}: expected a number of frames of at least 1")
    if max_episode_steps is not None and max_episode_steps < 1:
        raise ValueError(f"max_episode_steps={max_episode_steps}: expected at least 1 frame, or None for 1000")
    if render_mode == "human" and not has_display():
        raise ValueError(
            "render_mode='human' opens a window, but no display was found (DISPLAY and WAYLAND_DISPLAY are unset); "
            "write a film instead: --video FILE.mp4"
        )
    if end_on_life_loss and not id.startswith(ATARI):
        raise ValueError(f"{id} has no lives; end_on_life_loss is for Atari's games, such as {ATARI}Breakout-v5")
    if id not in CARRACING_IDS:
        if not continuous or domain_randomize or frame_skip > 1:
            raise ValueError(f"{id} has no options continuous, domain_randomize and frame_skip; CarRacing has them")
        return make_other(id, render_mode, max_episode_steps, end_on_life_loss)
    env: gymnasium.Env = gymnasium.make(
        id,
        max_episode_steps=max_episode_steps,
        disable_env_checker=True,  # a tenth of the time of a fast frame; tests run check_env instead
        render_mode=render_mode,
        continuous=continuous,
        domain_randomize=domain_randomize,
    )
    if frame_skip > 1:
        env = FrameSkip(env, num_frames=frame_skip)
    return ControlEnv(env)


def make_other(
    id: str, render_mode: RenderMode | None, max_episode_steps: int | None, end_on_life_loss: bool
) -> gymnasium.Env:
    """Any environment but CarRacing; ValueError if there is none or it offers no game."""
    if id.startswith("minerl:"):
        from racing_vpt.envs.minecraft import make_minerl

        return make_minerl(id.removeprefix("minerl:"), max_episode_steps)
    if id.startswith(SCREEN):
        from racing_vpt.envs.screen import ScreenGame  # imports python-xlib

        return offered(ScreenGame(id, max_episode_steps), id)
    if id.startswith(ATARI):
        from racing_vpt.envs.atari import make_atari

        return make_atari(id, render_mode, max_episode_steps, end_on_life_loss)
    if id.startswith(NES):
        from racing_vpt.envs.nes import make_nes

        return make_nes(id, render_mode, max_episode_steps)
    unknown = (
        f"no environment is called {id!r}; use {STOCK_ID} or {FAST_ID}, minerl:HumanSurvival or {MEADOW_ID} for "
        f"Minecraft's controls, {ATARI}Enduro-v5 for Atari's, {NES}nes-road for the NES, or one of gymnasium's "
        "(MODULE:ID imports its module first) that offers its controls"
    )
    if ":" not in id and id not in gymnasium.registry:
        raise ValueError(unknown)
    try:
        env = gymnasium.make(id, max_episode_steps=max_episode_steps, disable_env_checker=True, render_mode=render_mode)
    except (gymnasium.error.Error, ModuleNotFoundError) as error:
        raise ValueError(f"{unknown} ({error})") from error
    if render_mode is not None and render_mode not in env.metadata.get("render_modes", ()):
        raise ValueError(f"{id} cannot be rendered as {render_mode!r}; it knows {env.metadata.get('render_modes')}")
    return offered(env, id)


def has_display() -> bool:
    """Whether a window can be opened: a Linux session needs X11 or Wayland, or SDL's own choice of a driver."""
    if not sys.platform.startswith("linux"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"))
