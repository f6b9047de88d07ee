"""CarRacing as a screen recorder sees it: the frames are the environment's own window of 600x400 pixels.

For recordings of ordinary video. Physics and rewards are those of `CarRacingFast`; the picture is drawn by gymnasium's
own code, skid marks included, but for polygons that lie off the screen, which change no pixel.
"""

import numpy as np
from gymnasium import spaces
from gymnasium.envs.box2d.car_racing import GRASS_DIM, PLAYFIELD, VIDEO_H, VIDEO_W, WINDOW_H, WINDOW_W, CarRacing
from pygame import gfxdraw

from racing_vpt.envs.carracing.fast import CarRacingFast

SQUARE = np.array([(1, 0), (0, 0), (0, 1), (1, 1)])
GRASS = GRASS_DIM * np.array([SQUARE + np.array([x, y]) for x in range(-20, 20, 2) for y in range(-20, 20, 2)])
MARGIN = 2  # pixels around the screen, for antialiased edges


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

    def _create_track(self) -> bool:
        made = super()._create_track()
        if made:
            self.road_polygons = np.array([polygon for polygon, _ in self.road_poly])
        return made

    def _render_road(self, zoom: float, translation: tuple[float, float], angle: float) -> None:
        """As gymnasium's, with the polygons off the screen found in one pass: half the time of a frame."""
        turn = zoom * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        assert self.surf is not None, "drawn on by _render alone"
        bounds = PLAYFIELD * (2 * SQUARE - 1)
        for polygons, colors in (
            (bounds[None], [self.bg_color]),
            (GRASS, [self.grass_color] * len(GRASS)),
            (self.road_polygons, [color for _, color in self.road_poly]),
        ):
            on_screen = polygons @ turn + translation  # [N, 4, 2]
            low, high = on_screen.min(1), on_screen.max(1)
            shown = (high >= -MARGIN).all(1) & (low <= (WINDOW_W + MARGIN, WINDOW_H + MARGIN)).all(1)
            for place in np.nonzero(shown)[0].tolist():
                corners, color = on_screen[place].tolist(), [int(part) for part in colors[place]]
                gfxdraw.aapolygon(self.surf, corners, color)
                gfxdraw.filled_polygon(self.surf, corners, color)
