"""Videos of any codec and container whose frames can be told apart, however lossy they are.

Frame i is grey, 16 + STEP * i, with a white corner at the top left.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

FRAMES = 24
STEP = 9
HEIGHT, WIDTH = 48, 64
CODECS: dict[str, tuple[str, str, dict[str, str]]] = {  # encoder, pixel format, options
    "h264": ("libx264", "yuv420p", {"bf": "2"}),
    "h264 4 slices": ("libx264", "yuv420p", {"x264-params": "slices=4"}),
    "h264 16 slices": ("libx264", "yuv420p", {"x264-params": "slices=16"}),
    "h264 zero latency": ("libx264", "yuv420p", {"tune": "zerolatency", "x264-params": "sliced-threads=1:threads=3"}),
    "h264 4:4:4": ("libx264", "yuv444p", {"tune": "zerolatency", "x264-params": "slices=3"}),
    "h264 10 bits": ("libx264", "yuv420p10le", {"x264-params": "slices=2"}),
    "h264 interlaced": ("libx264", "yuv420p", {"x264-params": "interlaced=1:slices=2"}),
    "h264 open groups": ("libx264", "yuv420p", {"bf": "3", "x264-params": "open-gop=1:keyint=6"}),
    "hevc": ("libx265", "yuv420p", {"x265-params": "log-level=error:pools=none:frame-threads=1"}),
    "vp9": ("libvpx-vp9", "yuv420p", {"cpu-used": "8", "crf": "30", "b": "0"}),
    "av1": ("libsvtav1", "yuv420p", {"preset": "12", "svtav1-params": "lp=1"}),
    "mpeg4": ("mpeg4", "yuv420p", {"bf": "2", "qmax": "2"}),
    "mpeg2 interlaced": ("mpeg2video", "yuv420p", {"flags": "+ildct+ilme", "bf": "2", "qmax": "2"}),
    "ffv1": ("ffv1", "yuv420p", {"level": "3", "slicecrc": "1"}),
    "mjpeg": ("mjpeg", "yuvj420p", {}),
}
CONTAINERS: dict[str, tuple[str, dict[str, str]]] = {  # suffix, options
    "mp4": ("mp4", {}),
    "fragmented mp4": ("mp4", {"movflags": "frag_keyframe+empty_moov"}),
    "mov": ("mov", {}),
    "mkv": ("mkv", {}),
    "webm": ("webm", {}),
    "avi": ("avi", {}),
    "ts": ("ts", {}),
}


def pictures(height: int = HEIGHT, width: int = WIDTH, frames: int = FRAMES) -> np.ndarray:
    """Frames uint8 [T, H, W, 3]."""
    levels = 16 + STEP * np.arange(frames)[:, None, None, None]
    marked = np.broadcast_to(levels, (frames, height, width, 3)).astype(np.uint8)
    marked[:, : height // 3, : width // 3] = 255
    return marked


def numbers(shown: np.ndarray) -> list[int]:
    """The number of each frame, by what is seen away from the corners."""
    rows, columns = shown.shape[1] // 2, shown.shape[2] // 2
    levels = shown[:, rows - 2 : rows + 2, columns - 2 : columns + 2].mean((1, 2, 3))
    return ((levels - 16) / STEP).round().astype(int).tolist()


def write(
    path: Path,
    codec: str = "h264",
    container: str = "mp4",
    *,
    height: int | None = None,
    width: int = WIDTH,
    rate: Fraction = Fraction(30),
    times: Sequence[int] | None = None,
    start: int = 0,
    degrees: float = 0.0,
    mirrored: bool = False,
    sound: str | None = None,
    sound_first: bool = False,
    frames: int = FRAMES,
) -> Path:
    """Write a video.

    Args:
        path: the file.
        codec: one of CODECS.
        container: one of CONTAINERS.
        height: pixels; by default enough for the codec's slices.
        width: pixels.
        rate: frames a second.
        times: when each frame is shown, milliseconds; None: at the rate.
        start: when the first frame is shown, milliseconds, on top.
        degrees: by which a player turns it, counterclockwise.
        mirrored: whether a player mirrors it, left to right.
        sound: codec of the sound beside it.
        sound_first: whether sound is the first stream of the file.
        frames: their number.
    """
    encoder, pixel_format, options = CODECS[codec]
    kind, mux_options = CONTAINERS[container]
    height = height or (256 if "16" in codec else HEIGHT)
    format_name = {"mkv": "matroska", "ts": "mpegts"}.get(kind, kind)
    clock = Fraction(1, 1000) if times is not None or start else 1 / rate
    shown = times if times is not None else [round(i / rate / clock) for i in range(frames)]
    with av.open(str(path), "w", format=format_name, options=mux_options) as file:
        beside = file.add_stream(sound, rate=48_000) if sound and sound_first else None
        stream = file.add_stream(encoder, rate=rate, options=options)
        stream.height, stream.width, stream.pix_fmt = height, width, pixel_format
        stream.codec_context.time_base = clock
        stream.codec_context.thread_count = 1
        stream.codec_context.gop_size = 8
        if degrees or mirrored:
            stream.set_display_rotation(degrees, hflip=mirrored)
        if sound and not sound_first:
            beside = file.add_stream(sound, rate=48_000)
        for time, frame in zip(shown, pictures(height, width, frames), strict=True):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts, picture.time_base = time + round(start / 1000 / clock), clock
            file.mux(stream.encode(picture))
        file.mux(stream.encode(None))
        if beside is not None:
            _add_sound(file, beside, frames / rate)
    return path


def _add_sound(file: av.container.OutputContainer, stream: av.AudioStream, seconds: Fraction) -> None:
    size = 960
    for number in range(int(seconds * 48_000) // size + 1):
        kind = "flt" if stream.codec_context.name == "libopus" else "fltp"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, size), np.float32), format=kind, layout="mono")
        frame.sample_rate, frame.pts = 48_000, number * size
        file.mux(stream.encode(frame))
    file.mux(stream.encode(None))


def edited(path: Path, whole: Path, skip: int, frames: int) -> Path:
    """An mp4 whose edit list shows some frames of `whole` only, which stays as it is; both have 30 frames a second."""
    content = bytearray(whole.read_bytes())
    at = content.index(b"elst") + 12
    _, media_time = struct.unpack(">Ii", content[at : at + 8])
    clock = content.index(b"mdhd") + 16
    (units,) = struct.unpack(">I", content[clock : clock + 4])
    content[at : at + 8] = struct.pack(">Ii", frames * 1000 // 30, media_time + skip * units // 30)
    path.write_bytes(content)
    return path
