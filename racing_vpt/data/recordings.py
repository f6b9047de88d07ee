"""Every recording in a folder, which may be a stranger's."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Set
from pathlib import Path

from racing_vpt.data.recording import Recording
from racing_vpt.files import TEMPORARY, read_json, refuse_link_out
from racing_vpt.video.decoders import VIDEO_SUFFIXES

log = logging.getLogger(__name__)


def find_recordings(folder: Path, failed: dict[Path, Exception] | None = None) -> list[Recording]:
    """Every recording in a folder and below, in the order of their paths; videos without a meta file are unlabelled.

    Args:
        folder: searched; links in it that lead out of it are refused, as it may be a stranger's.
        failed: gains what cannot be opened, with the reason; None: the first such file is an error.
    """
    if not folder.exists():
        raise FileNotFoundError(f"there is no folder {folder}; make recordings with: racing-vpt collect")
    if folder.is_file():
        return [Recording.open(folder)]
    files = sorted(file for file in folder.rglob("*") if TEMPORARY not in str(file.relative_to(folder)))
    found: list[Recording] = []

    def open_each(paths: Iterable[Path], wanted: Callable[[Path], bool]) -> None:
        for path in paths:
            try:
                refuse_link_out(path, folder)
                if wanted(path):
                    recording = Recording.open(path)
                    for part in filter(None, (recording.video, recording.lines)):
                        refuse_link_out(part, folder)
                    found.append(recording)
            except Exception as error:  # whatever is wrong with one file is no reason to pass over the others
                if failed is None:
                    raise
                failed[path] = error

    metas = [file for file in files if file.name.endswith(".meta.json")]
    open_each(metas, lambda meta: read_json(meta).get("kind") == "recording")
    shown = [file for file in files if file.suffix.lower() in VIDEO_SUFFIXES | {".png"}]
    videos = {file.with_suffix("") for file in shown}
    for file in files:
        if file.suffix.lower() == ".csv" and file.with_suffix("") in videos:
            log.warning("%s is ignored: controls are read from NAME.jsonl (data/README.md has the format)", file)
    rest = {file.parent if file.suffix == ".png" else file for file in shown} - {one.video for one in found}
    broken = {str(file).removesuffix(".meta.json") for file in failed or {}}
    rest = {path for path in rest if str(path.with_suffix("")) not in broken}
    owned = {one.lines for one in found}
    open_each(sorted(rest), lambda path: _has_lines(path, owned) == path.is_dir())  # the others are unfinished
    return sorted(found, key=lambda recording: str(recording.video))


def _has_lines(video: Path, owned: Set[Path | None]) -> bool:
    """Whether lines go with it that no meta file owns: a video is unfinished then, a folder of PNGs is not."""
    beside = video.with_suffix(".jsonl").is_file() and not video.with_suffix(".meta.json").is_file()
    return beside or (video.is_dir() and any(lines not in owned for lines in video.glob("*.jsonl")))
