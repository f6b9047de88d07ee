"""Import of OpenAI's contractor recordings: each NAME.mp4 with its NAME.jsonl."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from racing_vpt.data.recording import RecordingWriter
from racing_vpt.exchange.contractor import FRAMES_PER_SECOND, ContractorFrame, Quirks, draw_pointer, read_contractor
from racing_vpt.files import TEMPORARY
from racing_vpt.frames import resize
from racing_vpt.games.read import load_game
from racing_vpt.types import FrameRecord, Resize
from racing_vpt.video.decode import open_video
from racing_vpt.video.trust import examined_once

log = logging.getLogger(__name__)
CHUNK = 64  # frames decoded at once


@dataclass(frozen=True)
class Import:
    """Options of the import."""

    quirks: Quirks
    drop_null: bool
    draws_pointer: bool
    size: tuple[int, int] | None
    resize: Resize
    slack: int
    crf: int


def pairs_of(folder: Path) -> dict[str, tuple[Path, Path]]:
    """Videos and their lines by name, in order; a video without lines is skipped with a warning.

    Raises:
        FileNotFoundError: the folder holds no pair.
    """
    found: dict[str, tuple[Path, Path]] = {}
    for video in sorted(folder.rglob("*.mp4")):
        lines = video.with_suffix(".jsonl")
        if video.name.startswith(TEMPORARY):
            continue
        if not lines.is_file():
            log.warning("%s is skipped: there is no %s beside it", video, lines.name)
            continue
        name = str(video.relative_to(folder).with_suffix("")).replace(".", "_").replace("/", "_")
        if name in found:
            raise ValueError(f"{found[name][0]} and {video} would share the name {name}; rename one")
        found[name] = video, lines
    if not found:
        raise FileNotFoundError(f"{folder} holds no NAME.mp4 with NAME.jsonl beside it, as contractors' recordings are")
    return found


@dataclass(frozen=True)
class ContractorEpisode:
    """A recording to import (`incoming.Incoming`).

    Args:
        name: name of the new recording.
        video: NAME.mp4.
        lines: NAME.jsonl.
        options: options of the import.
    """

    name: str
    video: Path
    lines: Path
    options: Import

    @property
    def files(self) -> tuple[Path, Path]:
        """The files that it is read from."""
        return self.video, self.lines

    @property
    def how(self) -> dict[str, object]:
        """The options as JSON values."""
        return {**asdict(self.options), "size": list(self.options.size) if self.options.size else None}

    def write(self, out: Path, origin: Mapping[str, object], replaced: Sequence[Path]) -> tuple[int, list[str]]:
        """Write the recording; returns its number of frames, and remarks.

        Raises:
            ValueError: video or lines cannot be read, do not belong together, or no frame is left.
            FileExistsError: another file has the recording's name.
        """
        return import_one(self.video, self.lines, out, self.name, self.options, origin, replaced), []


def contractor_episodes(folder: Path, options: Import) -> list[ContractorEpisode]:
    """The recordings of a folder, in order; FileNotFoundError if there are none."""
    return [ContractorEpisode(name, *pair, options) for name, pair in pairs_of(folder).items()]


def import_one(
    video: Path,
    lines: Path,
    out: Path,
    name: str,
    how: Import,
    origin: Mapping[str, object],
    replaced: Sequence[Path],
) -> int:
    """Import one recording; returns its number of frames."""
    frames, source = read_contractor(lines, how.quirks), open_video(video)
    rate = (source.num_frames - 1) / (source.timestamps[-1] - source.timestamps[0]) if source.num_frames > 1 else 0.0
    if source.num_frames > 1 and abs(rate - FRAMES_PER_SECOND) > 0.5:
        raise ValueError(f"{video} has {rate:.2f} frames/s; a contractor's recording has {FRAMES_PER_SECOND:g}")
    if abs(source.num_frames - len(frames)) > how.slack:
        raise ValueError(
            f"{video} has {source.num_frames} frames, {lines} has {len(frames)} lines; they may differ by --slack "
            f"{how.slack}: is one of them half a download, or of another recording?"
        )
    total = min(source.num_frames, len(frames))
    idle = at_rest(frames[:total])
    kept = np.flatnonzero(~idle) if how.drop_null else np.arange(total)
    if not len(kept):
        raise ValueError(f"{lines}: nothing is done in any of its {total} frames; give --null_actions keep")
    meta = {
        "agent": "contractor",
        "environment": "Minecraft",
        "scheme": "minecraft",
        "null_actions": int(idle.sum()),
        **origin,
    }
    examined_once(video)  # in a process of its own: a stranger wrote it
    with RecordingWriter(
        out, name, frames_per_second=FRAMES_PER_SECOND, meta=meta, crf=how.crf, replaced=replaced
    ) as writer:
        for start in range(0, len(kept), CHUNK):
            rows = kept[start : start + CHUNK]
            for offset, (row, picture) in enumerate(zip(rows.tolist(), source.read(rows), strict=True)):
                pointer = frames[row].pointer
                if how.draws_pointer and pointer is not None:
                    picture = draw_pointer(picture, pointer)
                if how.size is not None:
                    picture = resize(picture, *how.size, "stretch", how.resize)
                place = start + offset
                time = place / FRAMES_PER_SECOND
                writer.add(picture, FrameRecord(place, time, frames[row].controls, first=place == 0))
    return len(kept)


def at_rest(frames: list[ContractorFrame]) -> np.ndarray:
    """Whether a frame has no action, bool [T]: no button, and the camera in its class of rest, as in VPT's paper."""
    columns = {name: torch.tensor([frame.controls[name] for frame in frames]) for name in frames[0].controls}
    return load_game("minecraft").scheme().is_null(columns).numpy()
