"""Scripted driver of Atari's Enduro: reads road and traffic from the picture, by day, night and fog."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np

from racing_vpt.agents.enduro_sight import Sight, look
from racing_vpt.agents.enduro_styles import (
    ENDURO_STYLES,
    STRETCH,
    VARIED,
    WILD,
    EnduroStyle,
    drawn_enduro_style,
    enduro_style_names,
)
from racing_vpt.agents.solo import SoloAgent
from racing_vpt.games.atari import JOYSTICK
from racing_vpt.types import Controls, Frame

PLACES = np.linspace(0.22, 0.78, 15)  # of the car that are considered; beyond, it scrapes along the edge
MEETS = 0.13  # distance to the side from another car's pixels, in widths of the road, within which they meet
NOSE = 0.06  # depth between the cars' middles and their ends
SIDEWAYS = (0.022, 0.05)  # widths of the road per decision when steering, at the least and the highest speed
LEAD = 1.0  # decisions by which steering precedes its effect
SOON = 6.0  # decisions after which meeting another car counts a third as much
TRAFFIC = 26.0  # speed of the other cars, in the console's units
SHOWN, SLOWEST, FASTEST = 62.0, 8.0, 120.0  # speeds: the height of the car shows it up to the first
CLOSING = 0.0053  # depth per decision by which other cars come nearer, per unit of speed
GAIN, LOSS = 0.55, 10.0  # of speed per decision with the throttle and the brake, where it is not shown
BRAKING = 8.0  # twice the speed that the brake takes per decision


class Wish(NamedTuple):
    """Distance to the right that the car should go, in widths of the road, and the pedals to press."""

    offset: float
    throttle: bool
    brake: bool


class EnduroExpert(SoloAgent):
    """Drives Enduro by what it sees.

    Args:
        style: one of `ENDURO_STYLES`, `varied`, `wild`, or parameters.
        seed: seed of what is drawn by chance.

    Raises:
        ValueError: there is no such style.
    """

    def __init__(self, style: str | EnduroStyle = "limit", seed: int = 0) -> None:
        super().__init__()
        if isinstance(style, str) and style not in enduro_style_names():
            raise ValueError(f"the driver of Enduro has no style {style!r}; it has {', '.join(enduro_style_names())}")
        self.given = style
        self.seed(seed)

    def seed(self, seed: int) -> None:
        self.random = np.random.default_rng([seed, 8])
        self.reset()

    def reset(self) -> None:
        self.age = self.lapse_left = self.style_left = 0
        self.goal: float | None = None
        self.steering, self.speed, self.place = 0, 0.0, 0.5
        self.lapse: Controls = {}
        self.last = Wish(0.0, throttle=True, brake=False)
        self.pending: deque[Wish] = deque()
        self.change_style()

    def change_style(self) -> None:
        """Take the style that was given, or draw one for the next seconds."""
        if isinstance(self.given, EnduroStyle):
            self.style = self.given
        elif self.given in (VARIED, WILD):
            self.style = drawn_enduro_style(self.random, self.given == WILD)
            self.style_left = int(self.random.integers(*STRETCH))
        else:
            self.style = ENDURO_STYLES[self.given]
        self.pending = deque([self.last] * self.style.reaction)

    def act(self, frame: Frame) -> Controls:
        if frame.shape != (210, 160, 3):
            raise ValueError(f"the driver of Enduro reads frames of (210, 160, 3), but {frame.shape} was given")
        if self.style_left:
            self.style_left -= 1
            if not self.style_left:
                self.change_style()
        sight = look(frame)
        if sight is not None:
            self.last = self.wish(sight)
        self.pending.append(self.last)
        offset, throttle, brake = self.pending.popleft()
        if self.age % self.style.hold == 0:
            self.steering = 0 if abs(offset) <= self.style.deadband else int(np.sign(offset))
        self.age += 1
        return self.lapsed(held(self.steering, throttle and not brake, brake))

    def lapsed(self, pressed: Controls) -> Controls:
        """The buttons, or now and then random ones for a moment."""
        if self.lapse_left:
            self.lapse_left -= 1
            return dict(self.lapse)
        if self.random.random() < self.style.lapses:
            self.lapse_left = int(self.random.integers(2, self.style.lapse + 1))
            steering, pedal = int(self.random.integers(-1, 2)), self.random.choice(3, p=(0.5, 0.25, 0.25))
            self.lapse = held(steering, throttle=bool(pedal == 0), brake=bool(pedal == 1))
        return pressed

    def wish(self, sight: Sight) -> Wish:
        """What to do about a sight."""
        style, here = self.style, sight.place
        self.speed = self.speed_of(sight)
        share = self.speed / FASTEST
        costs = 0.02 * np.abs(PLACES - style.place) + 0.06 * np.abs(PLACES - (here if self.goal is None else self.goal))
        rate = max(CLOSING * (self.speed - TRAFFIC), 0.02)
        times = np.maximum(sight.depths - sight.depth - NOSE, 0) / rate  # decisions until each pixel is reached
        matter, blocked = times < style.horizon, np.inf
        if matter.any():
            times, cars = times[matter], sight.cars[matter]
            reach = (SIDEWAYS[0] + (SIDEWAYS[1] - SIDEWAYS[0]) * share) * times
            gaps = np.abs(here + np.clip(PLACES[:, None] - here, -reach, reach) - cars)  # [places, pixels]
            near = np.clip((MEETS + style.room - gaps) / style.room, 0, 1.5)
            costs += 3 * (near * np.exp(-times / SOON)).max(1)
            meets = gaps[costs.argmin()] < MEETS
            blocked = float(times[meets].min()) if meets.any() else np.inf
        self.goal = float(PLACES[costs.argmin()])
        drift, self.place = here - self.place, here
        enough = style.patience + max(self.speed - TRAFFIC, 0) / BRAKING
        brake = blocked < enough and self.speed > TRAFFIC + 4
        return Wish(self.goal - here - LEAD * drift, share < style.top and blocked >= enough, brake)

    def speed_of(self, sight: Sight) -> float:
        """The car's speed: its height in the picture shows the lower half, the upper one is counted."""
        if sight.speed < 1:
            return SLOWEST + (SHOWN - SLOWEST) * sight.speed
        return float(np.clip(self.speed + GAIN * self.last.throttle - LOSS * self.last.brake, SHOWN, FASTEST))


def held(steering: int, throttle: bool, brake: bool) -> Controls:
    """The joystick: `steering` is -1 (left), 0 or 1."""
    pressed = {"left": steering < 0, "right": steering > 0, "down": brake, "fire": throttle}
    return {name: float(pressed.get(name, False)) for name in JOYSTICK}
