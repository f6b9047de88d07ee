"""An expert with CarRacing's five discrete actions and no others: it shows a DQN what to do, in the DQN's own words.

A driver with a steering wheel is no help there: its controls lie between the actions, and rounded to them they do not
drive. This one asks at each decision which action turns the wheels most like its wish, and what it costs not to
accelerate meanwhile.
"""

from __future__ import annotations

from racing_vpt.agents.expert import ExpertAgent, clip
from racing_vpt.agents.styles import ExpertStyle
from racing_vpt.envs.actions import DISCRETE_CONTROLS
from racing_vpt.types import Controls

# Random search over these numbers and those below, 12 tracks (seeds 1000 to 1011). It decides as often as a DQN.
FIVE_STYLE = ExpertStyle(
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
THROTTLE_COST = 0.0429  # radians of steering that a wished acceleration is worth
BRAKE_COST = 0.8969  # radians, of a wished brake of 1
BRAKES_AS = 0.3  # the brake action is wished from half of this on
WHEELS_TURN = 0.4  # radians: the stop of CarRacing's steering joint
WHEELS_SPEED = 0.06  # radians a frame: 3 a second


class FiveActionAgent(ExpertAgent):
    """An expert whose every decision is one of `DISCRETE_CONTROLS`.

    Args:
        seed: unused; it draws nothing.
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__(FIVE_STYLE, seed)

    def hand(self, wish: Controls) -> Controls:
        """The action that comes nearest to the wish while it is held."""
        nearest = min(DISCRETE_CONTROLS, key=lambda action: self.cost(action, wish))
        return nearest.copy()

    def cost(self, action: Controls, wish: Controls) -> float:
        """How far an action, held, is from a wish: radians of the wheels, with the pedals in their measure."""
        assert self.env is not None
        assert self.env.car is not None
        turned = -self.env.car.wheels[0].joint.angle  # positive to the right
        wished = clip(wish["steering"], -WHEELS_TURN, WHEELS_TURN)
        aim, apart = clip(action["steering"], -WHEELS_TURN, WHEELS_TURN), 0.0
        for _ in range(self.style.hold):
            turned += clip(aim - turned, -WHEELS_SPEED, WHEELS_SPEED)
            apart += abs(turned - wished) / self.style.hold
        slower = (wish["throttle"] > 0) != (action["throttle"] > 0)
        braked = BRAKES_AS - wish["brake"] if action["brake"] else wish["brake"]
        return apart + THROTTLE_COST * slower + BRAKE_COST * braked
