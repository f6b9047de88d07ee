"""`racing-vpt renditions`: encode recordings again as ordinary tools write video."""

from __future__ import annotations

from pathlib import Path

from racing_vpt.data.renditions import Rendition


def renditions(
    recordings: Path,
    *,
    out: Path = Path("data/renditions"),
    recipes: list[Rendition] | None = None,
    random: int | None = None,
    seed: int = 0,
    workers: int | None = None,
) -> None:
    """Encode recordings again in other codecs, qualities, sizes and frame rates, with the controls of each frame.

    An inverse dynamics model trained on our own lossless recordings fails on compressed video; one trained on
    renditions does not. Each rendition is a recording of its own: `racing-vpt renditions data/labelled --out
    data/renditions`. A run that was stopped is continued by the same command.

    Args:
        recordings: folder of recordings, or of any videos.
        out: folder for the renditions.
        recipes: encodings, as a list in a YAML file given with --config. Default: lossless, x264 at crf 18, 23 and 28,
            and crf 23 at 30 frames/s and at a variable rate, all at the recording's size and, if not said otherwise,
            rate.
        random: number of encodings drawn anew for each recording, in place of recipes: x264, x265 and VP9 at 96x96 and
            600x400, 24 to 60 frames/s and variable.
        seed: seed of what is drawn.
        workers: processes. Default: one per core.

    Raises:
        ValueError: two recipes share a name, or `out` holds other renditions.
    """
    import numpy as np

    from racing_vpt.data.pairing import pair_recordings
    from racing_vpt.data.rendered import RenditionTask, render_all
    from racing_vpt.data.renditions import ordinary_renditions, random_rendition
    from racing_vpt.free_cores import num_cores
    from racing_vpt.outputs import sole_writer

    names = None if recipes is None else [recipe.name for recipe in recipes]
    if random is not None and (recipes is not None or random < 1):
        raise ValueError(f"--random {random}: give a number from 1 on, and no recipes with it")
    if names is not None and (not names or len(set(names)) < len(names)):
        raise ValueError(f"recipes need names of their own, and there must be one at least; given: {names}")
    if out.resolve().is_relative_to(recordings.resolve()):
        raise ValueError(f"--out {out} lies in {recordings}, whose recordings are read; choose another folder")
    tasks = []
    for number, source in enumerate(pair_recordings(recordings)):
        chosen = recipes or list(ordinary_renditions(source.recording.frames_per_second))
        if random is not None:
            drawing = np.random.default_rng([seed, number])
            chosen = list({one.name: one for one in (random_rendition(drawing) for _ in range(random))}.values())
        tasks += [RenditionTask(source, recipe, out, seed + number) for recipe in chosen]
    with sole_writer(out):
        count, frames = render_all(tasks, workers or num_cores(), out.name)
    print(f"{out}: {count} renditions with {frames} frames written; {len(tasks) - count} were there before")
    print(f"next: racing-vpt fit --config idm_timed --data.train {out}")
