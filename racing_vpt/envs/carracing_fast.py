"""CarRacing drawn straight at observation size."""

import numpy as np
from gymnasium.envs.box2d.car_racing import CarRacing


class CarRacingFast(CarRacing):
    drawing: bool = True

    def draw(self) -> np.ndarray:
        return super()._render("state_pixels")

    def _render(self, mode: str) -> np.ndarray | bool | None:
        if mode == "state_pixels":
            return self.draw() if self.drawing else None
        return super()._render(mode)
