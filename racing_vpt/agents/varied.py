"""Scripted expert whose style is redrawn for every episode, to train inverse dynamics models on.

From a handful of drivers a model learns what they would do next, which is easier than to see what was done, and fails
on any other driver (LOG.md). If no two episodes are driven alike, only the picture tells the controls.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from racing_vpt.agents.expert import ExpertAgent
from racing_vpt.agents.styles import ExpertStyle

RANGES = {  # of the style's parameters; racing line and pace from timid to the limit
    "line_half_width": (0.2, 0.7),
    "line_bias": (-0.3, 0.3),
    "lookahead": (9.0, 15.0),
    "lookahead_per_speed": (0.015, 0.05),
    "steer_gain": (0.9, 2.0),
    "yaw_gain": (0.02, 0.2),
    "lateral_limit": (90.0, 210.0),
    "braking": (60.0, 115.0),
    "top_speed": (60.0, 101.0),
    "throttle_gain": (0.08, 0.25),
    "brake_share": (0.2, 0.7),
    "throttle_cut": (0.3, 0.9),
    "throttle_limit": (0.5, 1.0),
    "noise": (0.0, 0.15),
}
# None of the held-out driver's (`styles.HELD_OUT`): 2 frames, 3 frames, 0.08 and 0.1.
REACTION_DELAYS = (0, 1, 3)
HOLDS = (1, 1, 2, 4, 5)
STEERING_LEVELS = (0.0, 0.0, 0.05, 0.12, 0.2)
PEDAL_LEVELS = (0.0, 0.0, 0.05, 0.25, 0.5)
SMOOTHNESS = (0.0, 0.3, 0.6)


def drawn_style(random: np.random.Generator) -> ExpertStyle:
    """A random style, each parameter drawn independently."""
    numbers: dict[str, Any] = {name: float(random.uniform(low, high)) for name, (low, high) in RANGES.items()}
    hand: dict[str, Any] = {
        "reaction_delay": int(random.choice(REACTION_DELAYS)),
        "hold": int(random.choice(HOLDS)),
        "steering_levels": float(random.choice(STEERING_LEVELS)),
        "pedal_levels": float(random.choice(PEDAL_LEVELS)),
        "smoothness": float(random.choice(SMOOTHNESS)),
    }
    return ExpertStyle(**numbers, **hand)


class VariedAgent(ExpertAgent):
    """An expert with a random style for each seed.

    Args:
        seed: seed of the style and of the random steering error.
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__(ExpertStyle(), seed)

    def seed(self, seed: int) -> None:
        self.style = drawn_style(np.random.default_rng([seed, 6]))
        super().seed(seed)
