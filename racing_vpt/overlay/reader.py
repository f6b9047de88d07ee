"""A display of any kind: learned from sample frames, then read frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from racing_vpt.games.overlay import Display
from racing_vpt.overlay.bar import Bar, fit_bar
from racing_vpt.overlay.crops import Crop, lines_of
from racing_vpt.overlay.dial import Dial, fit_dial, polar_of
from racing_vpt.overlay.key import Key, cells_of, fit_key
from racing_vpt.overlay.presence import GONE, THERE, Presence, first_presence, fit_presence
from racing_vpt.overlay.slider import Slider, fit_slider

Part = Bar | Slider | Key | Dial
LEAST_MISFIT = 1e-3
STEEP = 4  # how fast confidence falls there
FEWEST = 8  # frames to learn from
UNUSUAL = 8.0  # times the usual misfit: there a reading is as likely wrong as right


@dataclass(frozen=True)
class Readings:
    """What a display showed.

    Args:
        places: float64 [T], pixels, degrees, or 0 and 1, not yet values of the control.
        confidence: float64 [T], 0 to 1.
    """

    places: np.ndarray
    confidence: np.ndarray


@dataclass(frozen=True)
class Reader:
    """A display that was learned.

    Args:
        display: what it is and where.
        crop: its part of the picture.
        parts: its models: one, or of a bar with a middle its left and its right half.
        presence: its steady edges.
        usual: misfit of most frames, by part.
    """

    display: Display
    crop: Crop
    parts: tuple[Part, ...]
    presence: Presence
    usual: tuple[float, ...]

    @property
    def moves(self) -> bool:
        """Whether it changes at all."""
        return any(part.moves for part in self.parts)

    def read(self, frames: np.ndarray) -> Readings:
        """Readings of frames uint8 [T, H, W, 3] of the size that it was learned from."""
        crops = self.crop.cut(frames)
        confidence, places = np.ones(len(crops)), np.zeros(len(crops))
        inputs = inputs_of(crops, self.display, self.crop)
        for number, (part, given, usual) in enumerate(zip(self.parts, inputs, self.usual, strict=True)):
            if not part.moves:
                continue
            read, misfit = part.read(*given)  # type: ignore[arg-type]
            places += -read if len(self.parts) == 2 and number == 0 else read
            confidence = confidence / (1 + (misfit / (UNUSUAL * usual)) ** STEEP)
        return Readings(places, confidence * self.presence.confidence(crops, places))


def learn(display: Display, frames: Sequence[np.ndarray]) -> Reader:
    """Learn a display from frames of a video.

    Args:
        display: what it is and where.
        frames: uint8 [T, H, W, 3] each, of one size.

    Raises:
        ValueError: it is smaller than two pixels.
    """
    crop = Crop.of(display, *frames[0].shape[1:3])
    crops = np.concatenate([crop.cut(part) for part in frames])
    first = first_presence(crops, crop.inner).strength(crops, np.zeros(len(crops))) > (GONE + THERE) / 2
    first = first if first.mean() > 0.5 else np.ones(len(crops), bool)
    parts = [_fitted(display, given) for given in inputs_of(crops[first], display, crop)]
    shown, good = _read(parts, crops, first, display, crop)
    presence = fit_presence(crops, crop.inner, shown, first & good, good)
    there = good & (presence.strength(crops, shown) > (GONE + THERE) / 2)
    if there.sum() >= max(FEWEST, len(crops) // 20):
        parts = [_fitted(display, given) for given in inputs_of(crops[there], display, crop)]
    given = inputs_of(crops[there] if there.any() else crops, display, crop)
    return Reader(
        display, crop, tuple(parts), presence, tuple(_usual(*pair) for pair in zip(parts, given, strict=True))
    )


def _usual(part: Part, given: tuple[np.ndarray, ...]) -> float:
    """The misfit of most frames: its upper quartile."""
    return float(np.quantile(part.read(*given)[1], 0.75)) + LEAST_MISFIT  # type: ignore[arg-type]


def _read(
    parts: Sequence[Part], crops: np.ndarray, there: np.ndarray, display: Display, crop: Crop
) -> tuple[np.ndarray, np.ndarray]:
    """Places float64 [T], and bool [T] of the frames that fit as most do of those `there`, bool [T]."""
    places, good = np.zeros(len(crops)), np.ones(len(crops), bool)
    for number, (part, given) in enumerate(zip(parts, inputs_of(crops, display, crop), strict=True)):
        read, misfit = part.read(*given)  # type: ignore[arg-type]
        places += -read if len(parts) == 2 and number == 0 else read
        good &= misfit < UNUSUAL * _usual(part, tuple(each[there] for each in given))
    return places, good


def inputs_of(crops: np.ndarray, display: Display, crop: Crop) -> list[tuple[np.ndarray, ...]]:
    """What the model of a display reads, by part, of crops float32 [T, H, W, 3]."""
    if display.kind == "dial":
        return [(polar_of(crops, crop.inner),)]
    if display.kind == "key":
        return [cells_of(crops, crop.inner)]
    line, beside = lines_of(crops, crop)
    if not display.middle:
        return [(line, beside)]
    half = line.shape[1] // 2
    left = (line[:, :half][:, ::-1], beside[:, :half][:, ::-1])
    return [left, (line[:, -half:], beside[:, -half:])]


def _fitted(display: Display, given: tuple[np.ndarray, ...]) -> Part:
    if display.kind == "bar":
        return fit_bar(given[0], given[1], display.lit)
    if display.kind == "slider":
        return fit_slider(given[0], given[1])
    if display.kind == "key":
        return fit_key(given[0], given[1], display.lit)
    return fit_dial(given[0])
