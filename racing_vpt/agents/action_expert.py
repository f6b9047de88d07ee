"""Experts that choose among a few actions, to demonstrate them to a DQN or to teach it.

Continuous controls are no help there: rounded to the nearest action they do not drive. At each decision these experts
choose the action that turns the wheels most like the wished controls, at a cost for pedals that differ from the wished
ones. They decide as often as a DQN. Both styles were found by random search on a few tracks from seed 1000 on.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence

from racing_vpt.agents.expert import ExpertAgent, clip
from racing_vpt.agents.styles import ExpertStyle
from racing_vpt.envs.actions import DISCRETE_CONTROLS
from racing_vpt.games.read import load_game
from racing_vpt.types import Controls

WHEELS_TURN = 0.4  # radians: the stop of CarRacing's steering joint
WHEELS_SPEED = 0.06  # radians a frame: 3 a second


class ActionExpert(ExpertAgent):
    """An expert whose every decision is one of a few actions.

    Args:
        style: how it drives; it decides every `style.hold` frames.
        actions: controls among which it chooses.
        seed: unused; it draws nothing.
    """

    THROTTLE_COST: float
    CRAWL: float  # units/s below which the throttle is worth CRAWL_COST
    CRAWL_COST: float

    def __init__(self, style: ExpertStyle, actions: Sequence[Controls], seed: int = 0) -> None:
        super().__init__(style, seed)
        self.actions = actions

    def hand(self, wish: Controls) -> Controls:
        """The action that comes nearest to the wish while it is held."""
        return dict(self.actions[self.nearest(wish)])

    def decide(self) -> int:
        """The number of the action that it would take now, however often it is asked."""
        return self.nearest(self.wish())

    def nearest(self, wish: Controls) -> int:
        """The number of the action that comes nearest to a wish."""
        apart = [self.wheels_apart(action, wish) + self.pedals_apart(action, wish) for action in self.actions]
        return apart.index(min(apart))

    def wheels_apart(self, action: Controls, wish: Controls) -> float:
        """How far the wheels are from where they are wished while an action is held, mean in radians."""
        assert self.env is not None
        assert self.env.car is not None
        turned = -self.env.car.wheels[0].joint.angle  # positive to the right
        wished = clip(wish["steering"], -WHEELS_TURN, WHEELS_TURN)
        aim, apart = clip(action["steering"], -WHEELS_TURN, WHEELS_TURN), 0.0
        for _ in range(self.style.hold):
            turned += clip(aim - turned, -WHEELS_SPEED, WHEELS_SPEED)
            apart += abs(turned - wished) / self.style.hold
        return apart

    def throttle_cost(self) -> float:
        """Radians that the throttle is worth now; more where it crawls: who only steers then never gets away."""
        assert self.env is not None
        assert self.env.car is not None
        crawls = math.hypot(*self.env.car.hull.linearVelocity) < self.CRAWL
        return self.CRAWL_COST if crawls else self.THROTTLE_COST

    @abstractmethod
    def pedals_apart(self, action: Controls, wish: Controls) -> float:
        """What an action's pedals are worse than the wished ones, in radians of the wheels."""


class FiveActionExpert(ActionExpert):
    """CarRacing's five discrete actions: either it steers, or it accelerates, or it brakes."""

    STYLE = ExpertStyle(
        line_half_width=0.307,
        lookahead=18.02,
        lookahead_per_speed=0.1046,
        steer_gain=1.064,
        yaw_gain=0.0583,
        lateral_limit=316.8,
        top_speed=78.65,
        throttle_gain=0.2,
        brake_share=0.1715,
        throttle_cut=0.0,
        hold=4,
    )
    THROTTLE_COST = 0.0429  # radians that a wished acceleration is worth
    BRAKE_COST = 0.8969  # radians, of a wished brake of 1
    BRAKES_AS = 0.3  # the brake action is wished from half of this on
    CRAWL, CRAWL_COST = 10.0, 0.3

    def __init__(self, seed: int = 0) -> None:
        super().__init__(self.STYLE, DISCRETE_CONTROLS, seed)

    def pedals_apart(self, action: Controls, wish: Controls) -> float:
        """As there is one throttle and one brake: whether it accelerates, and whether it brakes enough."""
        slower = (wish["throttle"] > 0) != (action["throttle"] > 0)
        braked = self.BRAKES_AS - wish["brake"] if action["brake"] else wish["brake"]
        return self.throttle_cost() * slower + self.BRAKE_COST * braked


class ElevenActionExpert(ActionExpert):
    """The eleven actions of `games/carracing.yaml`: steering in three sizes, alone or with some throttle."""

    STYLE = ExpertStyle(
        line_half_width=0.376,
        lookahead=22.7,
        lookahead_per_speed=0.0469,
        steer_gain=0.951,
        yaw_gain=0.0867,
        lateral_limit=228.8,
        braking=45.3,
        top_speed=110.8,
        throttle_gain=0.153,
        brake_share=0.242,
        throttle_cut=0.353,
        hold=4,
    )
    THROTTLE_COST = 0.111  # radians, of a throttle that is off by 1
    BRAKE_COST = 0.502
    CRAWL, CRAWL_COST = 20.0, 1.5

    def __init__(self, seed: int = 0) -> None:
        super().__init__(self.STYLE, load_game("carracing").actions("eleven").actions, seed)

    def pedals_apart(self, action: Controls, wish: Controls) -> float:
        """How far throttle and brake are from the wished ones."""
        throttle, brake = (abs(wish[name] - action[name]) for name in ("throttle", "brake"))
        return self.throttle_cost() * throttle + self.BRAKE_COST * brake
