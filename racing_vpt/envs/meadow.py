"""A meadow with a tree to fell: Minecraft's actions, pictures and pace without Minecraft.

For trying and testing policies with Minecraft's controls without the game; its worlds are not imitated. Speeds, reach
and the three seconds to fell a trunk are Minecraft's. Pictures have MineRL's size, drawn at a quarter of it.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from racing_vpt.envs.minecraft import FRAMES_PER_SECOND, HEIGHT, WIDTH, action_space, observation_space
from racing_vpt.types import Frame

COARSE = 4  # pixels of the picture per drawn pixel
ROWS, COLUMNS = HEIGHT // COARSE, WIDTH // COARSE
FOCAL = ROWS / 2 / np.tan(np.radians(35.0))  # drawn pixels; the field of view is 70 degrees high
WALK = 4.317 / FRAMES_PER_SECOND  # metres per frame
SPRINT, SNEAK = 1.3, 0.3  # factors on it
EYES = 1.62  # metres
GRAVITY, LEAP = 0.08, 0.42  # metres per frame^2; metres per frame
REACH = 4.5  # metres
FELLING = 60  # frames of attack to fell a trunk
TRUNK = (0.5, 0.0, 4.0)  # half the width, lower and upper end in metres
CROWN = (1.5, 4.0, 6.0)
SKY, GRASS, BARK, LEAVES = (130, 175, 255), ((95, 160, 60), (85, 148, 52)), (100, 75, 45), (45, 105, 35)


class Meadow(gymnasium.Env):
    """One tree stands 3 to 10 metres away in a random direction; once felled (reward 1), it grows again elsewhere.

    `inventory` opens and closes a panel, during which nothing else works; `ESC` ends the episode.

    Args:
        render_mode: `rgb_array`, or None.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": FRAMES_PER_SECOND}  # noqa: RUF012 - gymnasium's way

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self.action_space, self.observation_space = action_space(), observation_space()
        self.held: set[str] = set()

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[dict[str, Frame], dict]:
        super().reset(seed=seed)
        self.place = np.zeros(2)  # east, north
        self.height = self.rise = 0.0
        self.yaw = self.pitch = 0.0  # degrees; to the right, down
        self.slot, self.panel, self.damage, self.felled = 1, False, 0, 0
        self.held = set()
        self._grow()
        return {"pov": self.draw()}, {}

    def step(self, action: dict[str, Any]) -> tuple[dict[str, Frame], float, bool, bool, dict]:
        held = {name for name, value in action.items() if name != "camera" and value}
        if "inventory" in held - self.held:
            self.panel = not self.panel
        self.held = held
        reward = 0.0
        if not self.panel:
            pitch, yaw = (float(degrees) for degrees in action["camera"])
            self.pitch, self.yaw = float(np.clip(self.pitch + pitch, -90, 90)), (self.yaw + yaw + 180) % 360 - 180
            self._move(held)
            self.slot = max((int(name[-1]) for name in held if name.startswith("hotbar.")), default=self.slot)
            self.damage = self.damage + 1 if "attack" in held and self.aims_at_trunk() else 0
            if self.damage == FELLING:
                reward, self.felled, self.damage = 1.0, self.felled + 1, 0
                self._grow()
        return {"pov": self.draw()}, reward, "ESC" in held, False, {"felled": self.felled}

    def render(self) -> Frame | None:  # type: ignore[override]
        return self.draw() if self.render_mode == "rgb_array" else None

    def aims_at_trunk(self) -> bool:
        """Whether the crosshair is on the trunk and the trunk within reach."""
        bearing, distance = self.tree_from_here()
        ends = [np.degrees(np.arctan2(z - self.eyes, distance)) for z in TRUNK[1:]]
        beside = distance * abs(np.sin(np.radians(bearing)))
        return distance < REACH and abs(bearing) < 90 and beside < TRUNK[0] and ends[0] < -self.pitch < ends[1]

    def tree_from_here(self) -> tuple[float, float]:
        """Direction of the tree in degrees to the right of the view, and its distance in metres."""
        east, north = self.tree - self.place
        bearing = (np.degrees(np.arctan2(east, north)) - self.yaw + 180) % 360 - 180
        return float(bearing), float(max(0.3, np.hypot(east, north)))

    @property
    def eyes(self) -> float:
        """Height of the eyes above the ground in metres."""
        return EYES + self.height - 0.35 * ("sneak" in self.held and not self.panel)

    def draw(self) -> Frame:
        """The player's view, uint8 [360, 640, 3]."""
        up = (ROWS / 2 - np.arange(ROWS) - 0.5) / FOCAL
        right = (np.arange(COLUMNS) + 0.5 - COLUMNS / 2) / FOCAL
        elevation = np.arctan(up) - np.radians(self.pitch)
        picture = np.empty((ROWS, COLUMNS, 3), np.uint8)
        picture[:] = SKY
        ground = elevation < -0.02
        away = (self.eyes / np.tan(-elevation[ground]))[:, None]
        heading = np.radians(self.yaw)
        east = self.place[0] + away * (np.sin(heading) + right * np.cos(heading))
        north = self.place[1] + away * (np.cos(heading) - right * np.sin(heading))
        picture[ground] = np.array(GRASS, np.uint8)[(np.floor(east) + np.floor(north)).astype(int) % 2]
        bearing, distance = self.tree_from_here()
        if abs(bearing) < 80:
            middle = np.tan(np.radians(bearing))
            for (half, low, high), colour in ((TRUNK, BARK), (CROWN, LEAVES)):
                tall = (elevation > np.arctan2(low - self.eyes, distance)) & (
                    elevation < np.arctan2(high - self.eyes, distance)
                )
                shade = 1 - 0.6 * self.damage / FELLING
                picture[np.ix_(tall, abs(right - middle) < half / distance)] = np.array(colour) * shade
        self._draw_panels(picture)
        return picture.repeat(COARSE, 0).repeat(COARSE, 1)

    def _draw_panels(self, picture: Frame) -> None:
        if self.panel:
            picture[ROWS // 4 : -ROWS // 4, COLUMNS // 4 : -COLUMNS // 4] = (198, 198, 198)
        else:
            picture[ROWS // 2, COLUMNS // 2 - 2 : COLUMNS // 2 + 3] = 255  # the crosshair
            picture[ROWS // 2 - 2 : ROWS // 2 + 3, COLUMNS // 2] = 255
        for slot in range(1, 10):
            left = COLUMNS // 2 - 45 + 10 * (slot - 1)
            picture[-10:-1, left : left + 9] = 255 if slot == self.slot else 60

    def _move(self, held: set[str]) -> None:
        ahead, aside = (float(a in held) - float(b in held) for a, b in (("forward", "back"), ("right", "left")))
        speed = WALK * (SNEAK if "sneak" in held else SPRINT if "sprint" in held and ahead > 0 else 1.0)
        heading, length = np.radians(self.yaw), max(1.0, float(np.hypot(ahead, aside)))
        forward, right = np.array([np.sin(heading), np.cos(heading)]), np.array([np.cos(heading), -np.sin(heading)])
        target = self.place + (ahead * forward + aside * right) * speed / length
        if np.hypot(*(self.tree - target)) > 2 * TRUNK[0]:  # the trunk is solid
            self.place = target
        if "jump" in held and self.height == 0:
            self.rise = LEAP
        self.height = max(0.0, self.height + self.rise)
        self.rise = self.rise - GRAVITY if self.height else 0.0

    def _grow(self) -> None:
        angle, distance = self.np_random.uniform(-np.pi, np.pi), self.np_random.uniform(3.0, 10.0)
        self.tree = self.place + distance * np.array([np.sin(angle), np.cos(angle)])
