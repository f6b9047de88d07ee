"""What of the picture shows the controls, and by how much the picture's motion follows them."""

from __future__ import annotations

import itertools

import cv2
import numpy as np

from racing_vpt.types import Rectangle

ROWS, COLUMNS = 48, 64  # cells in which the picture is compared with the controls
LEAKS = 0.7  # correlation of a cell's brightness with a control, which no view of a road has
FEWEST = 60  # frames for a correlation
LARGEST_LAG = 12  # frames
CLEAR = 0.2  # correlation of motion and steering without which no lag is told


def leaking_places(frames: np.ndarray, controls: dict[str, np.ndarray]) -> list[tuple[Rectangle, str, float]]:
    """Rectangles of the picture whose brightness follows a control, with its name and the correlation.

    Args:
        frames: uint8 [T, H, W, 3], drawn from all over the recordings.
        controls: float64 [T] by name.
    """
    if len(frames) < FEWEST:
        return []
    small = np.stack([cv2.resize(frame, (COLUMNS, ROWS), interpolation=cv2.INTER_AREA) for frame in frames])
    cells = small.astype(np.float64).reshape(len(small), ROWS, COLUMNS, 3)
    centred = cells - cells.mean(0)
    scale = np.sqrt((centred**2).mean(0)) + 1.0
    best, owner = np.zeros((ROWS, COLUMNS)), np.zeros((ROWS, COLUMNS), int)
    for number, values in enumerate(controls.values()):
        if values.std() < 1e-6:
            continue
        unit = (values - values.mean()) / values.std()
        strength = abs((centred * unit[:, None, None, None]).mean(0) / scale).max(-1)
        owner[strength > best] = number
        best = np.maximum(best, strength)
    count, _, boxes, _ = cv2.connectedComponentsWithStats((best > LEAKS).astype(np.uint8))
    found = []
    for left, top, wide, tall, _ in boxes[1:count].tolist():
        inside = best[top : top + tall, left : left + wide]
        name = [*controls][owner[top : top + tall, left : left + wide].ravel()[inside.argmax()]]
        up, west = max(0, top - 1), max(0, left - 1)
        down, east = min(ROWS, top + tall + 1), min(COLUMNS, left + wide + 1)
        place = (up / ROWS, west / COLUMNS, (down - up) / ROWS, (east - west) / COLUMNS)
        found.append((place, name, float(inside.max())))
    return found


def response(frames: np.ndarray, steering: np.ndarray) -> tuple[int, float] | None:
    """Frames from a change of the steering to the picture's turning, and their correlation; None: not clear.

    Args:
        frames: uint8 [T, H, W, 3], consecutive.
        steering: float64 [T].
    """
    window = cv2.createHanningWindow((COLUMNS, ROWS), cv2.CV_32F)
    grey = [cv2.resize(cv2.cvtColor(f, cv2.COLOR_RGB2GRAY), (COLUMNS, ROWS)).astype(np.float32) for f in frames]
    moved = np.array([cv2.phaseCorrelate(one, two, window)[0][0] for one, two in itertools.pairwise(grey)])
    if len(moved) < 4 * LARGEST_LAG or moved.std() < 1e-6 or steering.std() < 1e-6:
        return None
    inner = np.arange(LARGEST_LAG, len(moved) - LARGEST_LAG)
    lags = range(-LARGEST_LAG, LARGEST_LAG + 1)
    fits = [abs(np.corrcoef(moved[inner + lag], steering[inner])[0, 1]) for lag in lags]
    best = int(np.nanargmax(fits))
    if fits[best] < CLEAR or best in (0, len(fits) - 1):
        return None
    return lags[best], float(fits[best])
