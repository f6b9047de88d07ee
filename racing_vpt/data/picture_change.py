"""What may have been done to a picture before it was encoded: light, colours, covered parts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from racing_vpt.frames import hide
from racing_vpt.types import Frame, Rectangle, rectangle

SATURATION = (0.6, 1.4)  # smallest and largest factor of drawn colours
TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])  # of NTSC


@dataclass(frozen=True)
class PictureChange:
    """A change of each picture of a rendition.

    Args:
        brightness: factor of the pixels' values.
        gamma: exponent of the pixels' values in [0, 1]; above 1 darkens the middle.
        hide: rectangles that are covered in black, each [top, left, height, width] as shares of the picture.
        colours: turn the hue by a random angle and change the saturation, drawn anew for each recording.
    """

    brightness: float = 1.0
    gamma: float = 1.0
    hide: tuple[Rectangle, ...] = ()
    colours: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "hide", tuple(rectangle(given) for given in self.hide))  # YAML gives lists
        if not 0 < self.brightness <= 10 or not 0 < self.gamma <= 10:
            raise ValueError(f"brightness and gamma must be above 0 and at most 10, but {self} was given")

    def drawn(self, seed: int) -> Callable[[Frame], Frame]:
        """The change as a function of a picture uint8 [H, W, 3]; `seed` decides drawn colours."""
        light = np.linspace(0, 1, 256) ** self.gamma * self.brightness
        table = np.rint(255 * light.clip(0, 1)).astype(np.uint8)
        mix = drawn_colours(seed) if self.colours else None
        lit = self.brightness != 1 or self.gamma != 1

        def change(frame: Frame) -> Frame:
            frame = cv2.LUT(frame, table) if lit else frame
            frame = cv2.transform(frame, mix) if mix is not None else frame
            return hide(frame, self.hide)

        return change


def drawn_colours(seed: int) -> np.ndarray:
    """Float64 [3, 3] that maps RGB to RGB of the same luminance, with a random hue and saturation."""
    random = np.random.default_rng([seed, 8])
    angle, scale = random.uniform(0, math.tau), random.uniform(*SATURATION)
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    turn = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
    return np.linalg.inv(TO_YIQ) @ turn @ TO_YIQ
