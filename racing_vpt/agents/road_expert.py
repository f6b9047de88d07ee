"""Scripted driver of nes-road: reads road and traffic from the console's memory, not from the picture.

The addresses are those of `games/nes_road/facts.c`. Places on the road are measured from its left edge, as the traffic
does it, so that a bend moves all of them alike.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

from racing_vpt.agents.road_styles import ROAD_STYLES, VARIED, WILD, RoadStyle, drawn_road_style, road_style_names
from racing_vpt.agents.solo import SoloAgent
from racing_vpt.types import Controls, Frame

SPEED, CAR_X, TOP_ROW, FINE, LATERAL = 0x0305, 0x0307, 0x030B, 0x030C, 0x030E
CAR_ON, CARS_X, CARS_Y, CARS_SPEED, LEFT, RIGHT = 0x0310, 0x0314, 0x0318, 0x0320, 0x0328, 0x0364
NUM_CARS, NUM_ROWS, CAR_Y = 4, 60, 184
FRAMES = 3  # of the console per decision
TURN = 44 / 256  # pixels a frame, gained or lost in a frame by steering
EDGE = 9.0  # pixels from the car's middle to the edge of the road that it keeps at least
LENGTH = 17.0  # pixels along the road within which two cars touch
SIDEWAYS = 1.9  # pixels a frame when changing lanes
HORIZON = 75.0  # frames of the console ahead in which other cars matter
BAND = 0.4  # pixels a frame below the wanted speed at which the throttle is pressed again
BUTTONS = ("left", "right", "a", "b")


@dataclass(frozen=True)
class Other:
    """Another car, in pixels and pixels a frame.

    Args:
        place: of its middle, from the road's left edge.
        ahead: distance, negative behind.
        speed: along the road.
        drift: to the right.
    """

    place: float
    ahead: float
    speed: float
    drift: float


class RoadExpert(SoloAgent):
    """Drives nes-road; call `attach(env)` after each reset.

    Args:
        style: one of `ROAD_STYLES`, `varied`, `wild`, or parameters.
        seed: seed of what is drawn by chance.

    Raises:
        ValueError: there is no such style.
    """

    def __init__(self, style: str | RoadStyle = "limit", seed: int = 0) -> None:
        super().__init__()
        if isinstance(style, str) and style not in road_style_names():
            raise ValueError(f"the driver of nes-road has no style {style!r}; it has {', '.join(road_style_names())}")
        self.given = style
        self.nes: Any = None
        self.seed(seed)

    def seed(self, seed: int) -> None:
        self.random = np.random.default_rng([seed, 7])
        if isinstance(self.given, RoadStyle):
            self.style = self.given
        elif self.given in (VARIED, WILD):
            self.style = drawn_road_style(self.random, self.given == WILD)
        else:
            self.style = ROAD_STYLES[self.given]
        self.reset()

    def reset(self) -> None:
        self.age = self.lapse_left = 0
        self.goal: float | None = None
        self.steering, self.throttle = 0, True
        self.lapse: Controls = {}
        self.seen: dict[int, float] = {}  # places of cars one decision ago
        self.drifts: dict[int, float] = {}
        self.pending: deque[tuple[float, float]] = deque([(0.0, 0.0)] * self.style.reaction)

    def attach(self, env: gymnasium.Env) -> None:
        game = getattr(env, "game", None)
        if getattr(game, "name", None) != "nes-road":
            raise ValueError(f"this driver reads the memory of nes-road, but {env} is another game; use another agent")
        self.nes = env.unwrapped.nes  # type: ignore[attr-defined]

    def act(self, frame: Frame) -> Controls:
        if self.nes is None:
            raise ValueError("the driver was asked to act before attach(env); the rollout does it after each reset")
        self.pending.append(self.wish())
        offset, excess = self.pending.popleft()
        if self.age % self.style.hold == 0:
            self.steering = 0 if abs(offset) <= self.style.deadband else int(np.sign(offset))
        self.age += 1
        if excess > 0.05:  # at full speed the car makes no more, and the throttle stays down
            self.throttle = False
        elif excess < -BAND:
            self.throttle = True
        pressed = {
            "left": float(self.steering < 0),
            "right": float(self.steering > 0),
            "a": float(self.throttle and excess <= self.style.coast),
            "b": float(excess > self.style.coast),
        }
        return self.lapsed(pressed)

    def lapsed(self, pressed: Controls) -> Controls:
        """The buttons, or now and then random ones for a moment."""
        if self.lapse_left:
            self.lapse_left -= 1
            return dict(self.lapse)
        if self.random.random() < self.style.lapses:
            self.lapse_left = int(self.random.integers(3, self.style.lapse + 1))
            steering, pedal = self.random.choice(3, p=(0.4, 0.2, 0.4)), self.random.choice(3, p=(0.6, 0.2, 0.2))
            values = (steering == 0, steering == 2, pedal == 0, pedal == 1)
            self.lapse = {name: float(value) for name, value in zip(BUTTONS, values, strict=True)}
        return pressed

    def wish(self) -> tuple[float, float]:
        """Pixels to the right that the car should go, and its speed above the wanted one."""
        style, speed = self.style, self.word(SPEED) / 256
        lateral = self.signed(LATERAL) / 256
        x = float(self.nes[CAR_X])
        left, right = self.edges(CAR_Y)
        here, width = x - left, right - left
        places = np.linspace(EDGE, max(EDGE + 1, width - EDGE), 13)
        liked = np.clip(width / 2 * (1 + style.place), EDGE, width - EDGE)
        costs = 0.02 * np.abs(places - liked) + 0.06 * np.abs(places - (here if self.goal is None else self.goal))
        hits: list[tuple[np.ndarray, float, float]] = []  # which places meet a car, after how many frames, its speed
        for other in self.others():
            frames, gaps = self.gaps(here, places, other, speed)
            if frames < HORIZON:
                costs += 20 * (1 - frames / HORIZON) * np.clip(1.3 - gaps / style.room, 0, None)
                hits.append((gaps < 13.5, frames, other.speed))
        best = int(costs.argmin())
        self.goal = float(places[best])
        ahead_left, ahead_right = self.edges(max(0, int(CAR_Y - style.look * speed)))
        aim = ahead_left + min(self.goal, ahead_right - ahead_left - EDGE)
        stopped = x + np.sign(lateral) * lateral * lateral / (2 * TURN)  # where it would come to rest
        blocking = [pace for meets, frames, pace in hits if meets[best] and frames < style.patience]
        return float(aim - stopped), speed - min([style.top, *(pace - 0.2 for pace in blocking)])

    @staticmethod
    def gaps(here: float, places: np.ndarray, other: Other, speed: float) -> tuple[float, np.ndarray]:
        """Frames until another car is reached, and the least distance sideways from it on the way to each place [N]."""
        closing = speed - other.speed
        if closing < 0.05:
            closing = 0.05 if other.ahead > 0 else min(closing, -0.05)
        begin, end = sorted(((other.ahead - LENGTH) / closing, (other.ahead + LENGTH) / closing))
        begin = max(0.0, begin)
        if end < 0:
            return HORIZON, np.full(len(places), np.inf)
        times = np.linspace(begin, min(end, begin + 40), 4)[:, None]
        way = np.minimum(np.abs(places - here), SIDEWAYS * np.maximum(times - 4, 0))  # pixels, after a start
        there = other.place + other.drift * np.minimum(times, 25)
        return begin, np.abs(here + np.sign(places - here) * way - there).min(0)

    def others(self) -> list[Other]:
        """The cars in the picture that are not far behind."""
        found, seen = [], {}
        for i in range(NUM_CARS):
            y = self.signed(CARS_Y + 2 * i)
            if self.nes[CAR_ON + i] and -16 < y < CAR_Y + 24:
                left, _ = self.edges(min(max(y, 0), 231))
                place = seen[i] = self.nes[CARS_X + i] - left
                drift = (place - self.seen.get(i, place)) / FRAMES
                self.drifts[i] = 0.8 * self.drifts.get(i, 0.0) + 0.2 * drift
                pace = self.word(CARS_SPEED + 2 * i) / 256
                found.append(Other(place, CAR_Y - y, pace, self.drifts[i] if abs(self.drifts[i]) > 0.25 else 0.0))
        self.seen = seen
        self.drifts = {i: drift for i, drift in self.drifts.items() if i in seen}
        return found

    def edges(self, y: int) -> tuple[float, float]:
        """Left and right edge of the road at a line of the picture."""
        row = (self.nes[TOP_ROW] + ((y + self.nes[FINE]) >> 3)) % NUM_ROWS
        return float(self.nes[LEFT + row]), float(self.nes[RIGHT + row])

    def word(self, address: int) -> int:
        return self.nes[address] | self.nes[address + 1] << 8

    def signed(self, address: int) -> int:
        value = self.word(address)
        return value - 0x10000 if value & 0x8000 else value
