"""Import of OpenAI's contractor recordings: each NAME.mp4 with its NAME.jsonl."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from racing_vpt.data.columns import Columns
from racing_vpt.exchange.check import mean_rate
from racing_vpt.exchange.contractor import FRAMES_PER_SECOND, ContractorFrame, Quirks, draw_pointer, read_contractor
from racing_vpt.exchange.footage import Footage, Stretch, VideoFootage
from racing_vpt.exchange.incoming import Episode
from racing_vpt.files import TEMPORARY
from racing_vpt.frames import resize
from racing_vpt.games.read import load_game
from racing_vpt.types import Frame, Resize
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
class DrawnFootage:
    """Frames of a contractor's video with the pointer drawn, without those left out, at another size.

    Args:
        path: the video, which was checked.
        rows: its frames, int64 [T].
        pointers: pointer of each, or None.
        how: options of the import.
    """

    path: Path
    rows: np.ndarray
    pointers: tuple[tuple[float, float] | None, ...]
    how: Import

    @property
    def num_frames(self) -> int:
        """Number of frames."""
        return len(self.rows)

    def frames(self) -> Iterator[Frame]:
        """Every frame in order, uint8 [H, W, 3]."""
        with closing(open_video(self.path)) as video:
            for start in range(0, len(self.rows), CHUNK):
                stop = start + CHUNK
                for picture, pointer in zip(video.read(self.rows[start:stop]), self.pointers[start:stop], strict=True):
                    yield self._changed(picture, pointer)

    def samples(self) -> np.ndarray:
        """A frame in 64, uint8 [N, H, W, 3]."""
        with closing(open_video(self.path)) as video:
            pictures = zip(video.read(self.rows[::CHUNK]), self.pointers[::CHUNK], strict=True)
            return np.stack([self._changed(picture, pointer) for picture, pointer in pictures])

    def stretches(self) -> list[Stretch]:
        """None: the frames are not those of the file."""
        return []

    def _changed(self, picture: Frame, pointer: tuple[float, float] | None) -> Frame:
        if self.how.draws_pointer and pointer is not None:
            picture = draw_pointer(picture, pointer)
        return picture if self.how.size is None else resize(picture, *self.how.size, "stretch", self.how.resize)


@dataclass(frozen=True)
class ContractorSource:
    """The files of a recording to import.

    Args:
        name: name of the new recording.
        video: NAME.mp4.
        lines: NAME.jsonl.
    """

    name: str
    video: Path
    lines: Path

    @property
    def files(self) -> tuple[Path, Path]:
        """The files that it is read from."""
        return self.video, self.lines


def contractor_sources(folder: Path) -> list[ContractorSource]:
    """The recordings of a folder, in order; FileNotFoundError if there are none."""
    return [ContractorSource(name, *pair) for name, pair in pairs_of(folder).items()]


def read_contractor_episode(source: ContractorSource, how: Import) -> Episode:
    """Read a recording; its video is kept as it is, unless a pointer is drawn, frames are dropped or made smaller.

    Raises:
        ValueError: video or lines cannot be read, do not belong together, or no frame is left.
    """
    frames, (stored, _) = read_contractor(source.lines, how.quirks), examined_once(source.video)
    with closing(open_video(source.video)) as video:
        times = video.timestamps
    rate = mean_rate(times)
    if len(times) > 1 and abs(rate - FRAMES_PER_SECOND) > 0.5:
        raise ValueError(f"{source.video} has {rate:.2f} frames/s; a contractor's recording has {FRAMES_PER_SECOND:g}")
    if abs(stored - len(frames)) > how.slack:
        raise ValueError(
            f"{source.video} has {stored} frames, {source.lines} has {len(frames)} lines; they may differ by --slack "
            f"{how.slack}: is one of them half a download, or of another recording?"
        )
    total = min(stored, len(frames))
    idle = at_rest(frames[:total])
    kept = np.flatnonzero(~idle) if how.drop_null else np.arange(total)
    if not len(kept):
        raise ValueError(f"{source.lines}: nothing is done in any of its {total} frames; give --null_actions keep")
    pointers = tuple(frames[row].pointer for row in kept.tolist())
    drawn = sum(pointer is not None for pointer in pointers) if how.draws_pointer else 0
    remarks = [f"the last {abs(stored - len(frames))} {'lines' if len(frames) > total else 'frames'} are cut off"]
    remarks = remarks if stored != len(frames) else []
    remarks += [f"{total - len(kept)} frames in which nothing is done are left out"] if len(kept) < total else []
    remarks += [f"a pointer is drawn in {drawn} frames"] if drawn else []
    remarks += [f"made {how.size[0]} rows high and {how.size[1]} columns wide"] if how.size is not None else []
    footage: Footage = VideoFootage(source.video, 0, total)
    if len(kept) < total or drawn or how.size is not None:
        footage = DrawnFootage(source.video, kept, pointers, how)
        remarks.append(f"its video is encoded again, at crf {how.crf}")
    names = [*frames[0].controls]
    controls = {name: np.array([frames[row].controls[name] for row in kept], np.float32) for name in names}
    meta = {"agent": "contractor", "environment": "Minecraft", "scheme": "minecraft", "null_actions": int(idle.sum())}
    first = np.arange(len(kept)) == 0
    return Episode(footage, Columns(first, controls), FRAMES_PER_SECOND, None, meta, tuple(remarks))


def at_rest(frames: list[ContractorFrame]) -> np.ndarray:
    """Whether a frame has no action, bool [T]: no button, and the camera in its class of rest, as in VPT's paper."""
    columns = {name: torch.tensor([frame.controls[name] for frame in frames]) for name in frames[0].controls}
    return load_game("minecraft").scheme().is_null(columns).numpy()
