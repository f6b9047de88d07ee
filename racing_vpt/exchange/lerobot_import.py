"""Import of a LeRobotDataset v3.0; each episode's frames are cut out of a video of many, where possible as they are."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from racing_vpt.data.origin import ORIGIN, carried
from racing_vpt.exchange.check import OFF_RATE, check_times
from racing_vpt.exchange.footage import VideoFootage
from racing_vpt.exchange.incoming import Episode
from racing_vpt.exchange.lerobot_files import ABOUT, EPISODES, INFO, NAME, VERSION
from racing_vpt.exchange.mapping import ACTION, map_columns, nearest
from racing_vpt.exchange.options import ColumnMapping
from racing_vpt.exchange.table_import import KEPT
from racing_vpt.exchange.table_rows import Table, pyarrow_of, read_table
from racing_vpt.files import plain_name, read_json, refuse_link_out
from racing_vpt.known_files import identity_of
from racing_vpt.video.trust import examined_once

TOLERANCE = 1e-4  # seconds, as lerobot's
CONVERT = "python -m lerobot.datasets.v30.convert_dataset_v21_to_v30 --repo-id OWNER/NAME"
OURS = {"next.reward": "reward"}  # our names of columns
LONGEST_CARD = 10_000  # characters of a card in which its front matter lies
INDICES = ("frame_index", "episode_index", "index", "task_index")


@dataclass(frozen=True)
class LeRobotEpisode:
    """An episode of a dataset, not yet read.

    Args:
        name: name of the new recording.
        index: number in the dataset.
        data: file of its rows.
        video: file of its frames.
        start: its first frame in the video.
        length: number of frames.
        rate: frames per second of the dataset.
        actions: names of the numbers of each feature that has several.
        about: what the dataset's writer knew of it.
    """

    name: str
    index: int
    data: Path
    video: Path
    start: int
    length: int
    rate: float
    actions: Mapping[str, list[str]]
    about: Mapping[str, object]

    @property
    def files(self) -> list[Path]:
        """The files that it is read from."""
        return [self.data, self.video]


def lerobot_episodes(folder: Path, camera: str | None) -> list[LeRobotEpisode]:
    """The episodes of a dataset.

    Args:
        folder: folder of the dataset.
        camera: key of the video; None: the only one.

    Raises:
        FileNotFoundError: there is no dataset, or one of its files is missing.
        ValueError: it is of another version, has no such video, or its files do not say where episodes lie.
    """
    if not (folder / INFO).is_file():
        raise FileNotFoundError(f"{folder} holds no LeRobot dataset: there is no {INFO}")
    info = read_json(folder / INFO)
    version, features = info.get("codebase_version"), info.get("features")
    if version != VERSION:
        raise ValueError(f"{folder / INFO} is of version {version}; {VERSION} is read; convert it with: {CONVERT}")
    rate = info.get("fps")
    if not isinstance(features, dict) or not isinstance(rate, int | float) or not 0 < rate < 1000:
        raise ValueError(f"{folder / INFO} should have features, and fps between 0 and 1000, but has fps {rate!r}")
    cameras = [key for key, feature in features.items() if feature.get("dtype") == "video"]
    key = _camera(cameras, camera, features, folder)
    found = []
    for file in sorted((folder / EPISODES).glob("chunk-*/file-*.parquet")):
        found += _rows(file, key)
    if not found:
        raise FileNotFoundError(f"{folder} lists no episodes: {EPISODES} has no chunk-NNN/file-NNN.parquet")
    names = {name: _names(feature) for name, feature in features.items()}
    stated = {name: info[name] for name in ORIGIN if isinstance(info.get(name), str)}
    stated = {**_card(folder), **stated}
    episodes = []
    for row in found:
        start, index = row[f"videos/{key}/from_timestamp"] * rate, row["episode_index"]
        if abs(start - round(start)) / rate > TOLERANCE:
            raise ValueError(
                f"{folder}: episode {index} begins {row[f'videos/{key}/from_timestamp']} s into its video, which is no "
                f"whole frame at {rate:g} frames/s; was its rate changed afterwards?"
            )
        given = row.get(NAME)
        name = str(given) if plain_name(given) and "." not in str(given) else f"episode_{index:06d}"
        data = _inside(folder, str(info.get("data_path")), row, "data", key)
        video = _inside(folder, str(info.get("video_path")), row, f"videos/{key}", key)
        about = json.loads(row.get(ABOUT) or "{}")
        about |= carried(about, stated)
        episodes.append(
            LeRobotEpisode(name, index, data, video, round(start), row["length"], float(rate), names, about)
        )
    return episodes


def read_lerobot_episode(source: LeRobotEpisode, mapping: ColumnMapping) -> Episode:
    """Read an episode.

    Raises:
        ValueError: its rows are not one per frame, its time stamps fall, or its video is shorter or of another rate.
    """
    where = f"{source.data}, episode {source.index}"
    table = _columns(source.data, source.index)
    if not table or len(table["episode_index"]) != source.length:
        count = len(table["episode_index"]) if table else 0
        raise ValueError(f"{where} has {count} rows, but meta/episodes says {source.length}; fetch the dataset again")
    frames, rate = examined_once(source.video)
    if abs(rate / source.rate - 1) > OFF_RATE:
        raise ValueError(f"{source.video} has {rate:.2f} frames/s, but meta/info.json says {source.rate:g}")
    if frames < source.start + source.length:
        raise ValueError(
            f"{source.video} has {frames} frames, but episode {source.index} needs frames {source.start} to "
            f"{source.start + source.length - 1}; fetch the dataset again"
        )
    named: Table = {}
    for column, values in table.items():
        feature, _, place = column.partition("[")
        names = source.actions.get(feature, [])
        at = int(place.removesuffix("]")) if place else 0
        inner = names[at] if at < len(names) else None
        prefix = ACTION if feature == "action" else f"{feature}."
        named[f"{prefix}{inner}" if inner else OURS.get(column, column)] = values
    rest = {name: values for name, values in named.items() if name not in INDICES}
    mapped = map_columns(rest, mapping, where)
    remarks = [f"columns that are not used: {', '.join(mapped.unused)}"] if mapped.unused else []
    if mapped.times is not None:
        check_times(mapped.times, where)
        apart = float(np.abs(mapped.times - np.arange(source.length) / source.rate).max())
        if apart > 0.5 / source.rate:
            remarks.append(f"its time stamps are replaced by an even rate; they differed by up to {apart:.3f} s")
    footage = VideoFootage(source.video, source.start, source.start + source.length)
    meta = {name: value for name, value in source.about.items() if name in KEPT}
    return Episode(footage, mapped.columns, source.rate, None, meta, tuple(remarks))


def _camera(cameras: list[str], wanted: str | None, features: Mapping[str, dict], folder: Path) -> str:
    if wanted is not None and wanted not in cameras:
        raise ValueError(f"{folder} has no video {wanted}{nearest(wanted, cameras)}")
    if wanted is None and len(cameras) > 1:
        raise ValueError(f"{folder} has several videos; choose one with: --camera {cameras[0]} ({', '.join(cameras)})")
    if not cameras:
        pictures = any(feature.get("dtype") == "image" for feature in features.values())
        kind = "its pictures lie in parquet files" if pictures else "it has no pictures"
        raise ValueError(f"{folder} has no video: {kind}; LeRobot datasets with videos are read")
    return wanted or cameras[0]


def _rows(file: Path, key: str) -> list[dict]:
    """Rows of meta/episodes, without statistics."""
    arrow, parquet = pyarrow_of("--format lerobot")
    needed = [f"{part}/{name}" for part in ("data", f"videos/{key}") for name in ("chunk_index", "file_index")]
    needed += ["episode_index", "length", f"videos/{key}/from_timestamp"]
    try:
        names = parquet.read_schema(file).names
        for name in needed:
            if name not in names:
                raise ValueError(f"{file} has no column {name!r}{nearest(name, names)}")
        return parquet.read_table(
            file, columns=[*needed, *(name for name in (NAME, ABOUT) if name in names)]
        ).to_pylist()
    except (arrow.ArrowException, OSError) as error:
        raise ValueError(f"{file} is not a parquet file that can be read: {str(error).splitlines()[0]}") from error


def _inside(folder: Path, pattern: str, row: Mapping[str, int], part: str, key: str) -> Path:
    """A file of the dataset; ValueError if its pattern leads out of the folder."""
    try:
        name = pattern.format(
            video_key=key, chunk_index=int(row[f"{part}/chunk_index"]), file_index=int(row[f"{part}/file_index"])
        )
    except (KeyError, ValueError, IndexError) as error:
        raise ValueError(f"{folder / INFO}: {pattern!r} is no pattern of files ({error})") from error
    path = folder / name
    if ".." in path.parts or not path.is_relative_to(folder):
        raise ValueError(f"{folder / INFO}: {pattern!r} leads out of the dataset")
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing, which meta/episodes names; fetch the whole dataset")
    refuse_link_out(path, folder)
    return path


def _card(folder: Path) -> dict[str, str]:
    """The licence that the dataset's card states in its front matter."""
    card = folder / "README.md"
    text = card.read_text(errors="replace")[:LONGEST_CARD] if card.is_file() else ""
    found = re.match(r"---\n(?:.*\n)*?license: *([\w.+-]+) *\n(?:.*\n)*?---\n", text)
    return {"license": found[1]} if found else {}


def _names(feature: Mapping[str, object]) -> list[str]:
    """Names of a feature's numbers; some datasets group them: {"motors": [...]}."""
    names = feature.get("names")
    if isinstance(names, dict):
        names = [name for group in names.values() for name in (group if isinstance(group, list) else [])]
    return [str(name) for name in names] if isinstance(names, list) else []


@lru_cache(maxsize=2)
def _file(path: Path, identity: str) -> Table:
    return read_table(path)


def _columns(path: Path, index: int) -> Table:
    """The rows of an episode; the file is kept for the next one."""
    table = _file(path, identity_of(path))
    if "episode_index" not in table:
        raise ValueError(f"{path} has no column 'episode_index'{nearest('episode_index', table)}")
    rows = table["episode_index"] == index
    return {name: column[rows] for name, column in table.items()}
