"""`racing-vpt ladder`: how an IDM's labels hold when the same recordings are encoded in other ways."""

from __future__ import annotations

from pathlib import Path

from racing_vpt.data.renditions import Rendition


def ladder(
    recordings: Path,
    *,
    out: Path = Path("data/ladder"),
    rungs: list[Rendition] | None = None,
    columns: list[str] | None = None,
    ckpt_path: str = "zoo:idm-carracing-video",
    episodes: int | None = None,
    seed: int = 0,
    workers: int | None = None,
) -> None:
    """Judge an inverse dynamics model on the same recordings in a ladder of encodings.

    Each rung is a codec, quality, size, rate or change of the picture: the recordings are encoded so, labelled, and
    judged by the protocol of `test`, one driver at a time; a figure is the mean over drivers, with a 95% interval over
    their episodes. Judge by drivers whom training never saw. `racing-vpt ladder data/judges --config ladder`. A run
    that was stopped is continued by the same command; for another model the encodings are used again.

    Args:
        recordings: folder of recordings with controls, or of such folders, one for each driver.
        out: folder for the encoded recordings, and for CHECKPOINT/ladder.md, .csv, .json and .png.
        rungs: encodings, as a list in a YAML file given with --config. Default: lossless, x264 at crf 18, 23 and 28,
            and crf 23 at 30 frames/s and at a variable rate.
        columns: figures in table and picture, each `CONTROL FIGURE`, such as `steering r2_clipped`; CSV and JSON hold
            all. Default: R2 or F1 of each control, F1 of its onsets, and the calibration error.
        ckpt_path: checkpoint of the inverse dynamics model: run folder, file or zoo:NAME.
        episodes: recordings of each driver, the first by name. Default: all.
        seed: seed of what is drawn: intervals of a variable rate, colours.
        workers: processes that encode. Default: one per core.

    Raises:
        ValueError: rungs share a name, a recording has no controls or those of another game, or the checkpoint holds
            no inverse dynamics model.
    """
    from racing_vpt.data.rendered import render_all
    from racing_vpt.data.renditions import ordinary_renditions
    from racing_vpt.free_cores import num_cores
    from racing_vpt.outputs import check_own_report, sole_writer
    from racing_vpt.studies.labelling import load_idm
    from racing_vpt.studies.ladder import drivers_in, judged, tasks_of
    from racing_vpt.studies.ladder_figures import default_columns, rung_figures
    from racing_vpt.studies.ladder_report import markdown, row, write_report

    if episodes is not None and episodes < 1:
        raise ValueError(f"--episodes {episodes}: expected at least 1, or nothing for all")
    if out.resolve().is_relative_to(recordings.resolve()):
        raise ValueError(f"--out {out} lies in {recordings}, whose recordings are read; choose another folder")
    drivers = drivers_in(recordings, episodes)
    first = next(iter(drivers.values()))[0].recording
    rungs = rungs or list(ordinary_renditions(first.frames_per_second))
    if len({rung.name for rung in rungs}) < len(rungs):
        raise ValueError(f"rungs need names of their own, but they are {[rung.name for rung in rungs]}")
    module = load_idm(ckpt_path)
    folder = out / f"{Path(ckpt_path.removeprefix('zoo:')).stem}-{module.fingerprint()[:8]}"
    check_own_report(folder / "ladder.json")
    found: list[dict] = []
    with sole_writer(out), sole_writer(folder):
        for rung in rungs:
            tasks = tasks_of(drivers, rung, out / "renditions", seed)
            render_all([task for each in tasks.values() for task in each], workers or num_cores(), rung.name)
            labelled = {}
            for driver, each in tasks.items():
                made = {task.name: task.result() for task in each}
                labelled[driver] = judged(module, made, folder / "labels" / f"{rung.name}-{driver}.json")
            found.append({"name": rung.name, "rendition": rung.settings, **rung_figures(module, labelled)})
            columns = columns or default_columns(module.scheme, module.stops, found[0]["mean"])
            print(f"{rung.name:24} {row(found[-1], columns)}", flush=True)
        report = {
            "checkpoint": ckpt_path,
            "fingerprint": module.fingerprint(),
            "drivers": {driver: [pair.name for pair in pairs] for driver, pairs in drivers.items()},
            "interval": "mean over drivers, low, high: 95% by the BCa bootstrap over the episodes of each driver",
            "columns": columns,
            "rungs": found,
        }
        write_report(folder, report)
    print(markdown(report), f"written to {folder}: ladder.md, ladder.csv, ladder.json, ladder.png", sep="\n")
