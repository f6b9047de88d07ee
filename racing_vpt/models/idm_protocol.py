"""The figures that an IDM is judged by, each with its interval over episodes and beside two baselines.

The baselines see no picture: the true controls of the previous frame (controls change slowly), and the mean
of the training set. Agreement, onsets and lags are in `agreement.py`; the page `tests/README.md` explains the protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from racing_vpt.games.controls import Axis, ControlScheme, effective_limits
from racing_vpt.models.agreement import (
    Interval,
    Measured,
    Stretch,
    calibration,
    lags,
    macro_f1,
    onsets,
    rank_correlation,
    regression,
    risk_coverage,
    stretches,
)
from racing_vpt.models.idm_metrics import PRESSED

COLLARS = (0, 2)  # tolerances of an onset in frames, early or late
Figures = dict[str, dict[str, Interval]]
"""Figures by control (or head, or `all`) and name."""
Measures = dict[str, list[Measured]]
"""What gives the figures, by control (or head, or `all`)."""


@dataclass(frozen=True)
class Episode:
    """Measured frames of one episode: labels beside true controls.

    Args:
        frames: int64 [N], rising; a gap is a frame that was not measured.
        labels: float64 [N] by control.
        truth: float64 [N] by control.
        confidence: float64 [N] by head, the probability of the likeliest class; empty for baselines.
        right: bool [N] by head, whether that class is the nearest to the true controls; empty for baselines.
    """

    frames: np.ndarray
    labels: Mapping[str, np.ndarray]
    truth: Mapping[str, np.ndarray]
    confidence: Mapping[str, np.ndarray]
    right: Mapping[str, np.ndarray]


def episodes_of(
    scheme: ControlScheme,
    probabilities: Mapping[str, Tensor],
    labels: Mapping[str, Tensor],
    truth: Mapping[str, Tensor],
    places: Tensor,
) -> list[Episode]:
    """Held-out frames, in any order, by episode.

    Args:
        scheme: heads and controls.
        probabilities: calibrated, float32 [N, classes] by head.
        labels: float32 [N] by control.
        truth: float32 [N] by control.
        places: int64 [N, 2], episode and frame of each.
    """
    classes = scheme.encode(truth)
    sure = {name: probabilities[name].amax(-1).cpu().double().numpy() for name in scheme.heads}
    right = {name: (probabilities[name].argmax(-1) == classes[name]).cpu().numpy() for name in scheme.heads}
    said, true = ({name: each[name].cpu().double().numpy() for name in scheme.controls} for each in (labels, truth))
    episode, frame = places.cpu().numpy().T
    found = []
    for number in np.unique(episode):
        rows = np.nonzero(episode == number)[0]
        rows = rows[np.argsort(frame[rows], kind="stable")]
        columns = ({name: column[rows] for name, column in each.items()} for each in (said, true, sure, right))
        found.append(Episode(frame[rows], *columns))
    return found


def last_frame(episode: Episode) -> Episode:
    """The baseline that repeats the true controls of the frame before, on the frames whose predecessor was measured."""
    later = np.concatenate([np.arange(part.start + 1, part.stop) for part in stretches(episode.frames)])
    labels = {name: column[later - 1] for name, column in episode.truth.items()}
    return Episode(episode.frames[later], labels, {name: x[later] for name, x in episode.truth.items()}, {}, {})


def constant(episode: Episode, means: Mapping[str, float]) -> Episode:
    """The baseline that always gives the same controls."""
    labels = {name: np.full(len(column), means[name]) for name, column in episode.truth.items()}
    return Episode(episode.frames, labels, episode.truth, {}, {})


def changing(scheme: ControlScheme, episodes: Sequence[Episode]) -> list[str]:
    """The controls that are not the same in all frames; the others cannot be judged."""
    return [name for name in scheme.controls if len(np.unique([x for e in episodes for x in e.truth[name]])) > 1]


def agreement(scheme: ControlScheme, episodes: Sequence[Episode], stops: Mapping[str, float]) -> Figures:
    """The figures of `agreement_measures` with their intervals."""
    return with_intervals(agreement_measures(scheme, episodes, stops))


def trust(scheme: ControlScheme, episodes: Sequence[Episode], stops: Mapping[str, float]) -> Figures:
    """The figures of `trust_measures` with their intervals."""
    return with_intervals(trust_measures(scheme, episodes, stops))


def with_intervals(measures: Measures) -> Figures:
    """The defined figures by control and name, with their intervals over episodes."""
    return {
        control: {name: interval for measured in each for name, interval in measured.intervals().items()}
        for control, each in measures.items()
    }


def agreement_measures(scheme: ControlScheme, episodes: Sequence[Episode], stops: Mapping[str, float]) -> Measures:
    """Agreement of each control that changes.

    Args:
        scheme: heads and controls.
        episodes: measured frames.
        stops: largest effective value by control.

    Returns:
        Of an axis `r2`, `pearson`, `scale`, and the same `_clipped` where it has a stop; of every control `f1` (pressed
        or not; of signed ones also where to) and `lag`; of those that are pressed `onset_f1_0` and `onset_f1_2`.
    """
    found: Measures = {}
    axes = {name for name, head in scheme.heads.items() if isinstance(head, Axis)}
    for name in changing(scheme, episodes):
        low, stop = scheme.limits[name][0], stops.get(name, np.inf)
        raw, clipped, pressed, held = (
            list(_pairs(episodes, name, change))
            for change in (_same, lambda x, s=stop: x.clip(-s, s), lambda x, n=low: _presses(x, n), _is_pressed)
        )
        measures = []
        if name in axes:
            measures.append(regression(raw))
            if name in stops:
                measured = regression(clipped)
                measures.append(replace(measured, names=tuple(f"{figure}_clipped" for figure in measured.names)))
        measures += [macro_f1(pressed, 2 + (low < 0)), lags(clipped)]
        if low >= 0:
            measures += [onsets(held, collar) for collar in COLLARS]
        found[name] = measures
    return found


def trust_measures(scheme: ControlScheme, episodes: Sequence[Episode], stops: Mapping[str, float]) -> Measures:
    """Measures of the confidence: `ece` by head and overall, and under `all` those of `risk_coverage`.

    `all` also has `rank_correlation` (1: the error falls as the confidence rises). The error of a frame is the mean
    over the controls of |label - truth|, clipped at the stops, as a share of the control's range; `squared_` is the
    mean of the squares. A frame is right if every head's likeliest class is.
    """
    changed = changing(scheme, episodes)
    heads = [name for name, head in scheme.heads.items() if {*head.controls} & {*changed}]
    found: Measures = {name: [calibration([[(e.confidence[name], e.right[name])] for e in episodes])] for name in heads}
    sure = [np.prod([*e.confidence.values()], 0) for e in episodes]
    right = [np.all([*e.right.values()], 0) for e in episodes]
    found["all"] = [calibration([[pair] for pair in zip(sure, right, strict=True)])]
    errors = [np.stack([_error(scheme, e, name, stops) for name in changed]) for e in episodes] if changed else []
    if errors:
        mean = [error.mean(0) for error in errors]
        squares = risk_coverage(sure, [np.square(error).mean(0) for error in errors], right)
        found["all"] += [risk_coverage(sure, mean, right), squared(squares), rank_correlation(sure, mean)]
    return found


def squared(measured: Measured) -> Measured:
    """Of a `risk_coverage` of squared errors those, under the names `squared_error_5`, ..."""
    names = tuple(f"squared_{name}" for name in measured.names if name.startswith("error"))
    return Measured(names, measured.sums, lambda sums: measured.figures(sums)[..., : len(names)])


def _same(values: np.ndarray) -> np.ndarray:
    return values


def _is_pressed(values: np.ndarray) -> np.ndarray:
    return values > PRESSED


def _presses(values: np.ndarray, low: float) -> np.ndarray:
    """Class int64 [N]: 0 released, 1 pressed; of a signed control 0 neither, 1 positive, 2 negative."""
    if low < 0:
        return (np.abs(values) > PRESSED) * (1 + (values < 0))
    return (values > PRESSED).astype(int)


def _pairs(
    episodes: Sequence[Episode], name: str, change: Callable[[np.ndarray], np.ndarray]
) -> Iterator[list[Stretch]]:
    """Labels and true values of a control, transformed equally, in stretches of consecutive frames of each episode."""
    for episode in episodes:
        labels, truth = change(episode.labels[name]), change(episode.truth[name])
        yield [(labels[part], truth[part]) for part in stretches(episode.frames)]


def _error(scheme: ControlScheme, episode: Episode, name: str, stops: Mapping[str, float]) -> np.ndarray:
    """|label - truth| float64 [N] of a control, clipped at its stop, as a share of its range."""
    low, high = effective_limits(scheme.limits, stops)[name]
    return np.abs(episode.labels[name].clip(low, high) - episode.truth[name].clip(low, high)) / (high - low)
