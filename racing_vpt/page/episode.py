"""An episode made ready for a page: its film, a small picture, its columns in few bytes, its moments."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from racing_vpt.data.agreement import agreement, wrongness
from racing_vpt.data.lines import RANGES
from racing_vpt.page.document import data_address
from racing_vpt.page.films import film_name, thumbnail, write_browser_film
from racing_vpt.page.moments import Moment, highest
from racing_vpt.page.sources import Content, Source

MOST_MOMENTS = 20  # of each kind, per episode
STILL = ("gear_change",)  # controls that are left out where they never change


@dataclass(frozen=True)
class Prepared:
    """An episode made ready for a page.

    Args:
        name: its name.
        film: file of its film.
        new: whether the film was made now.
        picture: `data:` address of a small picture.
        facts: JSON values for the page's script.
        unsure: its least confident moments; the value is 1 - confidence.
        wrong: its most wrong moments.
    """

    name: str
    film: Path
    new: bool
    picture: str
    facts: dict[str, object]
    unsure: list[Moment]
    wrong: list[Moment]


def prepare(source: Source, films: Path, tolerance: float) -> Prepared:
    """Read an episode and write its film, unless that is there.

    Args:
        source: the episode.
        films: folder for its film.
        tolerance: by which steering, throttle and brake may be off and still count as right.
    """
    content = source.read()
    film = films / film_name(source.name, source.origin)
    new = not film.is_file()
    if new:
        write_browser_film(content.footage, film, content.frames_per_second)
    rate, columns = content.frames_per_second, content.columns
    rows, shown, agreed, off = _rows(content, tolerance)
    confidence = columns.confidence
    facts: dict[str, object] = {
        "name": source.name,
        "frames": len(columns),
        "rate": rate,
        "sha256": source.video_sha256,
        "heading": _heading(source.about, bool(content.true)),
        "controls": [{"name": name, "low": low, "high": high} for name, (low, high) in shown.items()],
        "rows": list(rows),
        "packed": packed(rows),
        "confidence": None if confidence is None else round(float(confidence.mean()), 4),
        "right": None if agreed is None else round(float(agreed.mean()), 4),
        "reward": None if columns.reward is None else round(float(columns.reward.sum()), 2),
        "about": _told(source.about),
    }
    frames = content.footage.samples()
    return Prepared(
        name=source.name,
        film=film,
        new=new,
        picture=data_address(thumbnail(frames[len(frames) // 2]), "image/jpeg"),
        facts=facts,
        unsure=[] if confidence is None else highest(1 - confidence, rate, MOST_MOMENTS),
        wrong=[] if off is None else highest(off, rate, MOST_MOMENTS),
    )


def packed(rows: Mapping[str, np.ndarray]) -> str:
    """Rows [T] of numbers as base64 of gzip of float32, one row after the other."""
    table = np.stack([row.astype("<f4") for row in rows.values()])
    return base64.b64encode(gzip.compress(table.tobytes(), 6, mtime=0)).decode()


def _rows(
    content: Content, tolerance: float
) -> tuple[dict[str, np.ndarray], dict[str, tuple[float, float]], np.ndarray | None, np.ndarray | None]:
    """Rows for the script, ranges of the controls shown, whether all controls agree [T], how wrong frames are [T]."""
    columns, count = content.columns, len(content.columns)
    times = np.arange(count) / content.frames_per_second if content.times is None else content.times
    rows = {"time": times}
    shown = {}
    for name, said in columns.controls.items():
        true = content.true.get(name, said)
        if name in STILL and not said.any() and not true.any():
            continue
        rows[f"said {name}"] = said
        if name in content.true:
            rows[f"true {name}"] = true
        known = (float(min(said.min(), true.min(), 0)), float(max(said.max(), true.max(), 1)))
        shown[name] = RANGES.get(name, known)
    for name in ("reward", "confidence"):
        if getattr(columns, name) is not None:
            rows[name] = getattr(columns, name)
    flags = agreement(columns.controls, content.true, tolerance)
    if not flags:
        return rows, shown, None, None
    right = np.all(list(flags.values()), axis=0)
    rows |= {f"wrong {name}": ~flag for name, flag in flags.items() if name in shown}
    rows["wrong"] = ~right
    return rows, shown, right, wrongness(columns.controls, content.true, flags)


def _heading(about: Mapping[str, object], beside_truth: bool) -> str:
    origin = about.get("actions_from")
    labelled = beside_truth or (isinstance(origin, dict) and origin.get("kind") == "idm")
    return "labelled" if labelled else "recorded"


def _told(about: Mapping[str, object]) -> list[list[str]]:
    """Names and texts of what is known of an episode."""
    told = []
    for name, value in about.items():
        if isinstance(value, dict):
            value = " ".join(str(part)[:40] for part in value.values() if part is not None)
        value = {True: "yes", False: "no"}[value] if isinstance(value, bool) else value
        value = f"{value:.6g}" if isinstance(value, float) else value
        if value is not None and value != "":
            told.append([name.replace("_", " "), str(value)[:120]])
    return told
