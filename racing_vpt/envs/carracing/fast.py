"""CarRacing with the same physics, rewards, tracks and flags as gymnasium's, drawn directly at observation size.

A subclass that overrides drawing (an observation is a view of `TrackTexture` with car and instruments; the stock
environment draws a 1000x800 surface and shrinks it) and the slow parts of `step`. Physics and rewards are
bit-identical; tests compare them with gymnasium 1.4.0. Skid marks are in neither's observation.
"""

import math

import numpy as np
from Box2D import b2Body, b2Contact
from gymnasium.envs.box2d.car_racing import (
    FPS,
    PLAYFIELD,
    SCALE,
    STATE_H,
    STATE_W,
    ZOOM,
    CarRacing,
    FrictionDetector,
)
from gymnasium.error import InvalidAction

from racing_vpt.envs.actions import DISCRETE_CONTROLS
from racing_vpt.envs.carracing.instruments import draw_instruments
from racing_vpt.envs.carracing.physics import set_controls, step_car
from racing_vpt.envs.carracing.sprites import draw_car
from racing_vpt.envs.carracing.texture import ROAD_ROWS, TrackTexture

VELOCITY_ITERATIONS, POSITION_ITERATIONS = 6 * 30, 2 * 30


class CarRacingFast(CarRacing):
    """gymnasium's CarRacing; `render` in a window or as a large picture is unchanged.

    Args: as `gymnasium.envs.box2d.car_racing.CarRacing`.
    """

    drawing = True  # False within a frame skip: step() then returns the last picture drawn
    texture: TrackTexture | None = None
    score = 0.0
    road: list[b2Body]  # type: ignore[assignment]

    def step(self, action: np.ndarray | int | None) -> tuple[np.ndarray, float, bool, bool, dict]:  # type: ignore[override]
        """As the stock `step`; None is the first frame of a reset, without a reward."""
        car = self.car
        assert car is not None
        if action is not None:
            self._set_controls(action)
        step_car(car, 1.0 / FPS)
        self.world.Step(1.0 / FPS, VELOCITY_ITERATIONS, POSITION_ITERATIONS)
        self.t += 1.0 / FPS
        self.score = self.reward  # as shown in this frame: before the cost of the frame
        if self.drawing:
            self.state = self.draw()

        step_reward: float = 0
        terminated = False
        info: dict = {}
        if action is not None:
            self.reward -= 0.1
            car.fuel_spent = 0.0
            step_reward = self.reward - self.prev_reward
            self.prev_reward = self.reward
            if self.tile_visited_count == len(self.track) or self.new_lap:
                terminated = True
                info["lap_finished"] = True
            x, y = car.hull.position
            if abs(x) > PLAYFIELD or abs(y) > PLAYFIELD:
                terminated = True
                info["lap_finished"] = False
                step_reward = -100
        if self.render_mode == "human":
            self.render()
        return self.state, step_reward, terminated, False, info

    def draw(self) -> np.ndarray:
        """The observation of the current state, a new uint8 [96, 96, 3]."""
        car, texture = self.car, self.texture
        assert car is not None
        assert texture is not None
        hull, wheels = car.hull, car.wheels
        zoom = 0.1 * SCALE * max(1 - self.t, 0) + ZOOM * SCALE * min(self.t, 1)
        x, y = hull.position
        picture = np.empty((STATE_H, STATE_W, 3), np.uint8)
        texture.draw_view(picture[:ROAD_ROWS], x, y, hull.angle, zoom)
        left = wheels[0].joint.angle
        # The rear wheels' joints are held at 0.
        angles = (left, wheels[1].joint.angle, 0.0, 0.0)
        draw_car(picture, zoom, [(angle, wheel.phase) for angle, wheel in zip(angles, wheels, strict=True)])
        velocity_x, velocity_y = hull.linearVelocity
        draw_instruments(
            picture[ROAD_ROWS:],
            score=self.score,
            speed=math.hypot(velocity_x, velocity_y),
            wheel_omegas=[wheel.omega for wheel in wheels],
            steering=left,
            yaw_rate=hull.angularVelocity,
        )
        return picture

    def recolor_tile(self, index: int) -> None:
        """Give a touched tile the plain colour of the road."""
        if not self.recolored[index]:
            self.recolored[index] = True
            self.road[index].color[:] = self.road_color
            assert self.texture is not None
            self.texture.recolor(self.tile_polygons[index])

    def _set_controls(self, action: np.ndarray | int) -> None:
        assert self.car is not None
        if self.continuous:
            steering, gas, brake = np.asarray(action, np.float64).tolist()
        elif self.action_space.contains(action):
            steering, gas, brake = DISCRETE_CONTROLS[int(action)].values()
        else:
            raise InvalidAction(f"action {action!r}: expected an integer of {self.action_space}")
        set_controls(self.car, -steering, gas, brake)

    def _render(self, mode: str) -> np.ndarray | bool | None:
        if mode != "state_pixels":
            return super()._render(mode)
        self.score = self.reward
        return self.draw()

    def _create_track(self) -> bool:
        if not super()._create_track():
            return False
        listener = TileListener(self, self.lap_complete_percent)
        self.world.contactListener_bug_workaround = listener  # Box2D keeps no reference
        self.world.contactListener = listener
        if self.texture is None:
            self.texture = TrackTexture()
        self.texture.reset(self.road_poly, self.bg_color, self.grass_color)
        polygons = {id(color): index for index, (_, color) in enumerate(self.road_poly)}
        self.tile_polygons = [polygons[id(tile.color)] for tile in self.road]
        self.recolored = [False] * len(self.road)
        return True


class TileListener(FrictionDetector):
    """The stock contact listener, which also redraws touched tiles."""

    def _contact(self, contact: b2Contact, begin: bool) -> None:
        tile, other = contact.fixtureA.body.userData, contact.fixtureB.body.userData
        if not hasattr(tile, "road_friction"):
            tile, other = other, tile
            if not hasattr(tile, "road_friction"):
                return
        env = self.env
        env.recolor_tile(tile.idx)
        if not hasattr(other, "tiles"):
            return
        if not begin:
            other.tiles.remove(tile)
            return
        other.tiles.add(tile)
        if not tile.road_visited:
            tile.road_visited = True
            env.reward += 1000.0 / len(env.track)
            env.tile_visited_count += 1
            if tile.idx == 0 and env.tile_visited_count / len(env.track) > self.lap_complete_percent:
                env.new_lap = True
