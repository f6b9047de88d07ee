"""Opening videos with any available decoder, and time stamps.

`auto` tries decord on the GPU, torchcodec on the GPU, decord on the CPU and PyAV, and logs its choice once. Files that
decord on the CPU reads differently from what a player shows (rotated, with B-frames, edited, AV1, avi, transport
streams) are read by PyAV. An explicit choice never falls back. All videos are opened by `open_video`.
"""

from __future__ import annotations

import importlib.util
import io
import logging
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np

from racing_vpt.frames import prepare
from racing_vpt.types import FrameSpec
from racing_vpt.video.containers import check_container
from racing_vpt.video.decoders import DecordVideo, PictureFolder, Source, TorchcodecVideo, Video
from racing_vpt.video.encode import VideoWriter
from racing_vpt.video.orientation import Orientation
from racing_vpt.video.pyav_video import PyAVVideo

Decoder = Literal["auto", "decord", "torchcodec", "pyav"]
Device = Literal["auto", "cpu", "cuda"]
DECODERS: dict[str, Callable[[Source, str], Video]] = {
    "decord": DecordVideo,
    "torchcodec": TorchcodecVideo,
    "pyav": PyAVVideo,
}
INSTALL = {"decord": "pip install decord", "torchcodec": "pip install 'racing-vpt[gpu]'", "pyav": "pip install av"}
MOST_BYTES = 1 << 27  # frames read at a time
SAME_RATE = (
    0.005  # relative difference between rates that needs no resampling, which would double a frame every few seconds
)
SAME_FRAME = 2e-3  # seconds; time stamps of one frame that differ by less, as matroska's milliseconds do
SAME_PICTURE = 1.0  # levels of 255, on average; what rounding may do
SAME_TIME = 1e-4  # seconds; containers round time stamps, and a tie should not depend on that

log = logging.getLogger(__name__)


def open_video(source: Source, decoder: Decoder = "auto", device: Device = "cpu") -> Video:
    """Open a video for reading; must be called in the process that reads it.

    Args:
        source: a file, the bytes of one, or a folder of PNG frames, taken at 50 frames a second
            (`Recording.open_video` knows the rate).
        decoder: which library.
        device: where it decodes.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file cannot be decoded, or the decoder or device is not available.
    """
    if isinstance(source, Path):
        if not source.exists():
            raise FileNotFoundError(f"there is no video {source}")
        if source.is_dir():
            return PictureFolder(source, 50.0)
    name, where = choose_decoder(decoder, device)
    if decoder == "auto" and (name, where) == ("decord", "cpu") and isinstance(source, Path):
        return _as_shown(source)
    if name != "pyav":  # it checks that itself
        check_container(source)
    return DECODERS[name](source, where)


def disagreement(video: Video, shown: Video) -> str | None:
    """How a decoder differs from what a player shows, as read by PyAV; None if it does not."""
    if video.num_frames != shown.num_frames:
        return f"{video.num_frames} frames instead of {shown.num_frames}"
    if (video.height, video.width) != (shown.height, shown.width):
        return f"{video.width}x{video.height} pixels instead of {shown.width}x{shown.height}"
    apart = np.abs(video.timestamps - shown.timestamps)
    if apart.max() > SAME_FRAME:
        frame = int(apart.argmax())
        return f"frame {frame} at {video.timestamps[frame]:.3f} s instead of {shown.timestamps[frame]:.3f} s"
    return None


def _as_shown(path: Path) -> Video:
    """A file, read by decord if that shows the same as PyAV, otherwise by PyAV."""
    shown = PyAVVideo(path)
    if not (shown.has_index and shown.in_order and shown.orientation == Orientation()):
        return shown  # decord would lose frames, return wrong ones after a seek, or fail
    try:
        video = DecordVideo(path)
    except ValueError as error:
        why: str | None = str(error)
    else:
        why = disagreement(video, shown) or _other_picture(video, shown)
        if why is None:
            shown.close()
            return video
    log.debug("%s is read by PyAV, because decord says: %s", path, why)
    return shown


