"""Driving styles of the scripted expert."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ExpertStyle:
    """Parameters of the expert. Lengths in the environment's units (the road is 13.3 wide), speeds in units per second.

    Args:
        line_half_width: share of the road's half-width that the line may use, 0 (its middle) to 1.
        line_bias: shift of the line to the right, as a share of the road's half-width.
        lookahead: distance along the line to the point that is steered at, at speed 0.
        lookahead_per_speed: increase of that distance per unit/s, in units.
        steer_gain: steering per radian to that point.
        yaw_gain: steering against the yaw rate, per radian/s.
        lateral_limit: lateral acceleration of the pace, units/s^2.
        braking: deceleration of the pace, units/s^2.
        top_speed: largest speed.
        throttle_gain: throttle per unit/s below the pace.
        brake_share: brake per unit/s above the pace, as a share of throttle_gain.
        brake_deadband: units/s above the pace at which braking starts.
        throttle_cut: share of the throttle removed at full steering.
        throttle_limit: largest throttle.
        smoothness: share of the previous controls kept in each frame, in [0, 1).
        reaction_delay: frames from seeing to acting.
        hold: frames for which controls are held.
        steering_levels: steering is rounded to multiples of this; 0 for no rounding.
        pedal_levels: pedals are rounded to multiples of this; 0 for no rounding.
        noise: standard deviation of a slow random steering error.
    """

    line_half_width: float = 0.69
    line_bias: float = 0.0
    lookahead: float = 10.84
    lookahead_per_speed: float = 0.028
    steer_gain: float = 1.87
    yaw_gain: float = 0.128
    lateral_limit: float = 216.8
    braking: float = 115.0
    top_speed: float = 101.0
    throttle_gain: float = 0.217
    brake_share: float = 0.243
    brake_deadband: float = 0.0
    throttle_cut: float = 0.735
    throttle_limit: float = 1.0
    smoothness: float = 0.0
    reaction_delay: int = 0
    hold: int = 1
    steering_levels: float = 0.0
    pedal_levels: float = 0.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.smoothness < 1 or self.hold < 1 or self.reaction_delay < 0:
            raise ValueError(f"a style needs smoothness in [0, 1), hold >= 1 and reaction_delay >= 0; given: {self}")


# The default drives at the limit: CMA-ES over its first eleven parameters on ten tracks of seeds 1000 to 1019.
STYLES = {
    "limit": ExpertStyle(),
    # Slow enough to be cloned from little data.
    "calm": ExpertStyle(
        line_half_width=0.5,
        lookahead=10.0,
        lookahead_per_speed=0.02,
        steer_gain=1.3,
        yaw_gain=0.2,
        lateral_limit=120.0,
        braking=90.0,
        top_speed=80.0,
        throttle_gain=0.215,
        brake_share=0.3,
        throttle_cut=0.5,
    ),
    # As fast as possible with smooth, low-pass filtered controls.
    "brisk": ExpertStyle(
        line_half_width=0.55,
        lookahead=10.5,
        lookahead_per_speed=0.025,
        steer_gain=1.6,
        yaw_gain=0.14,
        lateral_limit=155.0,
        braking=95.0,
        top_speed=95.0,
        throttle_gain=0.15,
        throttle_cut=0.7,
        smoothness=0.3,
    ),
    # Between brisk and the limit, with noisy steering.
    "sporty": ExpertStyle(
        line_half_width=0.62,
        lookahead_per_speed=0.025,
        steer_gain=1.8,
        lateral_limit=180.0,
        top_speed=98.0,
        noise=0.05,
    ),
    # Held out: inverse dynamics models are judged on this driver, so none may be trained on it. A narrow line right of
    # the middle, late and long braking, a delay of two frames, controls held for three frames and rounded to levels.
    "judge": ExpertStyle(
        line_half_width=0.35,
        line_bias=0.15,
        lookahead=12.5,
        lookahead_per_speed=0.04,
        steer_gain=1.0,
        yaw_gain=0.05,
        lateral_limit=135.0,
        braking=75.0,
        top_speed=88.0,
        throttle_gain=0.12,
        brake_share=0.5,
        throttle_cut=0.8,
        throttle_limit=0.85,
        reaction_delay=2,
        hold=3,
        steering_levels=0.08,
        pedal_levels=0.1,
    ),
}
HELD_OUT = "judge"
VARIED = "varied"  # a new random style in each episode: varied.py
TAPS = "taps"  # held out as well, with four keys: taps.py
WILD = "wild"  # the same, interrupted by unusual manoeuvres: wild.py
FIVE = "five"  # an expert with CarRacing's five discrete actions: action_expert.py
ELEVEN = "eleven"  # one with the eleven actions of configs/dqn_actions.yaml


def style_names() -> tuple[str, ...]:
    """Styles that `expert:STYLE` accepts."""
    return (*STYLES, TAPS, WILD, VARIED, FIVE, ELEVEN)
