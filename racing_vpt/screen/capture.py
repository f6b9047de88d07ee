"""Pictures of a part of the screen.

Through libX11: mss's own way, libxcb with shared memory, crashes a process that has loaded PyAV or decord, which bring
libxcbs of their own.
"""

from __future__ import annotations

import time
from collections import deque

import cv2
import mss
import numpy as np
from mss.exception import ScreenShotError

from racing_vpt.screen.windows import Place
from racing_vpt.types import Frame


class Capture:
    """Takes pictures of a display; a context manager.

    Args:
        display: name of the display.
    """

    def __init__(self, display: str) -> None:
        self._shots = mss.MSS(display=display, with_cursor=False, backend="xlib")
        self.milliseconds: deque[float] = deque(maxlen=100_000)  # that each picture took

    def take(self, place: Place) -> Frame | None:
        """Picture uint8 [H, W, 3] of a rectangle; None where it does not lie on the screen as a whole."""
        begun = time.monotonic()
        try:
            shot = self._shots.grab(vars(place))
        except ScreenShotError:
            return None
        pixels = np.frombuffer(shot.bgra, np.uint8).reshape(shot.height, shot.width, 4)
        picture = cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGB)
        self.milliseconds.append(1000 * (time.monotonic() - begun))
        return picture

    def __enter__(self) -> Capture:
        return self

    def __exit__(self, *_: object) -> None:
        self._shots.close()
