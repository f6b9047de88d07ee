"""Whether a display is there: the edges of what it draws that stand still, compared with each frame's.

What it shows changes its edges, so each part of its range has its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from racing_vpt.overlay.colours import BRIGHTNESS

STEADY = 3.0  # times its spread over time that an edge must have
LEAST_EDGE = 5.0  # grey levels
FEWEST = 8  # steady edges without which it cannot be told, and frames to learn them from
MOST_FRAMES = 200  # that the edges of a part of the range are learned from
PARTS = 5
GONE, THERE = 0.35, 0.65  # share of the edges' usual strength


@dataclass(frozen=True)
class Presence:
    """Steady edges of a display.

    Args:
        low: what it shows at the lower end of the first part of its range.
        high: at the upper end of the last.
        edges: brightness steps of steady edges float32 [E], by part.
        places: int64 [E], their places among all edges of a crop, by part.
    """

    low: float
    high: float
    edges: tuple[np.ndarray, ...]
    places: tuple[np.ndarray, ...]

    def strength(self, crops: np.ndarray, shown: np.ndarray) -> np.ndarray:
        """How strong the edges are in crops [T, H, W, 3], 1 as usual, 0 gone: float64 [T]; 1 where none are known.

        Args:
            crops: float32 [T, H, W, 3].
            shown: float64 [T], what the display shows in them.
        """
        found = np.ones(len(crops))
        for start in range(0, len(crops), MOST_FRAMES):
            span = slice(start, start + MOST_FRAMES)
            seen, parts = _edges_of(crops[span]), _part(shown[span], self.low, self.high, len(self.edges))
            for part in np.unique(parts):
                edges, places = self.edges[part], self.places[part]
                if len(edges) >= FEWEST:
                    rows = np.flatnonzero(parts == part)
                    found[start + rows] = seen[np.ix_(rows, places)] @ edges / (edges**2).sum()
        return found

    def confidence(self, crops: np.ndarray, shown: np.ndarray) -> np.ndarray:
        """From 0, gone, to 1, there; arguments as of `strength`."""
        return np.clip((self.strength(crops, shown) - GONE) / (THERE - GONE), 0, 1)


def first_presence(crops: np.ndarray, inner: tuple[int, int, int, int]) -> Presence:
    """Steady edges of a display of which nothing is known yet; arguments as of `fit_presence`."""
    edges, places = _steady(crops, inner)
    return Presence(0.0, 1.0, (edges,), (places,))


def fit_presence(
    crops: np.ndarray, inner: tuple[int, int, int, int], shown: np.ndarray, there: np.ndarray, good: np.ndarray
) -> Presence:
    """Steady edges of a display by what it shows.

    Args:
        crops: the display with its surroundings, float32 [T, H, W, 3].
        inner: the display in them, [top, bottom, left, right]; fixed parts of the picture around it are not its edges.
        shown: float64 [T], what it shows.
        there: bool [T], frames in which it surely is.
        good: bool [T], frames which look like it; they teach the parts of its range that no frame of `there` shows.
    """
    low, high = (float(each) for each in np.quantile(shown[good], [0.01, 0.99])) if good.any() else (0.0, 1.0)
    parts = _part(shown, low, high, PARTS)
    found = []
    for part in range(PARTS):
        chosen = (parts == part) & there
        chosen = chosen if chosen.sum() >= FEWEST else (parts == part) & good
        found.append(_steady(crops[chosen], inner) if chosen.sum() >= FEWEST else None)
    known = [part for part in range(PARTS) if found[part] is not None]
    nearest = [found[min(known, key=lambda each: abs(each - part))] if known else None for part in range(PARTS)]
    none = np.zeros(0, np.float32), np.zeros(0, np.int64)
    pairs = [pair or none for pair in nearest]
    return Presence(low, high, tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs))


def _steady(crops: np.ndarray, inner: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Steps of brightness of the steady edges float32 [E], and their places int64 [E]."""
    seen = _edges_of(crops[:: max(1, len(crops) // MOST_FRAMES)])
    usual = np.median(seen, axis=0)
    spread = 1.4826 * np.median(abs(seen - usual), axis=0) + 1
    places = np.flatnonzero(
        (abs(usual) > STEADY * spread) & (abs(usual) > LEAST_EDGE) & _inside(crops.shape[1:3], inner)
    )
    return usual[places], places


def _part(shown: np.ndarray, low: float, high: float, parts: int) -> np.ndarray:
    """Part of the range int64 [T] of what is shown."""
    return np.clip(((shown - low) / max(1e-9, high - low) * parts).astype(np.int64), 0, parts - 1)


def _inside(shape: tuple[int, int], inner: tuple[int, int, int, int]) -> np.ndarray:
    """Which of the edges, in the order of `_edges_of`, lie within the display."""
    top, bottom, left, right = inner
    within = np.zeros(shape, bool)
    within[max(0, top - 1) : bottom + 1, max(0, left - 1) : right + 1] = True
    across, down = within[:, 1:] & within[:, :-1], within[1:] & within[:-1]
    return np.concatenate([across.ravel(), down.ravel()])


def _edges_of(crops: np.ndarray) -> np.ndarray:
    """Steps of brightness float32 [T, E] to the right and downwards."""
    grey = crops @ BRIGHTNESS
    across, down = np.diff(grey, axis=2), np.diff(grey, axis=1)
    return np.concatenate([across.reshape(len(grey), -1), down.reshape(len(grey), -1)], axis=1)
