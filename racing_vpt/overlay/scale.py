"""From what displays show to values of controls, by the extremes that the videos themselves show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from racing_vpt.games.overlay import Display
from racing_vpt.overlay.reader import Reader

EXTREME = 0.003  # share of the frames beyond an end that is taken for one
RESTS = 0.08  # share of the frames in which a mark stands at its middle, if that is known by them
NARROW = 0.02  # of the extremes' distance, within which it rests
NEAR_MIDDLE = 0.2  # of the extremes' distance, by which the place of rest may lie beside their middle


def values_of(reader: Reader, places: np.ndarray, sure: np.ndarray) -> np.ndarray:
    """Values of the control float64 [T].

    Args:
        reader: the display.
        places: float64 [T], what was read.
        sure: bool [T], which readings tell the extremes.
    """
    display = reader.display
    if display.kind == "key":
        return places * display.high
    rest = 0.0 if display.low <= 0 <= display.high else display.low
    if not reader.moves or not sure.any():
        return np.full(len(places), rest)
    if display.kind == "dial":
        places = turned(places, places[sure], display.turn)
    low, high = _ends(reader, places[sure])
    if high <= low:
        return np.full(len(places), rest)
    shares = (places - low) / (high - low)
    return np.clip(display.low + shares * (display.high - display.low), display.low, display.high)


def turned(angles: np.ndarray, known: np.ndarray, turn: float | None) -> np.ndarray:
    """Degrees [T] without jumps: around their usual direction, or followed over time where a wheel turns further."""
    if turn is not None and abs(turn) > 180:
        return np.rad2deg(np.unwrap(np.deg2rad(angles)))
    usual = np.rad2deg(np.angle(np.exp(1j * np.deg2rad(known)).mean()))
    return (angles - usual + 180) % 360 - 180 + usual


def _ends(reader: Reader, places: np.ndarray) -> tuple[float, float]:
    """The places of the lowest and the highest value."""
    display = reader.display
    length = reader.crop.inner[3] - reader.crop.inner[2]
    if display.ends == "drawn" and display.kind != "dial":
        return (-length / 2, length / 2) if display.kind == "bar" and display.middle else (0.0, float(length))
    low, high = (float(each) for each in np.quantile(places, [EXTREME, 1 - EXTREME]))
    if not _symmetric(display):
        return low, high
    middle = 0.0 if display.kind == "bar" and display.middle else _rest(places, low, high)
    if display.kind == "dial" and display.turn is not None:
        return middle - display.turn, middle + display.turn
    reach = max(high - middle, middle - low)
    return middle - reach, middle + reach


def _rest(places: np.ndarray, low: float, high: float) -> float:
    """Where a mark stands while nothing is done: the most frequent place near the middle of the extremes."""
    middle = (low + high) / 2
    near = places[abs(places - middle) <= NEAR_MIDDLE * (high - low)]
    if len(near) < RESTS * len(places):
        return middle
    ordered = np.sort(near)
    width = NARROW * (high - low)
    counts = np.searchsorted(ordered, ordered + width, "right") - np.arange(len(ordered))
    top = int(counts.argmax())
    return float(np.median(ordered[top : top + counts[top]])) if counts[top] >= RESTS * len(places) else middle


def _symmetric(display: Display) -> bool:
    return abs(display.low + display.high) < 1e-9 * max(1.0, abs(display.high))


def never_seen(readers: Sequence[Reader]) -> list[str]:
    """What displays never did, in words."""
    words = {
        "bar": "never grows",
        "slider": "shows no mark that moves",
        "key": "never lights up",
        "dial": "never turns",
    }
    return [
        f"the {reader.display.kind} of {reader.display.control} at {list(reader.display.place)} "
        f"{words[reader.display.kind]} in these videos: is its place right?"
        for reader in readers
        if not reader.moves
    ]