@cache
def choose_decoder(decoder: Decoder = "auto", device: Device = "auto") -> tuple[str, str]:
    """The decoder and device to use, such as ("decord", "cpu"). Accesses the GPU: call it before workers are forked."""
    if decoder != "auto" and decoder not in DECODERS:
        raise ValueError(f"there is no decoder {decoder!r}; there are auto, {', '.join(DECODERS)}")
    names = [decoder] if decoder != "auto" else ["decord", "torchcodec"]
    failures = []
    if device in ("auto", "cuda") and (device == "cuda" or _has_cuda()):
        for name in names:
            failure = _probe_failure(name, "cuda")
            if failure is None:
                return _chosen(name, "cuda", decoder, device)
            failures.append(f"{name} on the GPU: {failure}")
    if device == "cuda":
        raise ValueError(
            f"no decoder works on the GPU ({'; '.join(failures)}); choose device cpu, or {INSTALL['torchcodec']}"
        )
    names = [decoder] if decoder != "auto" else ["decord", "pyav"]
    for name in names:
        failure = _probe_failure(name, "cpu")
        if failure is None:
            return _chosen(name, "cpu", decoder, device)
        failures.append(f"{name}: {failure}")
    raise ValueError(f"{'; '.join(failures)}; install it with: {INSTALL[names[-1]]}")


def read_prepared(video: Video, indices: np.ndarray, spec: FrameSpec) -> np.ndarray:
    """Read frames by index and prepare them, uint8 [T, H, W, 3]; a few at a time, as a 4K frame has 25 MB."""
    step = max(1, MOST_BYTES // (video.height * video.width * 3))
    parts = [prepare(video.read(indices[at : at + step]), spec) for at in range(0, len(indices), step)]
    return np.concatenate(parts) if len(parts) != 1 else parts[0]


def resample(timestamps: np.ndarray, frames_per_second: float) -> np.ndarray:
    """Source frames for another frame rate: the nearest in time at each tick, from the first frame on.

    Args:
        timestamps: float64 [N], seconds, increasing.
        frames_per_second: the wanted rate.

    Returns:
        int64 [M], non-decreasing source indices; `arange(N)` if the rates agree to half a percent.
    """
    count = len(timestamps)
    if count < 2 or timestamps[-1] <= timestamps[0]:
        return np.arange(count)
    frame_time = (timestamps[-1] - timestamps[0]) / (count - 1)
    if (
        abs(frame_time * frames_per_second - 1) < SAME_RATE
        and np.abs(np.diff(timestamps) - frame_time).max() < frame_time / 2
    ):
        return np.arange(count)
    ticks = max(1, round(count * frame_time * frames_per_second))
    return nearest_frames(timestamps - timestamps[0], np.arange(ticks) / frames_per_second)


def padded_times(times: np.ndarray, length: int, step: float) -> np.ndarray:
    """Seconds since the first of increasing times [N], float64 [length]; padding has their last interval, or `step`."""
    if len(times) > 1:
        step = times[-1] - times[-2]
    padding = times[-1] + step * np.arange(1, length - len(times) + 1)
    return np.concatenate([times, padding]) - times[0]


def nearest_frames(times: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Index int64 [M] of the nearest of increasing times [N] for each wanted time [M]; the earlier one of a tie."""
    middles = (times[1:] + times[:-1]) / 2
    return np.searchsorted(middles, wanted - SAME_TIME)


def _other_picture(video: Video, shown: Video) -> str | None:
    """How the first picture differs; decord reads some sizes (48 columns in yuv444p) as stripes, or not at all."""
    try:
        apart = float(np.abs(video.read([0]).astype(np.int16) - shown.read([0])).mean())
    except ValueError as error:
        return str(error)
    return f"frame 0 with levels that are {apart:.1f} apart" if apart > SAME_PICTURE else None


def _chosen(name: str, where: str, decoder: Decoder, device: Device) -> tuple[str, str]:
    log.info("videos are decoded by %s on the %s (asked for: %s, %s)", name, where, decoder, device)
    return name, where


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


@cache
def _probe_failure(name: str, where: str) -> str | None:
    """Why a decoder cannot read a small video on a device; None if it can."""
    if importlib.util.find_spec({"pyav": "av"}.get(name, name)) is None:
        return "it is not installed"
    try:
        frames = DECODERS[name](_small_video(), where).read([0, 7])
    except Exception as error:  # a probe: any error means that it does not work here
        return str(error).splitlines()[0] if str(error) else type(error).__name__
    return None if frames.shape == (2, 128, 160, 3) else f"a 128x160 video was read as {list(frames.shape)}"


@cache
def _small_video() -> bytes:
    file = io.BytesIO()
    writer = VideoWriter(file, 50.0, 128, 160, pixel_format="yuv420p")
    for level in range(8):
        writer.add(np.full((128, 160, 3), level * 30, np.uint8))
    writer.close()
    return file.getvalue()
