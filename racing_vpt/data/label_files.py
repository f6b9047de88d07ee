"""Label files: `NAME.jsonl`, one line per frame of a video, and `NAME.meta.json`, which names their checkpoint.

The meta file is written last: labels without it are unfinished.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from racing_vpt.data.lines import read_lines, write_lines
from racing_vpt.data.opening import FORMAT
from racing_vpt.files import published, read_json, write_json
from racing_vpt.types import FrameRecord


def write_labels(path: Path, records: Iterable[FrameRecord], meta: Mapping[str, object]) -> None:
    """Write labels NAME.jsonl, then NAME.meta.json; ValueError if they would replace the controls of a recording.

    Args:
        path: NAME.jsonl.
        records: one per frame of the source video, in order.
        meta: `checkpoint` (fingerprint), `checkpoint_name`, `video`, `video_sha256` and any further fields.
    """
    meta_file = path.with_name(f"{path.stem}.meta.json")
    if meta_file.is_file() and read_json(meta_file).get("kind") == "recording":
        raise ValueError(f"{meta_file} belongs to a recording; write labels into another folder than the videos'")
    with published(path) as temporary:
        num_frames = write_lines(temporary, records)
    write_json(meta_file, {"format": FORMAT, "name": path.stem, "kind": "labels", **meta, "num_frames": num_frames})


def read_labels(path: Path) -> tuple[list[FrameRecord], dict]:
    """Records and meta of a label file NAME.jsonl; FileNotFoundError if its meta file is missing (unfinished)."""
    meta_file = path.with_name(f"{path.stem}.meta.json")
    if not path.is_file() or not meta_file.is_file():
        raise FileNotFoundError(f"{path} and {meta_file.name} are only valid together; run racing-vpt predict again")
    records, meta = read_lines(path), read_json(meta_file)
    if len(records) != meta.get("num_frames"):
        raise ValueError(f"{path} has {len(records)} lines, but {meta_file.name} says {meta.get('num_frames')}")
    return records, meta
