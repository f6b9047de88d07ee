"""nes-road without the console: the same frames, memory and rewards, ten times as fast.

For collecting and training; scores are judged in the emulator (`envs/nes.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from racing_vpt.envs.nes import BITS, CONSOLE_FRAMES_PER_SECOND, HEIGHT, WIDTH, action_for
from racing_vpt.envs.nes_road.picture import Picture
from racing_vpt.envs.nes_road.rules import OVER, RoadGame
from racing_vpt.games.console import BUTTONS
from racing_vpt.games.read import SHIPPED, load_game
from racing_vpt.types import Frame

BEFORE = 8  # updates of the game between its start and an episode's first frame: `begin` of nes-road.yaml
SHOWN = 1  # updates by which the picture is behind the memory: the console draws one while it computes the next


class NesRoadFast(gymnasium.Env):
    """nes-road, with the observations and actions of `NesGame`. `nes` is its memory.

    Args:
        render_mode: `rgb_array`, or None.
    """

    def __init__(self, render_mode: str | None = None) -> None:
        self.game = load_game("nes-road")
        assert self.game.console is not None
        assert self.game.console.rom is not None
        self.frame_skip, self.render_mode = self.game.console.frame_skip, render_mode
        self.metadata = {
            "render_modes": ["rgb_array"],
            "render_fps": round(CONSOLE_FRAMES_PER_SECOND / self.frame_skip, 4),
        }
        self.observation_space = spaces.Box(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
        self.action_space = spaces.MultiBinary(len(BUTTONS))
        self.picture = Picture(SHIPPED / self.game.console.rom)
        self.frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Frame, dict[str, Any]]:
        super().reset(seed=seed)
        drawn = int(self.np_random.integers(1 << 16)) if seed is None else seed
        self.road = RoadGame(drawn & 0xFFFF)
        self.play(0, BEFORE)
        return self.frame, {}

    def step(self, action: np.ndarray) -> tuple[Frame, float, bool, bool, dict[str, Any]]:
        """As `NesGame.step`."""
        pad = sum(BITS[button] for button, on in zip(BUTTONS, np.asarray(action).tolist(), strict=True) if on)
        before = self.road.metres
        self.play(pad, self.frame_skip)
        return self.frame, float(self.road.metres - before), self.road.state == OVER, False, {}

    def play(self, pad: int, frames: int) -> None:
        """Update the game, and draw what the console has drawn by then."""
        for left in range(frames - 1, -1, -1):
            self.road.update(pad)
            if left == SHOWN:
                self.frame = self.picture.draw(self.road)
        self.road.write_facts()

    @property
    def nes(self) -> bytearray:
        """The console's memory, of which the facts of the game are filled in."""
        return self.road.memory

    def to_action(self, controls: Mapping[str, float]) -> np.ndarray:
        """As `NesGame.to_action`."""
        return action_for(self.game, controls)

    def render(self) -> Frame | None:  # type: ignore[override]
        return self.frame if self.render_mode == "rgb_array" else None
