"""A person at the keyboard, with the picture in a window: to record oneself with `racing-vpt collect`.

`racing-vpt drive` and `play` show more beside the picture; they read the keyboard themselves (`play/player.py`).
"""

from __future__ import annotations

import gymnasium

from racing_vpt.agents.key_controls import KeyControls, key_controls
from racing_vpt.agents.solo import SoloAgent
from racing_vpt.envs.make import has_display
from racing_vpt.games.controls import CARRACING_CONTROLS
from racing_vpt.types import Controls, Frame
from racing_vpt.window.window import CLOSING, Window

ROWS = 768  # to which a picture is enlarged, at most


class KeyboardAgent(SoloAgent):
    """Arrow keys or WASD steer, accelerate and brake; space brakes too. In Atari's games they are the joystick, and
    space its button. `h` shows the keys; Escape, q or closing the window end the driving.

    Args:
        scale: how many times the picture is enlarged; None: to 768 rows at most.
        frames_per_second: pace of the game, less than the real one is easier; None: CarRacing's, until it is attached
            to another environment.
    """

    def __init__(self, scale: int | None = None, frames_per_second: float | None = None) -> None:
        super().__init__()
        if not has_display():
            raise ValueError("the keyboard agent opens a window, but no display was found; set DISPLAY")
        self.scale, self.slowed = scale, frames_per_second
        self.frames_per_second = frames_per_second or 50.0
        self.names: tuple[str, ...] = CARRACING_CONTROLS
        self.window = Window("racing-vpt: you drive")
        self.reset()

    def reset(self) -> None:
        self.keys = self.keys_of(self.names)

    def attach(self, env: gymnasium.Env) -> None:
        """Drive in this environment; ValueError where there are no keys for its controls."""
        names = env.game.control_names  # type: ignore[attr-defined]
        self.keys, self.names = self.keys_of(names), names
        self.frames_per_second = self.slowed or float(env.metadata.get("render_fps", 50))

    @staticmethod
    def keys_of(names: tuple[str, ...]) -> KeyControls:
        keys = key_controls(names)
        if keys is None:
            raise ValueError(f"there are no keys for these controls: {', '.join(names[:6])}; choose another --env")
        return keys

    def act(self, frame: Frame) -> Controls:
        """Shows the frame uint8 [H, W, 3], waits for its time, and reads the keys; KeyboardInterrupt where the person
        ends it.
        """
        times = self.scale or max(1, ROWS // frame.shape[0])
        large = frame.repeat(times, 0).repeat(times, 1)
        used = self.window.show(large, self.frames_per_second, self.keys.help)
        if any(key in CLOSING for key in used.pressed):
            self.window.close()
            raise KeyboardInterrupt
        return self.keys.controls(used.held)
