"""Overlapping windows of videos for labelling: each frame is decoded once, in memory independent of the video's length.

A non-causal model has least context at the ends of a window, so windows overlap and only the middle of each is kept.
The `keep` of all windows of a video covers it exactly once, and their `source_frames` contain every frame of the source
video exactly once, whatever its rate and length.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from racing_vpt.data.hub_data import at_hand
from racing_vpt.data.item_errors import concerns_all, reason
from racing_vpt.files import TEMPORARY, refuse_link_out
from racing_vpt.known_files import identity_of, known_sha256
from racing_vpt.types import FrameSpec
from racing_vpt.video.decode import Decoder, Device, open_video
from racing_vpt.video.decode_process import shared
from racing_vpt.video.decoders import VIDEO_SUFFIXES
from racing_vpt.video.trust import examined_once, remember_examined
from racing_vpt.video.windows import CutWindow, cut_windows


@dataclass(kw_only=True)
class PredictWindow(CutWindow):
    """A window of a named video, or the error that the video cannot be read.

    Args:
        name: the video's name: its path within the given folder, without suffix. Labels go to `OUT/name.jsonl`.
        video: the file.
        sha256: hexadecimal sha256 of the file.
        error: why the video cannot be read; there is then nothing to keep, and labels of earlier windows are dropped.
    """

    name: str
    video: Path
    sha256: str
    error: str | None


def find_videos(videos: str | Sequence[str]) -> dict[str, Path]:
    """Video files by unique name, sorted, from a folder and below, a file, a glob, a dataset on the Hub, or several."""
    found: dict[str, Path] = {}
    for pattern in [videos] if isinstance(videos, str) else videos:
        pattern = at_hand(pattern)
        root = Path(pattern)
        if root.is_dir():
            files = [file for file in root.rglob("*") if file.suffix.lower() in VIDEO_SUFFIXES and not file.is_dir()]
        else:
            files = [Path(file) for file in glob.glob(pattern, recursive=True)]
            files = [file for file in files if file.is_file()]
            root = Path(os.path.commonpath([file.parent for file in files])) if files else root
        files = sorted(file for file in files if not file.name.startswith(TEMPORARY))
        if not files:
            suffixes = ", ".join(sorted(VIDEO_SUFFIXES))
            raise FileNotFoundError(f"no videos match {pattern}; a folder or a glob of {suffixes} was expected")
        for file in files:
            name = str(file.relative_to(root).with_suffix(""))
            if name in found and found[name] != file:
                name = str(file.relative_to(root)).replace(".", "_")
            if name in found and found[name] != file:
                raise ValueError(f"{found[name]} and {file} would share the label file {name}.jsonl; label them apart")
            found[name] = file
    return dict(sorted(found.items()))


def size_of(path: Path) -> int:
    """Bytes of a file; 0 where it cannot be looked at, of which whoever reads it will say more."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def windows_of(
    name: str,
    path: Path,
    spec: FrameSpec,
    window: int = 128,
    stride: int = 64,
    decoder: Decoder = "auto",
    device: Device = "cpu",
) -> Iterator[PredictWindow]:
    """The windows of a video in order; for a damaged video, those before the damage and then one with an `error`.

    Args:
        name: name of the video.
        path: the file.
        spec: the model's input frames; the video is resampled to their rate by time stamps, or every frame is read.
        window: frames per window.
        stride: frames from one window to the next.
        decoder: decoding library. `auto` and `pyav` check the video while reading its frames; the others decode it
            twice.
        device: decoding device.
    """
    empty = np.zeros((window, spec.height, spec.width, 3), np.uint8)
    none = np.zeros(0, np.int64)
    options = {"window": window, "stride": stride, "decoder": decoder}
    if not 0 < stride <= window:
        raise ValueError(f"windows of {window} frames need a stride of 1 to {window}, but {stride} was given")
    try:
        refuse_link_out(path, path.parents[len(Path(name).parts) - 1])
        identity, digest = identity_of(path), known_sha256(path)
        if device == "cpu":
            for about, found in shared().ask("windows", path, spec=asdict(spec), **options):
                cut = CutWindow(**{**about, **found, "keep": tuple(about["keep"])})  # type: ignore[arg-type]
                yield PredictWindow(name=name, video=path, sha256=digest, error=None, **vars(cut))
            remember_examined(identity, cut.num_frames, cut.frames_per_second)
        else:  # only here is a GPU used
            examined_once(path)
            for cut in cut_windows(open_video(path, decoder, device), spec, window, stride):
                yield PredictWindow(name=name, video=path, sha256=digest, error=None, **vars(cut))
    except Exception as error:  # whatever is wrong with one video is no reason to pass over the others
        if concerns_all(error):
            raise
        yield PredictWindow(
            name=name, video=path, sha256="", error=reason(error), last=True,
            num_frames=0, frames_per_second=0.0, portrait=False, keep=(0, 0), source_frames=none, source_rows=none,
            source_timestamps=none * 0.0, frames=empty,
            valid=np.zeros(window, bool), times=np.arange(window, dtype=np.float64),
        )  # fmt: skip
