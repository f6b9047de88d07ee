"""Finds the files of a recording from a meta file, a video, a folder of frames or a name."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from racing_vpt.data.lines import read_lines
from racing_vpt.files import plain_name, read_json, require_regular
from racing_vpt.video.trust import examined_once

FORMAT = 1
SLOWEST = 0.01  # frames per second; at less, resampling shows a frame thousands of times


class Description(NamedTuple):
    """Fields of a `Recording`."""

    name: str
    video: Path
    num_frames: int
    frames_per_second: float
    lines: Path | None
    meta: dict


def describe(path: Path) -> Description:
    """The recording named by a meta file, a video, a folder of PNG frames or a path without suffix."""
    stem = path.name.removesuffix(".meta.json").removesuffix(path.suffix if path.is_file() else "")
    meta_file = path.with_name(f"{stem}.meta.json")
    kind = read_json(meta_file).get("kind") if meta_file.is_file() else None
    if meta_file.is_file() and (path == meta_file or kind == "recording"):
        return _of_meta(meta_file)
    if meta_file.is_file() and kind not in ("labels", "truth"):
        raise ValueError(
            f'{meta_file} has the kind {kind!r}; a recording\'s meta file says "kind": "recording" and more '
            f"(data/README.md); complete it, or remove it to read {path.name} as a video without controls"
        )
    beside = [path.with_name(f"{stem}.jsonl"), *sorted(path.glob("*.jsonl"))]
    labelled = meta_file.is_file()  # the lines beside the video are an IDM's labels, not a recording's
    lines = None if labelled else next((file for file in beside if file.is_file()), None)
    if path.is_dir():
        return _of_pictures(path, lines)
    if not path.exists():
        raise FileNotFoundError(f"there is no recording {path}; make some with: racing-vpt collect")
    require_regular(path)
    num_frames, frames_per_second = examined_once(path)
    return Description(path.stem, path, num_frames, frames_per_second, lines, {})


def _of_meta(meta_file: Path) -> Description:
    meta = read_json(meta_file)
    missing = [key for key in ("name", "video", "num_frames", "frames_per_second", "actions") if key not in meta]
    if missing:
        raise ValueError(f"{meta_file} lacks {missing}; a recording's meta file has them")
    if meta.get("format") != FORMAT:
        raise ValueError(f"{meta_file} is of format {meta.get('format')}; this version reads format {FORMAT}")
    _check_meta(meta, meta_file)
    video = meta_file.with_name(meta["video"])
    lines = meta_file.with_name(f"{meta['name']}.jsonl") if meta["actions"] else None
    for file in (video, lines):
        if file is not None and not file.exists():
            raise FileNotFoundError(f"{meta_file} names {file.name}, which is not beside it")
    if video.is_file() and meta["num_frames"] > video.stat().st_size:  # or memory is taken for as many
        raise ValueError(f"{meta_file} promises {meta['num_frames']} frames; {video.name} has not even so many bytes")
    return Description(meta["name"], video, meta["num_frames"], float(meta["frames_per_second"]), lines, meta)


def _check_meta(meta: dict, meta_file: Path) -> None:
    """Raise ValueError for an invalid field, or a name that leaves the folder."""
    for name in ("name", "video"):
        if not plain_name(meta[name]):
            raise ValueError(f"{meta_file}: {name} is {meta[name]!r}; it should be the name of a file beside it")
    frames, rate = meta["num_frames"], meta["frames_per_second"]
    if type(frames) is not int or not 0 < frames < 2**40:
        raise ValueError(f"{meta_file}: num_frames is {frames!r}; it should be the number of frames")
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not SLOWEST <= rate < 1000:  # nor NaN
        raise ValueError(
            f"{meta_file}: frames_per_second is {str(rate)[:40]}; it should lie between {SLOWEST} and 1000"
        )
    if not isinstance(meta.get("video_sha256"), str | None) or not isinstance(meta["actions"], bool):
        raise ValueError(f"{meta_file}: video_sha256 should be a text, and actions true or false")


def _of_pictures(folder: Path, lines: Path | None) -> Description:
    num_frames = len(list(folder.glob("*.png")))
    if not num_frames or lines is None:
        raise FileNotFoundError(f"{folder} holds {num_frames} PNG frames and {lines} lines; a recording needs both")
    records = read_lines(lines)
    duration = records[-1].timestamp - records[0].timestamp if len(records) > 1 else 0.0
    if duration <= 0:
        raise ValueError(
            f"{lines}: time stamps should increase, but they span {duration} s, so the frame rate is unknown"
        )
    return Description(folder.name, folder, num_frames, (len(records) - 1) / duration, lines, {})
