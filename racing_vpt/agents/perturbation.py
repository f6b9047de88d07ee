"""Short perturbations of the executed controls, from which the driver has to recover.

A policy learns recoveries from them, which a driver who never leaves the line does not show (VPT section 4; DART,
Laskey et al. 2017, arXiv:1703.09327).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

Kind = Literal["steering_offset", "random_steering", "no_throttle", "full_throttle", "brake", "full_brake"]


@dataclass(frozen=True)
class Perturbation:
    """Frequency, length and kinds of perturbations.

    Args:
        probability: probability per undisturbed frame that a perturbation starts.
        min_frames: shortest perturbation.
        max_frames: longest perturbation.
        strength: largest steering that is added or substituted, and largest `brake`.
        kinds: equally likely kinds: `steering_offset` (constant, added to the driver's steering), `random_steering`
            (constant, instead of it), `no_throttle`, `full_throttle`, `brake` (constant), `full_brake` (locks the
            wheels). Random steering and full brakes often cause a spin, the others rarely.
    """

    probability: float = 0.012
    min_frames: int = 4
    max_frames: int = 14
    strength: float = 0.6
    kinds: tuple[Kind, ...] = ("steering_offset", "no_throttle", "brake")

    def __post_init__(self) -> None:
        unknown = set(self.kinds) - set(get_args(Kind))
        if not 0 <= self.probability <= 1 or not 1 <= self.min_frames <= self.max_frames or not 0 <= self.strength <= 1:
            raise ValueError(
                f"a perturbation needs 0 <= probability, strength <= 1 <= min_frames <= max_frames; given: {self}"
            )
        if unknown or not self.kinds:
            raise ValueError(f"kinds of perturbation are {', '.join(get_args(Kind))}; given: {self.kinds}")


class Disturbance:
    """The perturbations of one episode; a function of the seed."""

    def __init__(self, perturbation: Perturbation, seed: int) -> None:
        self.perturbation = perturbation
        self.random = np.random.default_rng([seed, 2])
        self.frames_left = 0
        self.kind: Kind = perturbation.kinds[0]
        self.value = 0.0

    def apply(self, intended: Mapping[str, float]) -> dict[str, float] | None:
        """The controls to execute instead of the intended ones; None if this frame is undisturbed."""
        if self.frames_left == 0:
            if self.random.random() >= self.perturbation.probability:
                return None
            self._start()
        self.frames_left -= 1
        executed = dict(intended)
        if self.kind == "steering_offset":
            executed["steering"] = min(1.0, max(-1.0, executed["steering"] + self.value))
        elif self.kind == "random_steering":
            executed["steering"] = self.value
        elif self.kind in ("brake", "full_brake"):
            executed.update(throttle=0.0, brake=1.0 if self.kind == "full_brake" else abs(self.value))
        else:
            executed.update(throttle=float(self.kind == "full_throttle"), brake=0.0)
        return executed

    def _start(self) -> None:
        asked = self.perturbation
        self.kind = asked.kinds[self.random.integers(len(asked.kinds))]
        self.frames_left = int(self.random.integers(asked.min_frames, asked.max_frames + 1))
        self.value = float(self.random.uniform(-asked.strength, asked.strength))
