"""Controls of a car out of keys that are held down, whoever reads the keyboard: a window, or a script."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

import numpy as np

from racing_vpt.types import Controls

LEFT, RIGHT = frozenset({"left", "a"}), frozenset({"right", "d"})
THROTTLE, BRAKE = frozenset({"up", "w"}), frozenset({"down", "s", "space"})
DRIVING = LEFT | RIGHT | THROTTLE | BRAKE
KEYED = ("steering", "throttle", "brake")  # what can be driven by keys
FULL_BRAKE = 0.8  # from 0.9 on the wheels lock
STEERING_STEP = 0.06  # a frame; keys know no angle, so holding one turns the wheel


@dataclass(frozen=True)
class Keys:
    """What happened on the keyboard in one frame; keys have pygame's names.

    Args:
        held: down at some time in it.
        pressed: those that went down in it, in their order.
    """

    held: frozenset[str] = frozenset()
    pressed: tuple[str, ...] = ()


class KeyControls:
    """Arrow keys or WASD steer, accelerate and brake; space brakes too.

    Args:
        frames: of the environment for which controls are held; a step turns the wheel by so many times as much.
    """

    def __init__(self, frames: int = 1) -> None:
        self.most = STEERING_STEP * frames
        self.steering = 0.0

    def controls(self, held: Set[str]) -> Controls:
        """Steering, throttle and brake for the names of the keys held in this frame."""
        aim = float(bool(held & RIGHT)) - float(bool(held & LEFT))
        self.steering += float(np.clip(aim - self.steering, -self.most, self.most))
        brake = FULL_BRAKE * bool(held & BRAKE)
        return {"steering": self.steering, "throttle": float(bool(held & THROTTLE)), "brake": brake}
