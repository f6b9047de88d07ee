"""The ladder's report: a table in Markdown, every figure as CSV and JSON, and a picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure

from racing_vpt.callbacks.idm_pictures import pixels
from racing_vpt.files import published, write_json, write_text
from racing_vpt.studies.ladder_figures import LABELS

ROW_INCHES, COLUMN_INCHES = 0.28, 2.6


def write_report(folder: Path, report: Mapping) -> None:
    """Write `ladder.json`, `ladder.csv`, `ladder.md` and `ladder.png`.

    Args:
        folder: for the four files.
        report: `columns`, `rungs` (each as `ladder_figures.rung_figures`, with its `name`), and what they were made of.
    """
    write_json(folder / "ladder.json", report)
    write_text(folder / "ladder.csv", _csv(report["rungs"]))
    write_text(folder / "ladder.md", markdown(report))
    with published(folder / "ladder.png") as temporary:
        temporary.write_bytes(cv2.imencode(".png", draw(report)[..., ::-1])[1].tobytes())


def markdown(report: Mapping) -> str:
    """The table: a row for each rung, a column for each of the report's, means over drivers with their intervals."""
    columns = report["columns"]
    head = ["video", *columns, "likeness"]
    lines = [head, ["---"] * len(head)]
    for rung in report["rungs"]:
        alike = "" if rung["likeness"] is None else f"{rung['likeness']:.2f}"
        lines.append([rung["name"], *(_cell(rung, column) for column in columns), alike])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def row(rung: Mapping, columns: Sequence[str]) -> str:
    """A rung in one line, for the terminal."""
    return "  ".join(f"{column} {_cell(rung, column) or 'undefined'}" for column in columns)


def draw(report: Mapping) -> np.ndarray:
    """Picture uint8 [H, W, 3]: a panel for each column, a row for each rung; grey dots are drivers."""
    columns, rungs = report["columns"], report["rungs"]
    size = (COLUMN_INCHES * (len(columns) + 0.7), 1.1 + ROW_INCHES * len(rungs))
    figure = Figure(figsize=size, dpi=90, layout="constrained")
    panels = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    for axes, column in zip(panels, columns, strict=True):
        for y, rung in enumerate(rungs):
            each = [_of_driver(driver, column) for driver in rung["drivers"].values()]
            known = [value for value in each if value is not None]
            axes.plot(known, [y] * len(known), ".", color="grey", alpha=0.5)
            if (interval := _interval(rung, column)) is not None:
                value, low, high = interval
                axes.plot([low, high], [y, y], color="tab:blue", linewidth=3, alpha=0.5)
                axes.plot(value, y, "o", color="tab:blue", markersize=5)
        axes.set_title(column, fontsize=8)
        axes.grid(axis="x", alpha=0.4)
        axes.set_xlim(left=max(axes.get_xlim()[0], -0.5))
    panels[0].set_yticks(range(len(rungs)), [rung["name"] for rung in rungs], fontsize=8)
    panels[0].invert_yaxis()
    return pixels(figure)


def _interval(rung: Mapping, column: str) -> tuple[float, float, float] | None:
    control, _, name = column.partition(" ")
    return rung["mean"].get(control, {}).get(name, {}).get(LABELS)


def _of_driver(driver: Mapping, column: str) -> float | None:
    control, _, name = column.partition(" ")
    return driver["figures"].get(control, {}).get(name)


def _cell(rung: Mapping, column: str) -> str:
    interval = _interval(rung, column)
    return "" if interval is None else "{:.3f} ({:.2f} to {:.2f})".format(*interval)


def _csv(rungs: Sequence[Mapping]) -> str:
    """A line for each rung, driver (or their mean), figure and who is judged (labels or a baseline)."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(("rung", "driver", "control", "figure", "judged", "value", "low", "high"))
    for rung in rungs:
        for control, figures in rung["mean"].items():
            for name, judged in figures.items():
                for who, interval in judged.items():
                    lines.writerow((rung["name"], "mean", control, name, who, *(f"{x:.5g}" for x in interval)))
        for driver, found in rung["drivers"].items():
            for control, figures in found["figures"].items():
                for name, value in figures.items():
                    lines.writerow((rung["name"], driver, control, name, LABELS, f"{value:.5g}", "", ""))
    return text.getvalue()
