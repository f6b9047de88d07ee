"""Experts that choose among a few discrete actions, as demonstrators or teachers of a DQN.

Rounding continuous controls to the nearest action does not drive. At each decision these experts choose the action that
turns the wheels most like the ideal controls, with a cost for different pedals. They decide as often as a DQN. Both
styles were found by random search on a few tracks from seed 1000 on.
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
    """An expert that chooses one of a few actions at each decision.

    Args:
        style: parameters of the expert; it decides every `style.hold` frames.
        actions: controls of each action.
        seed: unused, as it is deterministic.
    """

    THROTTLE_COST: float
    CRAWL: float  # units/s below which missing throttle costs CRAWL_COST
    CRAWL_COST: float

    def __init__(self, style: ExpertStyle, actions: Sequence[Controls], seed: int = 0) -> None:
        super().__init__(style, seed)
        self.actions = actions

    def hand(self, wish: Controls) -> Controls:
        """The action nearest to the ideal controls while it is held."""
        return dict(self.actions[self.nearest(wish)])

    def decide(self) -> int:
        """Index of the action that it would take now, without side effects."""
        return self.nearest(self.wish())

    def nearest(self, wish: Controls) -> int:
        """Index of the action nearest to the ideal controls."""
        apart = [self.wheels_apart(action, wish) + self.pedals_apart(action, wish) for action in self.actions]
        return apart.index(min(apart))

    def wheels_apart(self, action: Controls, wish: Controls) -> float:
        """Mean distance of the wheels from the ideal angle while an action is held, in radians."""
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
        """Cost of missing throttle in radians; higher at low speed, where steering alone would not move the car."""
        assert self.env is not None
        assert self.env.car is not None
        crawls = math.hypot(*self.env.car.hull.linearVelocity) < self.CRAWL
        return self.CRAWL_COST if crawls else self.THROTTLE_COST

    @abstractmethod
    def pedals_apart(self, action: Controls, wish: Controls) -> float:
        """Cost of the difference between an action's pedals and the ideal ones, in radians of the wheels."""


class FiveActionExpert(ActionExpert):
    """CarRacing's five discrete actions: nothing, left, right, throttle, or brake."""

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
    THROTTLE_COST = 0.0429  # radians, for missing throttle
    BRAKE_COST = 0.8969  # radians, for a missing brake of 1
    BRAKES_AS = 0.3  # ideal brake that the brake action stands for
    CRAWL, CRAWL_COST = 10.0, 0.3

    def __init__(self, seed: int = 0) -> None:
        super().__init__(self.STYLE, DISCRETE_CONTROLS, seed)

    def pedals_apart(self, action: Controls, wish: Controls) -> float:
        """With one throttle and one brake: whether it accelerates, and whether it brakes enough."""
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
    THROTTLE_COST = 0.111  # radians, for a throttle that is off by 1
    BRAKE_COST = 0.502
    CRAWL, CRAWL_COST = 20.0, 1.5

    def __init__(self, seed: int = 0) -> None:
        super().__init__(self.STYLE, load_game("carracing").actions("eleven").actions, seed)

    def pedals_apart(self, action: Controls, wish: Controls) -> float:
        """Distance of throttle and brake from the ideal ones, weighted."""
        throttle, brake = (abs(wish[name] - action[name]) for name in ("throttle", "brake"))
        return self.throttle_cost() * throttle + self.BRAKE_COST * brake
