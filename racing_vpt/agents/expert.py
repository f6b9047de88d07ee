"""Scripted expert: reads the track from the environment, follows a racing line by pure pursuit at a planned speed.

It does not use the picture. `ExpertStyle` holds its parameters.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, cast

import gymnasium
import numpy as np

from racing_vpt.agents.line import RacingLine, racing_line
from racing_vpt.agents.solo import SoloAgent
from racing_vpt.agents.styles import ExpertStyle
from racing_vpt.types import Controls, Frame

if TYPE_CHECKING:
    from gymnasium.envs.box2d.car_racing import CarRacing

LOST = 30.0  # units from the line beyond which the nearest sample is searched on the whole track
RECOVERY_SPEED = 25.0  # units/s while the car points across or against the road
RECOVERY_ANGLE = 1.4  # radians to the point ahead above which that speed applies
RECOVERY_THROTTLE = 0.3  # more would spin the rear wheels at full lock
SPIN_ANGLE, SPIN_SPEED = 1.0, 6.0  # radians between heading and velocity, and units/s, above which the car spins
SPIN_BRAKE = 0.6  # brake that ends a spin
NOISE_MEMORY = 0.95  # share of the steering error kept each frame
NOTHING: Controls = {"steering": 0.0, "throttle": 0.0, "brake": 0.0}


class ExpertAgent(SoloAgent):
    """Drives by the track of `env.unwrapped`; call `attach(env)` after each reset.

    Args:
        style: racing line, speed and control errors.
        seed: seed of the random steering error.
    """

    def __init__(self, style: ExpertStyle, seed: int = 0) -> None:
        super().__init__()
        self.style = style
        self.env: CarRacing | None = None
        self.seed(seed)
        self.reset()

    def seed(self, seed: int) -> None:
        self.random = np.random.default_rng([seed, 1])

    def reset(self) -> None:
        self.sample: int | None = None
        self.controls = NOTHING
        self.error = 0.0
        self.age = 0
        self.pending: deque[Controls] = deque([NOTHING] * self.style.reaction_delay)

    def attach(self, env: gymnasium.Env) -> None:
        track = getattr(env.unwrapped, "track", None)
        if track is None:
            raise ValueError(f"the expert reads the track of CarRacing; {env} has none. Drive it with another agent")
        style = self.style
        self.env = cast("CarRacing", env.unwrapped)
        self.line: RacingLine = racing_line(
            np.asarray(track, np.float64),
            style.line_half_width,
            style.line_bias,
            style.lateral_limit,
            style.braking,
            style.top_speed,
        )

    def act(self, frame: Frame) -> Controls:
        self.pending.append(self.wish())
        seen = self.pending.popleft()
        if self.age % self.style.hold == 0:
            self.controls = self.hand(seen)
        self.age += 1
        return dict(self.controls)

    def wish(self) -> Controls:
        """Ideal controls for the state of the car, before delay, noise, smoothing and rounding."""
        if self.env is None:
            raise ValueError("the expert was asked to act before attach(env); the rollout does it after each reset")
        car = self.env.car
        assert car is not None, "attach comes after a reset, which makes the car"
        style, hull = self.style, car.hull
        x, y = hull.position
        velocity_x, velocity_y = hull.linearVelocity
        speed = math.hypot(velocity_x, velocity_y)
        self.sample = self.line.nearest(x, y, self.sample)
        if self.line.distance(x, y, self.sample) > LOST:
            self.sample = self.line.nearest(x, y, None)
        goal_x, goal_y = self.line.ahead(self.sample, style.lookahead + style.lookahead_per_speed * speed)
        forward = hull.angle + math.pi / 2
        angle = math.remainder(math.atan2(goal_y - y, goal_x - x) - forward, math.tau)  # positive to the left
        steering = clip(-style.steer_gain * angle + style.yaw_gain * hull.angularVelocity, -1, 1)
        pace, most = float(self.line.pace[self.sample]), style.throttle_limit
        if abs(angle) > RECOVERY_ANGLE:
            pace, most = min(pace, RECOVERY_SPEED), min(most, RECOVERY_THROTTLE)
        slide = math.remainder(math.atan2(velocity_y, velocity_x) - forward, math.tau)
        if abs(slide) > SPIN_ANGLE and speed > SPIN_SPEED:
            return {"steering": steering, "throttle": 0.0, "brake": SPIN_BRAKE}
        pedal = style.throttle_gain * (pace - speed)
        excess = style.throttle_gain * style.brake_share * (speed - pace - style.brake_deadband)
        throttle = clip(pedal, 0, most) * (1 - style.throttle_cut * abs(steering))
        return {"steering": steering, "throttle": throttle, "brake": clip(excess, 0, 1)}

    def hand(self, wish: Controls) -> Controls:
        """The controls that are executed: the ideal ones with noise, smoothing and rounding to levels."""
        style = self.style
        if style.noise:
            drift = self.random.normal(0, style.noise * math.sqrt(1 - NOISE_MEMORY**2))
            self.error = NOISE_MEMORY * self.error + float(drift)
        keep = style.smoothness
        aim = {**wish, "steering": wish["steering"] + self.error}
        mixed = {name: keep * self.controls[name] + (1 - keep) * value for name, value in aim.items()}
        return {
            "steering": clip(to_level(mixed["steering"], style.steering_levels), -1, 1),
            "throttle": clip(to_level(mixed["throttle"], style.pedal_levels), 0, 1),
            "brake": clip(to_level(mixed["brake"], style.pedal_levels), 0, 1),
        }


def to_level(value: float, level: float) -> float:
    """The value rounded to a multiple of `level`; unchanged if that is 0."""
    return round(value / level) * level if level else value


def clip(value: float, low: float, high: float) -> float:
    return float(min(high, max(low, value)))
