"""Overview picture of recordings, labels or shards: distributions of the controls, and frames of a few episodes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from einops import rearrange

from racing_vpt.data.columns import Columns
from racing_vpt.data.lines import RANGES
from racing_vpt.data.overview import Overview
from racing_vpt.play.controls_box import used
from racing_vpt.play.picture_file import write_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 4  # histograms per row
ROW, STRIP = 2.5, 2.1  # inches
UNITS = {"steering": "left -1, right +1", "throttle": "0 to 1", "brake": "0 to 1", "confidence": "0 to 1"}
BAR, STRIP_CONTROLS = "#3b6ea5", 3  # colour; maximum number of controls named below a frame


def write_overview(overview: Overview, table: dict[str, np.ndarray], out: Path) -> None:
    """Save `overview_figure` as a PNG, or in another format that matplotlib knows by its suffix."""
    write_picture(overview_figure(overview, table), out)


def overview_figure(overview: Overview, table: dict[str, np.ndarray]) -> Figure:
    """Histograms and film strips.

    Args:
        overview: summary of the data.
        table: values over all frames by name: controls, `reward`, `confidence`.
    """
    from matplotlib.figure import Figure

    known = set(used(table))
    buttons = {name: values for name, values in table.items() if _is_button(name, values)}
    plotted = [name for name in table if name in known and name not in buttons]
    count = len(plotted) + bool(buttons) + 1
    rows, strips = -(-count // COLUMNS), overview.strips
    figure = Figure((14, ROW * rows + STRIP * len(strips) + 0.3), dpi=80, layout="constrained")
    heights = [ROW] * rows + [STRIP] * len(strips)
    grid = figure.add_gridspec(len(heights), COLUMNS, height_ratios=heights)
    cells = [grid[row, column] for row in range(rows) for column in range(COLUMNS)]
    for name, cell in zip(plotted, cells, strict=False):
        draw_histogram(figure.add_subplot(cell), name, table[name])
    if buttons:
        draw_buttons(figure.add_subplot(cells[len(plotted)]), buttons)
    lengths = np.array([len(part) for part in overview.columns])
    axes = figure.add_subplot(cells[count - 1])
    axes.hist(lengths, bins=min(41, max(5, len(lengths))), color=BAR)
    axes.set_title("length of an episode", fontsize=10)
    axes.set_xlabel("frames", fontsize=8)
    axes.set_ylabel("episodes", fontsize=8)
    axes.tick_params(labelsize=8)
    for row, (caption, frames, columns) in enumerate(strips):
        draw_strip(figure.add_subplot(grid[rows + row, :]), caption, frames, columns)
    return figure


def draw_histogram(axes: Axes, name: str, values: np.ndarray) -> None:
    """Histogram of a column; of one that is mostly zero, with a logarithmic axis and a label that says so."""
    logarithmic = name in RANGES or name == "reward"
    axes.hist(values, bins=41, color=BAR)
    axes.set_title(name.replace("_", " "), fontsize=10)
    axes.set_xlabel(UNITS.get(name, ""), fontsize=8)
    axes.set_ylabel("frames (log scale)" if logarithmic else "frames", fontsize=8)
    if logarithmic:
        axes.set_yscale("log")
        axes.set_ylim(bottom=0.7)
        axes.minorticks_off()
    axes.locator_params(axis="x", nbins=4)  # labels of a narrow range are long
    axes.tick_params(labelsize=8)


def draw_buttons(axes: Axes, buttons: dict[str, np.ndarray]) -> None:
    """Share of the frames in which each button was held."""
    names = sorted(buttons, key=lambda name: float(buttons[name].mean()))
    axes.barh(names, [100 * float(buttons[name].mean()) for name in names], color=BAR)
    axes.set_title("buttons", fontsize=10)
    axes.set_xlabel("held in % of the frames", fontsize=8)
    axes.tick_params(labelsize=8 if len(names) < 10 else 5)


def draw_strip(axes: Axes, caption: str, frames: np.ndarray, columns: Columns) -> None:
    """Frames uint8 [T, H, W, 3] of an episode side by side, with their controls below."""
    axes.imshow(rearrange(frames, "t h w c -> h (t w) c"), aspect="equal", interpolation="nearest")
    names = used(columns.controls)[:STRIP_CONTROLS]
    texts = [
        "\n".join(f"{name.replace('_', ' ')} {columns.controls[name][index]:.2f}" for name in names)
        for index in range(len(frames))
    ]
    axes.set_xticks((np.arange(len(frames)) + 0.5) * frames.shape[2], texts, fontsize=7)
    axes.tick_params(length=0)
    axes.set_yticks([])
    axes.set_title(caption, fontsize=9, loc="left")


def _is_button(name: str, values: np.ndarray) -> bool:
    return name not in (*RANGES, "reward", "confidence") and bool(np.isin(values, (0, 1)).all())
