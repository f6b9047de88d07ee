"""The report of `racing-vpt test` on an IDM: one JSON, one printed table, one picture (`tests/README.md`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from racing_vpt.callbacks.idm_pictures import pixels
from racing_vpt.files import published, write_json
from racing_vpt.models.agreement import NUM_BANDS, Interval
from racing_vpt.models.idm import IDM
from racing_vpt.models.idm_protocol import Episode, Figures, agreement, constant, episodes_of, last_frame, trust

LABELS, LAST_FRAME, MEAN = "labels", "last frame", "training mean"
KEPT = (100, 90, 75, 50)  # shares of the risk-coverage curve that the table shows, in percent


class IdmReport(Callback):
    """Reports how well an IDM's labels agree with the truth, after `test`; does nothing for other models.

    Writes `report.json` and `media/idm_report.png` to the run folder, and prints the table.
    """

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not isinstance(pl_module, IDM) or not trainer.is_global_zero:
            return
        probabilities, truth = pl_module.judged_last
        labels = pl_module.labels(probabilities)
        episodes = episodes_of(pl_module.scheme, probabilities, labels, truth, pl_module.judged_places)
        report = report_of(pl_module, episodes)
        folder = Path(trainer.default_root_dir)
        write_json(folder / "report.json", report)
        with published(folder / "media" / "idm_report.png") as temporary:
            temporary.write_bytes(cv2.imencode(".png", draw(report, episodes)[..., ::-1])[1].tobytes())
        print(table(report), f"written to {folder / 'report.json'} and media/idm_report.png", sep="\n")


def report_of(module: IDM, episodes: Sequence[Episode]) -> dict:
    """All figures as plain data: `figures` by control (or head, or `all`), name and judged (labels or a baseline)."""
    scheme, stops = module.scheme, module.stops
    means, origin = module.mean_controls, "training clips"
    if means is None:
        means = {name: float(np.concatenate([e.truth[name] for e in episodes]).mean()) for name in scheme.controls}
        origin = "the judged frames, because the checkpoint does not hold that of its training"
    judged: dict[str, list[Episode]] = {
        LABELS: [*episodes],
        LAST_FRAME: [last_frame(each) for each in episodes],
        MEAN: [constant(each, means) for each in episodes],
    }
    figures: dict[str, dict[str, dict[str, Interval]]] = {}
    found: list[tuple[str, Figures]] = [(who, agreement(scheme, each, stops)) for who, each in judged.items()]
    found.append((LABELS, trust(scheme, episodes, stops)))
    for who, each in found:
        for control, named in each.items():
            for name, interval in named.items():
                figures.setdefault(control, {}).setdefault(name, {})[who] = interval
    return {
        "checkpoint": getattr(module, "checkpoint_name", None),
        "fingerprint": module.fingerprint(),
        "episodes": len(episodes),
        "frames": sum(len(each.frames) for each in episodes),
        "interval": "value, low, high: 95% by the BCa bootstrap over episodes",
        "training_mean": {"of": origin, **means},
        "figures": figures,
    }


def table(report: Mapping) -> str:
    """The report as text, a row for each figure; of the risk-coverage curve the shares in `KEPT`."""
    rows = [("", LABELS, LAST_FRAME, MEAN)]
    shown = {f"{kind}_{kept}" for kind in ("error", "squared_error", "accuracy") for kept in KEPT}
    for control, figures in report["figures"].items():
        for name, judged in figures.items():
            if name.rpartition("_")[2].isdigit() and not name.startswith("onset") and name not in shown:
                continue
            cells = [_written(judged[who]) if who in judged else "" for who in (LABELS, LAST_FRAME, MEAN)]
            rows.append((f"{control} {name}", cells[0], cells[1], cells[2]))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    head = f"{report['frames']} frames of {report['episodes']} episodes; 95% intervals over episodes"
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([head, *lines])


def _written(interval: Interval) -> str:
    value, low, high = interval
    return f"{value:.3f} ({low:.3f} to {high:.3f})"


def draw(report: Mapping, episodes: Sequence[Episode]) -> np.ndarray:
    """Picture uint8 [H, W, 3]: figures beside the baselines', lags, reliability, and risk against coverage."""
    figure = Figure(figsize=(12, 8), dpi=90, layout="constrained")
    panels = figure.subplots(2, 2)
    _draw_bars(panels[0, 0], report["figures"])
    _draw_lag(panels[0, 1], report["figures"])
    _draw_reliability(panels[1, 0], episodes)
    _draw_risk(panels[1, 1], report["figures"]["all"])
    return pixels(figure)


def _draw_bars(axes: Axes, figures: Mapping) -> None:
    names = [
        (control, name) for control, each in figures.items() for name in each
        if name in ("r2", "r2_clipped", "f1", "onset_f1_2")
    ]  # fmt: skip
    for place, who in enumerate((LABELS, LAST_FRAME, MEAN)):
        rows = [(x, figures[control][name].get(who)) for x, (control, name) in enumerate(names)]
        known = [(x + 0.27 * (place - 1), *interval) for x, interval in rows if interval is not None]
        if known:
            x, value, low, high = np.array(known).T
            spread = np.maximum([value - low, high - value], 0)
            axes.bar(x, value, 0.25, yerr=spread, label=who, capsize=2)
    axes.set_xticks(range(len(names)), [f"{control}\n{name}" for control, name in names], fontsize=7)
    axes.set(ylim=(-0.2, 1.05), title="agreement, with 95% intervals over episodes")
    axes.legend(fontsize=7)


def _draw_lag(axes: Axes, figures: Mapping) -> None:
    rows = [(control, each["lag"][LABELS]) for control, each in figures.items() if LABELS in each.get("lag", {})]
    for y, (_, (value, low, high)) in enumerate(rows):
        axes.plot([low, high], [y, y], color="tab:blue", linewidth=3, alpha=0.5)
        axes.plot(value, y, "o", color="tab:blue")
    axes.set_yticks(range(len(rows)), [control for control, _ in rows])
    axes.axvline(0, color="grey", linewidth=0.8)
    axes.set(title="lag where labels agree best (frames; negative: early)", xlim=(-4.5, 4.5))


def _draw_reliability(axes: Axes, episodes: Sequence[Episode], bins: int = 10) -> None:
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    for head in episodes[0].confidence:
        sure, right = (np.concatenate([getattr(e, kind)[head] for e in episodes]) for kind in ("confidence", "right"))
        place = np.minimum((sure * bins).astype(int), bins - 1)
        count, total, hits = (np.bincount(place, weight, bins) for weight in (None, sure, right.astype(float)))
        some = count > 0.005 * len(sure)
        axes.plot(total[some] / count[some], hits[some] / count[some], marker="o", markersize=3, label=head)
    axes.set(xlabel="confidence", ylabel="share that is right", title="calibration of the likeliest class")
    axes.legend(fontsize=7)


def _draw_risk(axes: Axes, figures: Mapping) -> None:
    kept = [100 * (place + 1) // NUM_BANDS for place in range(NUM_BANDS)]
    for kind, colour in (("error", "tab:red"), ("accuracy", "tab:green")):
        known = [(share, *figures[f"{kind}_{share}"][LABELS]) for share in kept if f"{kind}_{share}" in figures]
        if known:
            share, value, low, high = np.array(known).T
            axes.plot(share, value, color=colour, label={"error": "error of the share kept"}.get(kind, kind))
            axes.fill_between(share, low, high, color=colour, alpha=0.2)
    axes.set(xlabel="share kept (%)", title="risk and coverage; accuracy counts the others as wrong")
    axes.legend(fontsize=7)
