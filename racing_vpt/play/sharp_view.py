"""An environment's own large rendering, to show instead of the small observation."""

from __future__ import annotations

from typing import Any

import cv2
import gymnasium
import numpy as np
from gymnasium.envs.box2d.car_racing import WINDOW_H, WINDOW_W, CarRacing

from racing_vpt.envs.carracing.fast import CarRacingFast
from racing_vpt.envs.make import make_env
from racing_vpt.types import Frame

HEIGHT, WIDTH = 480, 600  # size of CarRacing's rendering, in the proportions of its window


def make_shown_env(id: str, **options: Any) -> gymnasium.Env:
    """`make_env` with large renderings if the environment has any."""
    try:
        return make_env(id, render_mode="rgb_array", **options)
    except ValueError:  # it renders nothing, or does not exist, which make_env reports
        return make_env(id, **options)


def sharp_view(env: gymnasium.Env) -> Frame | None:
    """The current rendering, uint8 [H, W, 3], sharper than the observation; None if there is none.

    CarRacing draws its window for each observation and shrinks it to 96x96; reading the window again costs a tenth of
    drawing it. The fast environment draws 96x96 directly, so the window has to be drawn here.
    """
    core = env.unwrapped
    if isinstance(core, CarRacing):
        if isinstance(core, CarRacingFast):
            if env.render_mode != "rgb_array":
                return None
            env.render()
        if core.surf is None:
            return None
        pixels = np.frombuffer(core.surf.get_buffer(), np.uint8).reshape(WINDOW_H, WINDOW_W, 4)  # B, G, R, unused
        shrunk = cv2.resize(pixels, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        return np.ascontiguousarray(shrunk[..., 2::-1])
    picture = env.render() if env.render_mode == "rgb_array" else None
    return picture if isinstance(picture, np.ndarray) else None
