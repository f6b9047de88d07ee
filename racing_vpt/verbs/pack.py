"""Pack recordings into shards that training reads: short clips at one size and rate, split by episode."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from racing_vpt.types import Fit, Resize
from racing_vpt.video.decode import Decoder
from racing_vpt.video.encode import PixelFormat


def pack(
    recordings: Path,
    out: Path,
    *,
    labels: Path | None = None,
    val_fraction: float = 0.1,
    clip_frames: int = 64,
    height: int = 96,
    width: int = 96,
    frames_per_second: float | None = None,
    fit: Fit = "stretch",
    resize: Resize = "area",
    shard_mib: float = 64.0,
    seed: int = 0,
    crf: int = 12,
    pixel_format: PixelFormat = "yuv444p",
    decoder: Decoder = "auto",
    workers: int = 1,
    on_error: Literal["raise", "skip"] = "raise",
) -> dict:
    """Pack recordings into shards (WebDataset tars) with a manifest.

    A run that was stopped goes on where it was when it is started again with the same arguments.

    Args:
        recordings: folder of recordings, or of any videos.
        out: folder for the shards.
        labels: folder of labels that an IDM wrote; they take the place of recorded controls, and only videos that are
            labelled there are packed. Pairs are found by the video's sha256.
        val_fraction: fraction of the episodes that go into the split `val`; 0 for none, 1 for all.
        clip_frames: frames in a clip.
        height: pixels.
        width: pixels.
        frames_per_second: rate of the clips; videos of another rate are resampled by time stamps. None keeps theirs.
        fit: what happens to a picture of another aspect ratio: stretch, crop or letterbox.
        resize: how a picture shrinks: area (means, so that thin lines stay), or linear for OpenAI's checkpoints.
        shard_mib: a shard is closed when it is larger than this.
        seed: of the split.
        crf: quality of clips that are encoded anew; lower is better.
        pixel_format: of clips that are encoded anew; yuv420p if they are to be decoded on a GPU.
        decoder: which library decodes.
        workers: processes; more than one pays where clips must be encoded anew.
        on_error: what happens with a recording that cannot be read.

    Returns:
        The manifest.
    """
    if clip_frames < 1 or height < 1 or width < 1 or workers < 1 or shard_mib <= 0:
        raise ValueError(
            f"clip_frames, height, width, workers and shard_mib must be positive, but are {clip_frames}, {height}, "
            f"{width}, {workers} and {shard_mib}"
        )
    from racing_vpt.data.cut import ClipFormat
    from racing_vpt.data.packing import Packing, pack_recordings

    form = ClipFormat(height, width, frames_per_second, clip_frames, fit, resize, crf, pixel_format, decoder)
    return pack_recordings(recordings, out, form, Packing(labels, val_fraction, shard_mib, seed, workers, on_error))
