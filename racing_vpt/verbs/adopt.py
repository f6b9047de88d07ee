"""`racing-vpt adopt`: the game file and the import that fit somebody's recordings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from racing_vpt.adopt.columns import Control, Proposal
    from racing_vpt.exchange.table_rows import Table

SAMPLES = 400  # frames that are looked at for displays of the controls


def adopt(
    folder: Path,
    *,
    out: Path,
    name: str = "mine",
    controls: dict[str, str] | None = None,
    ranges: dict[str, list[float]] | None = None,
    ignore: list[str] | None = None,
    late: int = 0,
    height: int = 96,
) -> None:
    """Look at recordings of others (videos with csv, jsonl or parquet of controls in any columns), and write a game
    file for them and tables that `racing-vpt import` takes: one row per frame, by time stamps where there are any.

    Told are every file that is not used, the columns that are controls and their ranges, places of the picture that
    show the controls (they are hidden from models), and how fast the picture follows the steering. What cannot be told
    for certain is asked: the error names the options that answer.

    Args:
        folder: the recordings.
        out: folder for NAME.yaml and the tables, another one.
        name: name of the game.
        controls: column of each control, such as `{steering: wheel_x}`. Default: columns with usual names.
        ranges: the column's numbers at the lowest and highest value, by control: `{steering: [-450, 450]}`; the other
            way round where positive turns left.
        ignore: columns that are no controls, such as a speed.
        late: frames by which the controls lag their picture; they are moved earlier.
        height: rows of the frames that models see.

    Raises:
        ValueError: something has to be answered first; one line names what, and the options.
    """
    import numpy as np

    from racing_vpt.adopt.columns import propose
    from racing_vpt.adopt.files import find_pairs
    from racing_vpt.exchange.table_rows import read_table
    from racing_vpt.outputs import check_no_inputs, sole_writer
    from racing_vpt.video.trust import examined_once

    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder} of recordings")
    found = find_pairs(folder)
    check_no_inputs(out, (file for pair in found.pairs for file in pair), "recordings")
    tables = {table: read_table(table) for _, table in found.pairs}
    shared = set.intersection(*(set(table) for table in tables.values()))
    joined = {
        key: np.concatenate([table[key] for table in tables.values()])
        for key in tables[found.pairs[0][1]]
        if key in shared
    }
    counted = {video: examined_once(video) for video, _ in found.pairs}
    seconds = sum(frames / rate for frames, rate in counted.values())
    told = propose(joined, controls, ranges or {}, ignore or [], seconds)
    for file, why in found.unused.items():
        print(f"not used: {file.relative_to(folder)} ({why})")
    if told.unused:
        print(f"columns not used: {', '.join(told.unused)}")
    if told.questions:
        raise ValueError("please answer: " + "; ".join(told.questions))
    names = [video.stem for video, _ in found.pairs]
    if len(set(names)) < len(names):
        raise ValueError(f"two videos share a name: {sorted(names)}; rename one of them")
    aligned = {video: _aligned(video, table, tables[table], told, late) for video, table in found.pairs}
    with sole_writer(out):
        game = _game(aligned, told.controls, height, min(rate for _, rate in counted.values()))
        _publish(out, name, game, aligned)
    for control in told.controls:
        print(f"{control.name}: column {control.column}, {control.low:g} to {control.high:g}, a {control.kind}")
    print(f"next: racing-vpt import {out / 'tables'} --format table --game {out / name}.yaml --out data/{name}")


def _aligned(video: Path, path: Path, table: Table, told: Proposal, late: int) -> dict[str, np.ndarray]:
    """Values of the controls by name, float64 [T], one per frame of a video."""
    from contextlib import closing

    import numpy as np

    from racing_vpt.exchange.check import check_times
    from racing_vpt.video.decode import open_video

    with closing(open_video(video)) as opened:
        times = np.asarray(opened.timestamps)
    rows = len(next(iter(table.values())))
    if told.time is not None:
        column, unit = told.time
        given = (table[column] - table[column][0]) * unit
        check_times(given, str(path))
        lasts, shown = given[-1], times[-1]
        if abs(lasts - shown) > max(1.0, 0.05 * shown):
            raise ValueError(
                f"{path} lasts {lasts:.1f} s by its column {column}, {video} {shown:.1f} s; cut one of them"
            )
        at = np.clip(np.searchsorted(given, times + 1e-6, "right") - 1, 0, rows - 1)
        print(f"{video.name}: {rows} rows at {rows / max(lasts, 1e-9):.1f}/s for {len(times)} frames, by {column}")
    elif rows == len(times):
        at = np.arange(rows)
    else:
        raise ValueError(
            f"{path} has {rows} rows and no time stamps, {video} has {len(times)} frames; which belong together?"
        )
    at = at[np.clip(np.arange(len(times)) + late, 0, len(times) - 1)]
    values = {}
    for control in told.controls:
        numbers = table[control.column]
        if not np.isfinite(numbers).all():
            raise ValueError(f"{path}: column {control.column} has a row without a finite number")
        values[control.name] = control.values(numbers[at])
    return values


def _game(aligned: dict[Path, dict[str, np.ndarray]], controls: tuple[Control, ...], height: int, rate: float) -> dict:
    """Content of the game file; prints what was seen in the picture."""
    from contextlib import closing

    import numpy as np

    from racing_vpt.adopt.picture import leaking_places, response
    from racing_vpt.video.decode import open_video

    pictures, drawn, size = [], [], (1, 1)
    each = max(2, SAMPLES // len(aligned))
    for number, (video, values) in enumerate(aligned.items()):
        with closing(open_video(video)) as opened:
            size = opened.height, opened.width
            chosen = np.unique(np.linspace(0, opened.num_frames - 1, each).astype(int))
            pictures += [_small(frame) for frame in opened.read(chosen)]
            drawn.append({name: column[chosen] for name, column in values.items()})
            if number == 0 and "steering" in values:
                first = opened.read(np.arange(min(opened.num_frames, SAMPLES)))
                said = response(first, values["steering"][: len(first)])
                print(
                    "it cannot be told how fast the picture follows the steering"
                    if said is None
                    else f"the picture follows the steering by {said[0]} frames (correlation {said[1]:.2f}); below 0 "
                    "the controls are late: --late"
                )
    joined = {name: np.concatenate([part[name] for part in drawn]) for name in drawn[0]}
    hide = []
    for place, name, strength in leaking_places(np.stack(pictures), joined):
        hide.append([round(share, 4) for share in place])
        print(f"hidden: {hide[-1]} follows {name} (correlation {strength:.2f}); to read it, see read-overlay")
    heads: dict[str, object] = {}
    for control in controls:
        heads[control.name] = "button" if control.kind == "button" else {"axis": [*control.limits], "bins": 21}
    frames = {"height": height, "width": round(height * size[1] / size[0]), "frames_per_second": round(rate, 3)}
    return {"controls": heads, "frames": frames | ({"hide": hide} if hide else {})}


def _small(frame: np.ndarray) -> np.ndarray:
    import cv2

    return cv2.resize(frame, (256, 192), interpolation=cv2.INTER_AREA)


def _publish(out: Path, name: str, game: dict, aligned: dict[Path, dict[str, np.ndarray]]) -> None:
    """Write the game file, and of each recording its video and a table of one row per frame."""
    import shutil

    import yaml

    from racing_vpt.exchange.table_rows import write_table
    from racing_vpt.files import Draft

    for video, values in aligned.items():
        table, copy = Draft(out / "tables" / f"{video.stem}.csv"), Draft(out / "tables" / video.name)
        try:
            write_table(table.temporary, {f"action.{key}": column for key, column in values.items()}, "csv")
            shutil.copyfile(video, copy.temporary)
            copy.publish(replace=False)
            table.publish(replace=False)
        finally:
            table.discard()
            copy.discard()
    file = Draft(out / f"{name}.yaml")
    try:
        file.temporary.write_text(yaml.safe_dump(game, sort_keys=False))
        file.publish(replace=False)
    finally:
        file.discard()
