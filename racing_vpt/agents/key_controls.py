"""Controls out of keys that are held down, whoever reads the keyboard: a window, or a script."""

from __future__ import annotations

from collections.abc import Collection, Set
from typing import Protocol

import numpy as np

from racing_vpt.games.atari import JOYSTICK
from racing_vpt.games.controls import CARRACING_CONTROLS
from racing_vpt.types import Controls
from racing_vpt.window.window import HelpLine

LEFT, RIGHT = frozenset({"left", "a"}), frozenset({"right", "d"})
UP, DOWN, FIRE = frozenset({"up", "w"}), frozenset({"down", "s"}), frozenset({"space"})
DRIVING = LEFT | RIGHT | UP | DOWN | FIRE
FULL_BRAKE = 0.8  # from 0.9 on the wheels lock
STEERING_STEP = 0.06  # a frame; keys know no angle, so holding one turns the wheel


class KeyControls(Protocol):
    """A game's controls by keys."""

    help: tuple[HelpLine, ...]

    def take_over(self, controls: Controls) -> None:
        """From now on the keys count; the controls were these."""

    def controls(self, held: Set[str]) -> Controls:
        """Controls for the names of the keys held in this frame."""


class CarKeys:
    """Arrow keys or WASD steer, accelerate and brake; space brakes too.

    Args:
        frames: of the environment for which controls are held; a step turns the wheel by so many times as much.
    """

    help: tuple[HelpLine, ...] = (("arrows or WASD", "drive"), ("space, down", "brake"))

    def __init__(self, frames: int = 1) -> None:
        self.most = STEERING_STEP * frames
        self.steering = 0.0

    def take_over(self, controls: Controls) -> None:
        self.steering = controls.get("steering", 0.0)

    def controls(self, held: Set[str]) -> Controls:
        """Steering, throttle and brake."""
        aim = float(bool(held & RIGHT)) - float(bool(held & LEFT))
        self.steering += float(np.clip(aim - self.steering, -self.most, self.most))
        brake = FULL_BRAKE * bool(held & (DOWN | FIRE))
        return {"steering": self.steering, "throttle": float(bool(held & UP)), "brake": brake}


class JoystickKeys:
    """Arrow keys or WASD are Atari's joystick, space is its button; opposite keys together are neither."""

    help: tuple[HelpLine, ...] = (("arrows or WASD", "joystick"), ("space", "fire"))

    def take_over(self, controls: Controls) -> None:
        pass

    def controls(self, held: Set[str]) -> Controls:
        """What of `JOYSTICK` is held, 0 or 1."""
        up, down, left, right, fire = (bool(held & keys) for keys in (UP, DOWN, LEFT, RIGHT, FIRE))
        pressed = (up and not down, down and not up, left and not right, right and not left, fire)
        return dict(zip(JOYSTICK, map(float, pressed), strict=True))


def key_controls(names: Collection[str], frames: int = 1) -> KeyControls | None:
    """Keys for a game with the controls of these names; None where there are no keys for all of them."""
    if {*names} - {"gear_change"} == {*CARRACING_CONTROLS}:
        return CarKeys(frames)
    return JoystickKeys() if {*names} == {*JOYSTICK} else None
