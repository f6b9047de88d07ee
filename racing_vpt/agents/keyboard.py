"""A person at the keyboard, with the picture in a window: to record oneself with `racing-vpt collect`.

`racing-vpt drive` and `play` show more beside the picture; they read the keyboard themselves (`play/player.py`).
"""

from __future__ import annotations

import gymnasium

from racing_vpt.agents.key_controls import KeyControls, key_controls, no_keys
from racing_vpt.agents.solo import SoloAgent
from racing_vpt.envs.make import has_display
from racing_vpt.games.game import Game
from racing_vpt.games.read import load_game
from racing_vpt.types import Controls, Frame
from racing_vpt.window.window import CLOSING, Window

ROWS = 768  # to which a picture is enlarged, at most


class KeyboardAgent(SoloAgent):
    """Drives by the keys that the game's file names: in CarRacing and in Atari's games, arrow keys or WASD, and space.

    `h` shows the keys; Escape, q or closing the window ends the driving.

    Args:
        scale: enlargement of the picture; None: to 768 rows at most.
        frames_per_second: rate at which the game runs; a lower one is easier. None: the environment's own.
    """

    def __init__(self, scale: int | None = None, frames_per_second: float | None = None) -> None:
        super().__init__()
        if not has_display():
            raise ValueError("the keyboard agent opens a window, but no display was found; set DISPLAY")
        self.scale, self.slowed = scale, frames_per_second
        self.frames_per_second = frames_per_second or 50.0
        self.game = load_game("carracing")  # until it is attached to an environment
        self.window = Window("racing-vpt: you drive")
        self.reset()

    def reset(self) -> None:
        self.keys = self.keys_of(self.game)

    def attach(self, env: gymnasium.Env) -> None:
        """Drive in this environment; ValueError where the file of its game names no keys."""
        game: Game = env.game  # type: ignore[attr-defined]
        self.keys, self.game = self.keys_of(game), game
        self.frames_per_second = self.slowed or float(env.metadata.get("render_fps", 50))

    @staticmethod
    def keys_of(game: Game) -> KeyControls:
        keys = key_controls(game, game.control_names)
        if keys is None:
            raise ValueError(no_keys(game))
        return keys

    def act(self, frame: Frame) -> Controls:
        """Show the frame uint8 [H, W, 3], wait until the next is due, and read the keys.

        Raises:
            KeyboardInterrupt: the person ended the driving.
        """
        times = self.scale or max(1, ROWS // frame.shape[0])
        large = frame.repeat(times, 0).repeat(times, 1)
        used = self.window.show(large, self.frames_per_second, self.keys.help)
        if any(key in CLOSING for key in used.pressed):
            self.window.close()
            raise KeyboardInterrupt
        return self.keys.controls(used.held)
