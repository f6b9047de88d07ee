"""Videos with every fault that a folder from anywhere may hold, a few hundred bytes to a few kilobytes each."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

LENGTH = 60


def write(
    path: Path, frames: int = LENGTH, height: int = 48, width: int = 64, *, rate: int = 50, codec: str = "libx264",
    pixels: str = "yuv420p", times: list[int] | None = None, audio: bool = False,
) -> Path:  # fmt: skip
    """A noisy moving picture; `times` are time stamps in 1/1000 s, of variable rate."""
    noise = np.random.default_rng(0).integers(0, 256, (height // 4 + 2, width // 4 + 2, 3), np.uint8)
    base = noise.repeat(4, 0).repeat(4, 1)
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=rate)
        video.height, video.width, video.pix_fmt = height, width, pixels
        video.codec_context.thread_count = 1
        if codec == "libx264":
            video.options = {"preset": "ultrafast", "bf": "0", "g": "16"}
        if times is not None:
            video.codec_context.time_base = Fraction(1, 1000)
        sound = container.add_stream("aac", rate=8000) if audio else None
        for index in range(frames):
            picture = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(np.roll(base, index, 1)[:height, :width]), format="rgb24"
            )
            picture.pts = index if times is None else times[index]
            if times is not None:
                picture.time_base = Fraction(1, 1000)
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        if sound is not None:
            _add_sound(container, sound, frames / rate)
    return path


def write_sound(path: Path) -> Path:
    """A file without a picture."""
    with av.open(str(path), "w", format="mp4") as container:
        _add_sound(container, container.add_stream("aac", rate=8000), 1.0)
    return path


def _add_sound(container: av.container.OutputContainer, stream: av.AudioStream, seconds: float) -> None:
    for number in range(int(seconds * 8000) // 1024 + 1):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 8000, number * 1024
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def cut(path: Path, whole: Path, share: float) -> Path:
    """The first share of a file."""
    content = whole.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def rotated(path: Path, whole: Path) -> Path:
    """The matrix in an mp4's track header turned by 30 degrees."""
    content = bytearray(whole.read_bytes())
    identity = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    at = content.index(identity, content.index(b"tkhd"))
    sine, cosine = 0x8000, 0xDDB4
    content[at : at + 36] = struct.pack(">9i", cosine, sine, 0, -sine, cosine, 0, 0, 0, 0x40000000)
    path.write_bytes(content)
    return path


def promising(path: Path, whole: Path, frames: int = 99_999) -> Path:
    """An avi whose headers promise more frames than it holds."""
    content = bytearray(whole.read_bytes())
    header, stream = content.index(b"avih") + 8, content.index(b"strh") + 8
    content[header + 16 : header + 20] = struct.pack("<I", frames)
    content[stream + 32 : stream + 36] = struct.pack("<I", frames)
    path.write_bytes(content)
    return path


def flipped(path: Path, whole: Path) -> Path:
    """Bytes in the middle of the pictures set to others."""
    content = bytearray(whole.read_bytes())
    begin = content.index(b"mdat") + 4 if b"mdat" in content else len(content) // 3
    for place in range(begin + (len(content) - begin) // 3, begin + (len(content) - begin) // 2, 7):
        content[place] ^= 0xA5
    path.write_bytes(content)
    return path


def unknown(path: Path, whole: Path) -> Path:
    """The codec's name in an mkv is one that nobody knows."""
    content = whole.read_bytes()
    assert b"V_MPEG4/ISO/AVC" in content
    path.write_bytes(content.replace(b"V_MPEG4/ISO/AVC", b"V_MPEG4/ISO/XYZ"))
    return path
