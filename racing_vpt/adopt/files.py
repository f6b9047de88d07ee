"""Which files of a folder belong together: videos and the tables of controls recorded with them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from racing_vpt.exchange.table_rows import SUFFIXES
from racing_vpt.files import TEMPORARY
from racing_vpt.video.decoders import VIDEO_SUFFIXES


@dataclass(frozen=True)
class Found:
    """Files of a folder.

    Args:
        pairs: video and table of each recording.
        unused: every other file, and why nothing is made of it.
    """

    pairs: tuple[tuple[Path, Path], ...]
    unused: dict[Path, str]


def find_pairs(folder: Path) -> Found:
    """Videos and tables of a folder and below: of one name, of a name that begins alike, or alone in one folder.

    Raises:
        FileNotFoundError: there is no video, or none has a table.
        ValueError: several tables may belong to a video.
    """
    files = sorted(file for file in folder.rglob("*") if file.is_file() and TEMPORARY not in str(file))
    videos = [file for file in files if file.suffix.lower() in VIDEO_SUFFIXES]
    tables = [file for file in files if file.suffix.lower() in SUFFIXES]
    if not videos:
        raise FileNotFoundError(
            f"{folder} holds no video; expected NAME.mp4 with NAME.csv, .jsonl or .parquet beside it"
        )
    pairs, unused = [], {}
    for video in videos:
        near = [table for table in tables if table.parent == video.parent]
        alone = sum(other.parent == video.parent for other in videos) == 1
        same = [table for table in near if table.stem == video.stem]
        begin = [table for table in near if table.stem.startswith(video.stem) and not _of_another(table, video, videos)]
        fitting = same or begin or (near if alone else [])
        if len(fitting) > 1:
            listed = ", ".join(table.name for table in fitting)
            raise ValueError(f"{video} may belong to several tables: {listed}; leave the one that holds its controls")
        if fitting:
            pairs.append((video, fitting[0]))
        else:
            unused[video] = "a video without a table: label it with racing-vpt predict"
    taken = {table for _, table in pairs}
    for file in files:
        if file in tables and file not in taken:
            unused[file] = "a table without a video"
        elif file not in tables and file not in videos:
            unused[file] = "neither a video nor a table"
    if not pairs:
        raise FileNotFoundError(f"no video in {folder} has a table of controls ({', '.join(SUFFIXES)}) beside it")
    return Found(tuple(pairs), unused)


def _of_another(table: Path, video: Path, videos: list[Path]) -> bool:
    """Whether the name of another video fits a table better."""
    return any(
        other.parent == video.parent and len(other.stem) > len(video.stem) and table.stem.startswith(other.stem)
        for other in videos
    )
