"""The door to the environments: an id and a few options in, a checked gymnasium environment out."""

import os
import sys
from typing import Literal

import gymnasium

from racing_vpt.envs.actions import ControlEnv
from racing_vpt.envs.frame_skip import FrameSkip

STOCK_ID = "CarRacing-v3"
FAST_ID = "racing_vpt/CarRacingFast-v3"
RenderMode = Literal["human", "rgb_array", "state_pixels"]
OLDER_IDS = ("CarRacing-v0", "CarRacing-v1", "CarRacing-v2")


def make_env(
    id: str = STOCK_ID,
    *,
    continuous: bool = True,
    frame_skip: int = 1,
    render_mode: RenderMode | None = None,
    domain_randomize: bool = False,
    max_episode_steps: int | None = None,
) -> ControlEnv:
    """Makes an environment whose observations are uint8 [96, 96, 3] and whose actions are checked at every step.

    Args:
        id: `CarRacing-v3` (stock) or `racing_vpt/CarRacingFast-v3` (same physics and rewards, drawn much faster).
        continuous: actions are float [steering, throttle, brake]; otherwise one of five integers.
        frame_skip: environment frames for which an action is held; their rewards are summed.
        render_mode: what `env.render()` gives: a window, a uint8 [400, 600, 3] picture, or the observation.
        domain_randomize: new colours of road and grass at every reset.
        max_episode_steps: frames (not decisions) until truncation; None keeps the 1000 of the registration.

    Raises:
        ValueError: for an unknown or retired id, a bad frame skip or length, or a window without a display.
    """
    if id in OLDER_IDS:
        raise ValueError(f"{id} is retired in gymnasium {gymnasium.__version__}; use {STOCK_ID} or {FAST_ID}")
    if id not in (STOCK_ID, FAST_ID):
        raise ValueError(f"no environment is called {id!r}; use {STOCK_ID} or {FAST_ID}")
    if frame_skip < 1:
        raise ValueError(f"frame_skip={frame_skip}: expected a number of frames of at least 1")
    if max_episode_steps is not None and max_episode_steps < 1:
        raise ValueError(f"max_episode_steps={max_episode_steps}: expected at least 1 frame, or None for 1000")
    if render_mode == "human" and not has_display():
        raise ValueError(
            "render_mode='human' opens a window, but no display was found (DISPLAY and WAYLAND_DISPLAY are unset); "
            "write a film instead: --video FILE.mp4"
        )
    env: gymnasium.Env = gymnasium.make(
        id,
        max_episode_steps=max_episode_steps,
        disable_env_checker=True,  # it costs a tenth of a fast frame; check_env runs in the tests instead
        render_mode=render_mode,
        continuous=continuous,
        domain_randomize=domain_randomize,
    )
    if frame_skip > 1:
        env = FrameSkip(env, num_frames=frame_skip)
    return ControlEnv(env)


def has_display() -> bool:
    """Whether a window can be opened: a Linux session needs X11 or Wayland, or SDL's own choice of a driver."""
    if not sys.platform.startswith("linux"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"))
