"""Label files: `NAME.jsonl`, one line per frame of a video, and `NAME.meta.json`, which names their checkpoint.

Both are published together.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from racing_vpt.data.lines import read_lines, write_lines
from racing_vpt.data.opening import FORMAT
from racing_vpt.files import Draft, check_free, json_text, publish_together, read_json
from racing_vpt.types import FrameRecord


def write_labels(path: Path, records: Iterable[FrameRecord], meta: Mapping[str, object]) -> None:
    """Write labels: NAME.jsonl with NAME.meta.json.

    Args:
        path: NAME.jsonl.
        records: one per frame of the source video, in order.
        meta: `checkpoint` (fingerprint), `checkpoint_name`, `video`, `video_sha256` and any further fields.

    Raises:
        FileExistsError: they would replace something other than labels of the same kind.
    """
    lines = Draft(path)
    try:
        num_frames = write_lines(lines.temporary, records)
        publish_labels(lines, {"kind": "labels", **meta, "num_frames": num_frames})
    finally:
        lines.discard()


def publish_labels(lines: Draft, meta: Mapping[str, object]) -> None:
    """Publish the lines of labels together with their meta file, replacing earlier labels of the same kind.

    Args:
        lines: complete draft of NAME.jsonl.
        meta: as for `write_labels`, with `kind` and `num_frames`.

    Raises:
        FileExistsError: they would replace something else.
    """
    path = lines.path
    meta_draft = Draft(path.with_name(f"{path.stem}.meta.json"))
    try:
        meta_draft.temporary.write_text(json_text({"format": FORMAT, "name": path.stem, **meta}))
        publish_together([lines, meta_draft], replaced=earlier_labels(path, str(meta["kind"])))
    finally:
        meta_draft.discard()


def earlier_labels(path: Path, kind: str) -> list[Path]:
    """Files of earlier labels that new ones replace: NAME.jsonl and NAME.meta.json, or none.

    Args:
        path: NAME.jsonl.
        kind: `labels` or `truth`.

    Raises:
        FileExistsError: a file of these names is not listed by a meta file of that kind, such as a recording's
            controls.
    """
    meta_file = path.with_name(f"{path.stem}.meta.json")
    there = [file for file in (path, meta_file) if os.path.lexists(file)]
    if meta_file.is_file() and not any(file.is_symlink() for file in there):
        meta = read_json(meta_file)
        if meta.get("kind") == kind and meta.get("name", path.stem) == path.stem:
            return there
        if meta.get("kind") == "recording":
            raise FileExistsError(
                f"{meta_file} belongs to a recording; write labels into another folder than the videos'"
            )
    for file in there:
        check_free(file)
    return []


def not_replaceable(paths: Mapping[str, Path]) -> dict[str, str]:
    """Why labels cannot be written, by video: a file of their name that is no labels.

    Args:
        paths: NAME.jsonl by name of the video.
    """
    why = {}
    for name, path in paths.items():
        try:
            earlier_labels(path, "labels")
        except (ValueError, FileExistsError) as error:
            why[name] = str(error)
    return why


def read_labels(path: Path) -> tuple[list[FrameRecord], dict]:
    """Records and meta of a label file NAME.jsonl; FileNotFoundError if its meta file is missing (unfinished)."""
    meta_file = path.with_name(f"{path.stem}.meta.json")
    if not path.is_file() or not meta_file.is_file():
        raise FileNotFoundError(f"{path} and {meta_file.name} are only valid together; run racing-vpt predict again")
    records, meta = read_lines(path), read_json(meta_file)
    if len(records) != meta.get("num_frames"):
        raise ValueError(f"{path} has {len(records)} lines, but {meta_file.name} says {meta.get('num_frames')}")
    return records, meta
