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
    exclude: Path | None = None,
    val_fraction: float = 0.1,
    clip_frames: int = 64,
    height: int | None = None,
    width: int | None = None,
    frames_per_second: float | None = None,
    fit: Fit | None = None,
    resize: Resize | None = None,
    shard_mib: float = 64.0,
    seed: int = 0,
    crf: int = 12,
    pixel_format: PixelFormat = "yuv444p",
    decoder: Decoder = "auto",
    workers: int = 1,
    on_error: Literal["raise", "skip"] = "raise",
    game: str | None = None,
    license: str | None = None,
    author: str | None = None,
) -> dict:
    """Pack recordings into shards (WebDataset tars) with a manifest.

    A run that was stopped is continued by the same command.

    Args:
        recordings: folder of recordings, or of any videos.
        out: folder for the shards.
        labels: folder of labels written by an IDM, in place of recorded controls. Only the videos that they belong to
            (by sha256) are packed.
        exclude: JSON file of stretches to leave out, as marked in the page of `racing-vpt view --html`. What is left of
            such a recording is packed as episodes of their own, encoded again, so that no clip crosses a gap.
        val_fraction: fraction of the episodes in the split `val`; 0 for none, 1 for all.
        clip_frames: frames in a clip.
        height: pixels. Default: the game's, or 96.
        width: pixels. Default: the game's, or 96.
        frames_per_second: rate of the clips; other videos are resampled by time stamp. Default: the game's, or each
            video's own.
        fit: how a picture of another aspect ratio is fitted: stretch, crop or letterbox. Default: the game's, or
            stretch.
        resize: how a picture is made smaller: area (means, which keep thin lines) or linear (for OpenAI's checkpoints).
            Default: the game's, or area.
        shard_mib: size above which a shard is closed.
        seed: seed of the split.
        crf: quality of clips that are encoded again; lower is better.
        pixel_format: pixel format of clips that are encoded again; yuv420p for decoding on a GPU.
        decoder: library that decodes.
        workers: processes; more than one pays where clips are encoded again.
        on_error: what to do with a recording that cannot be read, or has controls of another game than --game.
        game: name or YAML file of the game that all recordings must be of; its file also gives size and rate.
        license: licence of recordings that state none, such as CC-BY-4.0.
        author: who made recordings that do not say it.

    Returns:
        The manifest.
    """
    from racing_vpt.games.read import load_game
    from racing_vpt.types import FrameChanges, FrameSpec, frame_spec

    played = None if game is None else load_game(game)
    frames = frame_spec(FrameChanges(height, width, fit, resize), played.frames if played else FrameSpec())
    if frames_per_second is None and played:
        frames_per_second = frames.frames_per_second
    if clip_frames < 1 or workers < 1 or shard_mib <= 0:
        raise ValueError(
            f"clip_frames, workers and shard_mib must be positive, but are {clip_frames}, {workers} and {shard_mib}"
        )
    from racing_vpt.data.cut import ClipFormat
    from racing_vpt.data.origin import origin_of
    from racing_vpt.data.packing import Packing, pack_recordings

    form = ClipFormat(
        frames.height,
        frames.width,
        frames_per_second,
        clip_frames,
        frames.fit,
        frames.resize,
        crf,
        pixel_format,
        decoder,
    )
    origin = origin_of("pack", license, author)
    how = Packing(labels, val_fraction, shard_mib, seed, workers, on_error, played, exclude, origin)
    return pack_recordings(recordings, out, form, how)
