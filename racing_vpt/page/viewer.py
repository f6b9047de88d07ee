"""The page of `racing-vpt view FOLDER --html`: films with their controls, labels beside truth, and marks."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Literal

from tqdm import tqdm

from racing_vpt import __version__
from racing_vpt.outputs import sole_writer_of
from racing_vpt.page.document import CHARTS, check_own_page, write_page
from racing_vpt.page.episode import Prepared, prepare
from racing_vpt.page.moments import Moment
from racing_vpt.page.sources import Source
from racing_vpt.processes import Pool

Films = Literal["auto", "inside", "beside"]
INSIDE = 24 * 2**20  # bytes of films up to which they are put into the page
MOST_MOMENTS = 30  # of each kind, in the whole page
SCRIPTS = ("columns.js", "charts.js", "film.js", "marks.js", "viewer.js")


def write_viewer(
    sources: Sequence[Source], title: str, out: Path, *, films: Films = "auto", tolerance: float = 0.1, workers: int = 1
) -> tuple[Path, Path | None]:
    """Write the page; a run that was stopped finds the films that it made.

    Args:
        sources: the episodes.
        title: heading of the page.
        out: the HTML file. Films that are not inside lie beside it, in the folder OUT-films.
        films: where films are: inside the page, beside it, or auto: inside up to 24 MiB.
        tolerance: by which steering, throttle and brake may be off and still count as right.
        workers: processes that read and encode.

    Returns:
        The page, and the folder of films beside it or None.

    Raises:
        FileExistsError: `out` is a file that is no page of ours.
    """
    check_own_page(out)
    folder = out.with_name(f"{out.stem}-films")
    with sole_writer_of(out):
        work = partial(prepare, films=folder, tolerance=tolerance)
        with Pool(work, workers) as pool:
            bar = tqdm(pool.in_order(sources), total=len(sources), unit="episode", desc=out.name)
            episodes = list(bar)
        size = sum(episode.film.stat().st_size for episode in episodes)
        inside = films == "inside" or (films == "auto" and size <= INSIDE)
        write_page(
            out,
            "viewer.html",
            {"title": title, "version": __version__, "episodes": episodes, "films": _films(episodes) if inside else []},
            styles=(CHARTS[0], "page.css", "viewer.css"),
            scripts=(CHARTS[1], *SCRIPTS),
            data=_data(title, episodes, None if inside else folder.name),
        )
        if inside:
            for episode in episodes:
                episode.film.unlink(missing_ok=True)
            with suppress(OSError):  # it holds something else
                folder.rmdir()
    return out, None if inside else folder


def _data(title: str, episodes: Sequence[Prepared], folder: str | None) -> dict[str, object]:
    """JSON values for the page's scripts."""
    listed = [
        {**episode.facts, "film": None if folder is None else f"{folder}/{episode.film.name}"} for episode in episodes
    ]
    moments = {
        "unsure": _first([episode.unsure for episode in episodes]),
        "wrong": _first([episode.wrong for episode in episodes]),
    }
    return {"title": title, "version": __version__, "episodes": listed, "moments": moments}


def _first(moments: Sequence[Sequence[Moment]]) -> list[list[float]]:
    """Episode, frame and value of the highest moments of all episodes."""
    every = [(number, moment) for number, each in enumerate(moments) for moment in each]
    every.sort(key=lambda pair: -pair[1].value)
    return [[number, moment.frame, round(moment.value, 4)] for number, moment in every[:MOST_MOMENTS]]


def _films(episodes: Sequence[Prepared]) -> list[str]:
    return [base64.b64encode(episode.film.read_bytes()).decode() for episode in episodes]
