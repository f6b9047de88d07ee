"""Scripted driver with four keys, which are down or up: the controls are all or nothing, in short taps.

Held out as `styles.HELD_OUT` is: inverse dynamics models are judged on this driver. Its taps of a few frames are over
before the wheels have arrived, so that little of them is in the picture.
"""

from __future__ import annotations

import math

from racing_vpt.agents.expert import ExpertAgent, clip
from racing_vpt.agents.styles import ExpertStyle
from racing_vpt.types import Controls

STYLE = ExpertStyle(
    line_half_width=0.4,
    lookahead=12.0,
    lookahead_per_speed=0.03,
    steer_gain=1.1,
    yaw_gain=0.08,
    lateral_limit=115.0,
    braking=80.0,
    top_speed=68.0,
    throttle_gain=0.15,
    brake_share=0.5,
)
STOP = 0.4  # steering at which the wheels are at their stop, one frame of which is a unit of debt
MOST_DEBT = 6.0  # frames
PRESS, RELEASE = 1.2, 0.3  # frames of debt at which a steering key goes down and up again
LEAST_FRAMES = 2  # for which a key stays as it is
GAS, BRAKE = 0.8, 0.8  # of a key that is down
GAS_ON, GAS_OFF, BRAKE_ON = 0.3, 0.1, 0.08  # wishes at which pedals change


class TapAgent(ExpertAgent):
    """An expert that presses a steering key until the wheels have been turned for as long as they should have been.

    Args:
        seed: unused, as it is deterministic.
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__(STYLE, seed)

    def reset(self) -> None:
        super().reset()
        self.debt = 0.0  # frames for which the wheels still have to be turned, positive to the right
        self.steering = self.pedal = 0  # key that is down: -1, 0 or 1
        self.steering_frames = self.pedal_frames = LEAST_FRAMES

    def act(self, frame: object) -> Controls:
        wish = self.wish()
        self.debt = clip(self.debt + wish["steering"] / STOP - self.steering, -MOST_DEBT, MOST_DEBT)
        self.steering_frames += 1
        self.pedal_frames += 1
        if self.steering_frames >= LEAST_FRAMES and (wanted := self._steering_key()) != self.steering:
            self.steering, self.steering_frames = wanted, 0
        if self.pedal_frames >= LEAST_FRAMES and (wanted := self._pedal_key(wish)) != self.pedal:
            self.pedal, self.pedal_frames = wanted, 0
        return {
            "steering": float(self.steering),
            "throttle": GAS if self.pedal > 0 else 0.0,
            "brake": BRAKE if self.pedal < 0 else 0.0,
        }

    def _steering_key(self) -> int:
        if self.steering and self.debt * self.steering >= RELEASE:
            return self.steering
        return int(math.copysign(1, self.debt)) if abs(self.debt) > PRESS else 0

    def _pedal_key(self, wish: Controls) -> int:
        if wish["throttle"] > (GAS_OFF if self.pedal > 0 else GAS_ON):
            return 1
        return -1 if wish["brake"] > BRAKE_ON else 0
