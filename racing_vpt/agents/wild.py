"""Scripted driver with spins, stops and other unusual manoeuvres, to train inverse dynamics models on.

A model trained on clean laps cannot label a spin, a stop or a standing start, and a policy cloned from its labels fails
there (in an early trial it never started to move).
"""

from __future__ import annotations

import math

import gymnasium
import numpy as np

from racing_vpt.agents.brownian import HIGH, LOW, NAMES
from racing_vpt.agents.solo import SoloAgent
from racing_vpt.agents.varied import VariedAgent
from racing_vpt.types import Controls, Frame

ANTICS = ("spin", "u_turn", "stop", "coast", "held", "brownian", "off_road", "slalom", "drag")


class WildAgent(SoloAgent):
    """A varied expert interrupted by antics: spins, full-brake stops and standing starts, U-turns back onto the road,
    coasting, random held or wandering controls, excursions, slaloms, braking while steering.

    Args:
        seed: seed of the antics, and of the expert's style in between.
        sane_frames: fewest and most frames of expert driving between two antics.
        antic_frames: fewest and most frames of an antic.
    """

    def __init__(
        self,
        seed: int = 0,
        sane_frames: tuple[int, int] = (20, 90),
        antic_frames: tuple[int, int] = (10, 50),
    ) -> None:
        super().__init__()
        self.expert = VariedAgent(seed)
        self.sane_frames, self.antic_frames = sane_frames, antic_frames
        self.seed(seed)

    def seed(self, seed: int) -> None:
        self.random = np.random.default_rng([seed, 5])
        self.expert.seed(seed)
        self.reset()

    def reset(self) -> None:
        self.expert.reset()
        self.bag: list[str] = []
        self.start("coast" if self.random.random() < 0.5 else None)  # half of the starts are late

    def attach(self, env: gymnasium.Env) -> None:
        self.expert.attach(env)

    def draw(self) -> str:
        """The next antic; each comes once before any is repeated."""
        if not self.bag:
            self.bag = [str(antic) for antic in self.random.permutation(ANTICS)]
        return self.bag.pop()

    def start(self, antic: str | None) -> None:
        """Begin an antic, or expert driving if it is None."""
        self.antic: str | None = antic
        self.age = 0
        low, high = self.sane_frames if antic is None else self.antic_frames
        self.frames_left = int(self.random.integers(low, high + 1))
        self.side = float(self.random.choice([-1.0, 1.0]))
        self.strength = float(self.random.uniform(0.2, 1.0))
        self.held = self.random.uniform(LOW, HIGH)
        if self.random.random() < 0.7:  # one pedal at a time, mostly
            self.held[self.random.integers(1, 3)] = 0.0

    def act(self, frame: Frame) -> Controls:
        sane = self.expert.act(frame)
        if self.frames_left == 0:
            self.start(None if self.antic else self.draw())
        self.frames_left -= 1
        self.age += 1
        return self.perform(sane)

    def perform(self, sane: Controls) -> Controls:
        """Controls of the antic in this frame."""
        side, strength = self.side, self.strength
        match self.antic:
            case None:
                return sane
            case "spin":
                return {"steering": side, "throttle": 1.0, "brake": 0.0}
            case "u_turn":
                return {"steering": side, "throttle": 0.4 * strength, "brake": 0.0}
            case "stop":
                return {"steering": 0.3 * side * strength * (self.held[1] > 0), "throttle": 0.0, "brake": 1.0}
            case "coast":
                return {"steering": 0.0, "throttle": 0.0, "brake": 0.0}
            case "off_road":
                return {"steering": 0.35 * side * strength, "throttle": strength, "brake": 0.0}
            case "slalom":
                return {**sane, "steering": side * strength * math.sin(self.age / 4)}
            case "drag":
                return {"steering": sane["steering"], "throttle": 0.0, "brake": 0.8 * strength}
            case "brownian":
                self.held = np.clip(self.held + 0.15 * self.random.standard_normal(3), LOW, HIGH)
        return dict(zip(NAMES, self.held.tolist(), strict=True))
