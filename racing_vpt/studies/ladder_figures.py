"""Figures of a rung: the protocol's (`models/idm_protocol.py`) of each driver, and their means over drivers.

The interval of a mean over drivers comes from drawing each driver's episodes again; it does not say how much other
drivers would differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from racing_vpt.games.controls import Axis, ControlScheme
from racing_vpt.models.agreement import Interval, Measured
from racing_vpt.models.idm import IDM
from racing_vpt.models.idm_protocol import (
    Episode,
    Measures,
    agreement_measures,
    constant,
    last_frame,
    trust_measures,
)
from racing_vpt.statistics import interval_of_group_means
from racing_vpt.studies.ladder import Judged

LABELS, LAST_FRAME, MEAN = "labels", "last frame", "training mean"
Named = dict[str, dict[str, dict[str, Interval]]]
"""Figures by control (or head, or `all`), name, and who is judged: labels or a baseline."""


def rung_figures(module: IDM, drivers: Mapping[str, Judged]) -> dict[str, object]:
    """All of a rung as plain data: `mean` over drivers with intervals, and `drivers` without."""
    measures = {driver: _measures(module, found.episodes) for driver, found in drivers.items()}
    mean: Named = {}
    for who in (LABELS, LAST_FRAME, MEAN):
        for control, parts in _groups([each[who] for each in measures.values()]).items():
            for group in parts.values():
                ends = interval_of_group_means([measured.sums for measured in group], group[0].figures)
                for name, value, low, high in zip(group[0].names, *ends, strict=True):
                    if np.isfinite([value, low, high]).all():
                        mean.setdefault(control, {}).setdefault(name, {})[who] = float(value), float(low), float(high)
    each_driver = {
        driver: {
            "frames": drivers[driver].frames,
            "episodes": len(drivers[driver].episodes),
            "figures": {
                control: {name: value for measured in parts for name, value in measured.values().items()}
                for control, parts in measured_by[LABELS].items()
            },
        }
        for driver, measured_by in measures.items()
    }
    alike = [found.likeness for found in drivers.values() if found.likeness is not None]
    return {
        "likeness": float(np.mean(alike)) if alike else None,
        "confidence": float(np.mean([found.confidence for found in drivers.values()])),
        "expected_error": _errors(module, list(drivers.values())),
        "mean": mean,
        "drivers": each_driver,
    }


def default_columns(scheme: ControlScheme, stops: Mapping[str, float], figures: Mapping) -> list[str]:
    """Figures for a table: R2 of each axis, F1 of each other control, onset F1 of those that are pressed."""
    axes = {name for name, head in scheme.heads.items() if isinstance(head, Axis)}
    columns = []
    for control in (name for name in scheme.controls if name in figures):
        chosen = (f"r2{'_clipped' if control in stops else ''}",) if control in axes else ("f1",)
        columns += [f"{control} {name}" for name in (*chosen, "onset_f1_2") if name in figures[control]]
    return [*columns, "all ece"]


def _measures(module: IDM, episodes: Sequence[Episode]) -> dict[str, Measures]:
    """Measures of the labels and of the two baselines."""
    scheme, stops, means = module.scheme, module.stops, module.mean_controls
    labels = agreement_measures(scheme, episodes, stops)
    for control, parts in trust_measures(scheme, episodes, stops).items():
        labels[control] = [*labels.get(control, []), *parts]
    if means is None:  # of the judged frames, where the checkpoint lacks that of its training
        means = {name: float(np.concatenate([e.truth[name] for e in episodes]).mean()) for name in scheme.controls}
    return {
        LABELS: labels,
        LAST_FRAME: agreement_measures(scheme, [last_frame(each) for each in episodes], stops),
        MEAN: agreement_measures(scheme, [constant(each, means) for each in episodes], stops),
    }


def _groups(drivers: Sequence[Measures]) -> dict[str, dict[tuple[str, ...], list[Measured]]]:
    """The drivers' measures of the same figures, by control and the names of the figures."""
    found: dict[str, dict[tuple[str, ...], list[Measured]]] = {}
    for measures in drivers:
        for control, parts in measures.items():
            for measured in parts:
                found.setdefault(control, {}).setdefault(measured.names, []).append(measured)
    return found


def _errors(module: IDM, drivers: Sequence[Judged]) -> dict[str, dict[str, float]]:
    """Mean error by axis that the model expects and that its labels have, clipped at the stops; means over drivers."""
    found = {}
    for name in drivers[0].expected:
        stop = module.stops.get(name, np.inf)
        true = [np.mean([*_apart(each.episodes, name, stop)]) for each in drivers]
        expected = [each.expected[name] for each in drivers]
        found[name] = {"expected": float(np.mean(expected)), "true": float(np.mean(true))}
    return found


def _apart(episodes: Sequence[Episode], name: str, stop: float) -> Iterator[float]:
    for each in episodes:
        yield from np.abs(each.labels[name].clip(-stop, stop) - each.truth[name].clip(-stop, stop)).tolist()
