"""CarRacing as a screen recorder sees it: the frames are the environment's own window of 600x400 pixels.

For recordings that judge models on ordinary video. Physics and rewards are those of `CarRacingFast`; the picture is
drawn by gymnasium's own code, skid marks included.
"""

import numpy as np
from gymnasium import spaces
from gymnasium.envs.box2d.car_racing import VIDEO_H, VIDEO_W, CarRacing

from racing_vpt.envs.carracing.fast import CarRacingFast


class CarRacingWindow(CarRacingFast):
    """CarRacing with frames uint8 [400, 600, 3].

    Args: as `gymnasium.envs.box2d.car_racing.CarRacing`.
    """

    def __init__(
        self,
        render_mode: str | None = None,
        verbose: bool = False,
        lap_complete_percent: float = 0.95,
        domain_randomize: bool = False,
        continuous: bool = True,
    ) -> None:
        super().__init__(render_mode, verbose, lap_complete_percent, domain_randomize, continuous)
        self.observation_space = spaces.Box(0, 255, (VIDEO_H, VIDEO_W, 3), np.uint8)

    def draw(self) -> np.ndarray:
        """The window's picture of the current state, a new uint8 [400, 600, 3]."""
        return np.ascontiguousarray(CarRacing._render(self, "rgb_array"))
