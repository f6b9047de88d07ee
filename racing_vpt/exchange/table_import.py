"""Import of a video or a folder of pictures with a table (csv, jsonl, parquet) of one row per frame."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from racing_vpt.data.columns import Columns
from racing_vpt.data.origin import ORIGIN
from racing_vpt.exchange.check import OFF_RATE, check_times, mean_rate
from racing_vpt.exchange.footage import Footage, PictureFootage, VideoFootage
from racing_vpt.exchange.incoming import Episode, recording_name
from racing_vpt.exchange.mapping import Mapped, map_columns
from racing_vpt.exchange.options import ColumnMapping
from racing_vpt.exchange.table_rows import SUFFIXES, read_table
from racing_vpt.files import TEMPORARY, read_json
from racing_vpt.video.decode import open_video
from racing_vpt.video.decoders import JPEG_SUFFIXES, VIDEO_SUFFIXES, PictureFolder
from racing_vpt.video.trust import examined_once

PICTURES = (".png", *JPEG_SUFFIXES)
KEPT = (
    "environment",
    "seed",
    "agent",
    "lap_finished",
    "score",
    "actions_from",
    "labels",
    *ORIGIN,
)  # of a meta file beside it


@dataclass(frozen=True)
class TableSource:
    """A table and what it belongs to.

    Args:
        table: the table.
        shown: the video or the folder of pictures; None: only the table's `image` column can say.
        name: name of the new recording.
    """

    table: Path
    shown: Path | None
    name: str

    @property
    def files(self) -> list[Path]:
        """The files that it is read from."""
        return [self.table, *([self.shown] if self.shown else [])]


@dataclass(frozen=True)
class TableReading:
    """How tables are read.

    Args:
        mapping: which column is which control.
        frames_per_second: rate of pictures without time stamps.
        timestamps: use the table's time stamps.
        slack: largest difference between the numbers of frames and rows; the longer one is cut.
    """

    mapping: ColumnMapping
    frames_per_second: float | None
    timestamps: bool
    slack: int


def table_sources(folder: Path) -> list[TableSource]:
    """The tables of a folder and below, in order of their names, with the video or pictures of the same name.

    Raises:
        FileNotFoundError: there are none.
        ValueError: two tables share a name.
    """
    tables = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in SUFFIXES and TEMPORARY not in str(path.relative_to(folder)) and path.is_file()
    ]
    if not tables:
        raise FileNotFoundError(
            f"{folder} holds no table ({', '.join(SUFFIXES)}); expected are NAME.mp4 or a folder NAME of pictures, and "
            "NAME.csv beside it"
        )
    found: dict[str, TableSource] = {}
    for table in tables:
        name = recording_name(table, folder)
        if name in found:
            raise ValueError(f"{found[name].table} and {table} would share the name {name}; move one of them away")
        beside = [table.with_suffix(suffix) for suffix in sorted(VIDEO_SUFFIXES)]
        beside += [
            table.with_suffix(""),
            *([table.parent] if sum(t.parent == table.parent for t in tables) == 1 else []),
        ]
        shown = next((path for path in beside if path.is_file() or _pictures_in(path)), None)
        found[name] = TableSource(table, shown, name)
    return list(found.values())


def read_table_episode(source: TableSource, how: TableReading) -> Episode:
    """The episode of a table.

    Raises:
        ValueError: the table is wrong, its time stamps fall, or it has not one row per frame.
        FileNotFoundError: there is no video and there are no pictures.
    """
    mapped = map_columns(read_table(source.table), how.mapping, str(source.table))
    if not how.timestamps:
        mapped = replace(mapped, times=None)
    if mapped.times is not None:
        check_times(mapped.times, str(source.table))
    meta_file = source.table.with_suffix("").with_suffix(".meta.json")
    about = read_json(meta_file) if meta_file.is_file() else {}
    remarks = [f"columns that are not used: {', '.join(mapped.unused)}"] if mapped.unused else []
    if source.shown is not None and source.shown.is_file():
        read = _of_video(source.shown, mapped, source.table)
    else:
        rate = how.frames_per_second or _number(about.get("frames_per_second"))
        read = _of_pictures(source, mapped, rate)
    columns, footage, cut = _of_one_length(mapped.columns, read.footage, how.slack, source)
    frames = footage.num_frames
    times = None if read.times is None else read.times[:frames]
    kept = {key: about[key] for key in KEPT if key in about}
    return replace(
        read, columns=columns, footage=footage, times=times, meta=kept, remarks=(*cut, *remarks, *read.remarks)
    )


def _of_video(path: Path, mapped: Mapped, table: Path) -> Episode:
    frames, _ = examined_once(path)
    with closing(open_video(path)) as video:
        times, rate = video.timestamps, video.frames_per_second
    frame_time = 1 / rate
    even = np.abs(times - np.arange(frames) * frame_time).max() < frame_time / 2
    remarks = []
    if mapped.times is not None and len(mapped.times) > 1:
        given = mean_rate(mapped.times)
        if abs(given / rate - 1) > OFF_RATE:
            raise ValueError(
                f"{table} has {given:.2f} rows/s by its time stamps, {path} has {rate:.2f} frames/s; one row per frame "
                "is expected; if the time stamps mean something else, leave them out with: --timestamps false"
            )
        both = min(frames, len(mapped.times))
        apart = float(np.abs(mapped.times[:both] - times[:both]).max())
        if apart > frame_time:
            remarks.append(f"time stamps of the video are kept; the table's differ by up to {apart:.3f} s")
    rate = round(rate, 6)
    return Episode(VideoFootage(path, 0, frames), mapped.columns, rate, None if even else times, {}, tuple(remarks))


def _of_pictures(source: TableSource, mapped: Mapped, given_rate: float | None) -> Episode:
    files = _named(mapped.images, source) if mapped.images else _pictures_in(source.shown)
    if not files:
        raise FileNotFoundError(
            f"{source.table}: there is no video {source.table.stem}.mp4 and no folder {source.table.stem} of pictures "
            "beside it"
        )
    rate = given_rate or (round(mean_rate(mapped.times), 6) if mapped.times is not None else 0.0)
    if not rate:
        raise ValueError(
            f"{source.table} has no time stamps; say how many pictures a second were taken: --frames_per_second 30"
        )
    times = mapped.times
    if times is not None and np.abs(times - np.arange(len(times)) / rate).max() < 0.5 / rate:
        times = None  # an even rate
    pngs = tuple(files) if all(file.suffix == ".png" for file in files) else ()
    return Episode(PictureFootage(PictureFolder(source.table.parent, rate, files), pngs), mapped.columns, rate, times)


def _of_one_length(
    columns: Columns, footage: Footage, slack: int, source: TableSource
) -> tuple[Columns, Footage, list[str]]:
    """Columns and frames of equal number, and what was cut."""
    rows, frames = len(columns), footage.num_frames
    if abs(rows - frames) > slack:
        raise ValueError(
            f"{source.table} has {rows} rows, but {source.shown or 'its pictures'} has {frames} frames; one row per "
            f"frame is expected; they may differ by --slack {slack}"
        )
    if rows == frames:
        return columns, footage, []
    both = min(rows, frames)
    if frames > both:
        if isinstance(footage, PictureFootage):
            raise ValueError(f"{source.table} has {rows} rows for {frames} pictures; remove those without a row")
        assert isinstance(footage, VideoFootage)
        footage = VideoFootage(footage.path, 0, both)
    return columns[:both], footage, [f"the last {abs(rows - frames)} {'rows' if rows > both else 'frames'} are cut off"]


def _pictures_in(folder: Path | None) -> list[Path]:
    """Pictures in a folder, in order of their names."""
    if folder is None or not folder.is_dir():
        return []
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in PICTURES)


def _named(images: Sequence[str], source: TableSource) -> list[Path]:
    """The pictures that a table names, which lie in its folder or in the folder of its name.

    Raises:
        FileNotFoundError: one of them does not exist.
    """
    base = source.table.parent
    folders = [base, *([source.shown] if source.shown else [])]
    files = []
    for row, image in enumerate(images):
        parts = Path(image.replace("\\", "/"))
        places = [base / parts] if not parts.is_absolute() and ".." not in parts.parts else []
        places += [folder / parts.name for folder in folders]
        file = next((place for place in places if place.is_file()), None)
        if file is None:
            raise FileNotFoundError(f"{source.table}, row {row}: there is no picture {image} in {base}")
        files.append(file)
    return files


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and 0 < value < 1000 else None
