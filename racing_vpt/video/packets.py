"""Copies frames of a video in their encoded form (packets), so that they decode to the same pixels as before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import av
import numpy as np

from racing_vpt.known_files import identity_of
from racing_vpt.video.containers import open_container
from racing_vpt.video.decoders import Source
from racing_vpt.video.orientation import Orientation
from racing_vpt.video.pyav_video import PyAVVideo, video_stream

CODECS = ("h264", "hevc", "av1", "vp9")  # what an mp4 holds and common readers decode


@dataclass(frozen=True)
class Encoding:
    """Encoding of a video; only videos of the same encoding can be joined without decoding.

    Args:
        codec: FFmpeg's name.
        height: pixels.
        width: pixels.
        pixel_format: FFmpeg's name.
        setup: the decoder's setup (H.264: parameter sets).
    """

    codec: str
    height: int
    width: int
    pixel_format: str
    setup: bytes


class PacketSource:
    """Packets of a video.

    Args:
        source: path or bytes of a video that was checked before.

    Attributes:
        encoding: its encoding; None if its frames cannot be copied one by one (stored in another order than shown,
            rotated, in a container or codec that an mp4 does not hold).
        keys: bool [N], whether decoding can begin at a frame.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        with closing(PyAVVideo(source)) as video:
            plain = video.has_index and video.in_order and video.orientation == Orientation()
        with open_container(self._opened()) as container:
            stream = video_stream(container)
            context = stream.codec_context
            packets = [packet for packet in container.demux(stream) if packet.size]
            plain = plain and not any(packet.is_discard or packet.pts is None for packet in packets)
            setup, pixels = bytes(context.extradata or b""), str(context.pix_fmt)
            encoding = Encoding(context.codec.canonical_name, stream.height, stream.width, pixels, setup)
        self.encoding = encoding if plain and encoding.codec in CODECS else None
        self.keys = np.array([packet.is_keyframe for packet in packets], bool)
        self._units = [packet.pts or 0 for packet in packets]

    def copies(self, start: int, stop: int) -> bool:
        """Whether the frames [start, stop) can be copied."""
        return self.encoding is not None and stop <= len(self.keys) and bool(self.keys[start])

    def add_stream(self, target: av.container.OutputContainer) -> av.VideoStream:
        """Add a stream of this encoding to a container."""
        with open_container(self._opened()) as container:
            return target.add_stream_from_template(video_stream(container))

    def packets(self, start: int, stop: int) -> Iterator[av.Packet]:
        """The packets of the frames [start, stop)."""
        with open_container(self._opened()) as container:
            stream = video_stream(container)
            container.seek(self._units[start], stream=stream)
            index = None
            for packet in container.demux(stream):
                if packet.size and packet.pts == self._units[start]:
                    index = start
                if packet.size and index is not None:
                    yield packet
                    index += 1
                if index == stop:
                    return
        raise ValueError(f"{self.source!r:.200} ended before frame {stop}")

    def _opened(self) -> Path | BytesIO:
        return self.source if isinstance(self.source, Path) else BytesIO(self.source)


def packets_of(path: Path) -> PacketSource:
    """The packets of a file, whose index is kept for the next episode that lies in it."""
    return _packets_of(path, identity_of(path))


@lru_cache(maxsize=4)
def _packets_of(path: Path, identity: str) -> PacketSource:
    return PacketSource(path)


class PacketWriter:
    """Writes an mp4 of constant rate from packets of several videos of one encoding.

    Args:
        path: the file.
        frames_per_second: frame rate; frame i is shown from i / rate on, whatever its time was.
    """

    def __init__(self, path: Path, frames_per_second: float) -> None:
        self.num_frames = 0
        self.encoding: Encoding | None = None
        self._container = av.open(str(path), "w", format="mp4")
        self._frame_time = 1 / Fraction(frames_per_second).limit_denominator(1001)
        self._stream: av.VideoStream | None = None

    def add(self, source: PacketSource, start: int, stop: int) -> None:
        """Append the frames [start, stop) of a source that `copies` them, of the same encoding as those before."""
        assert source.copies(start, stop), "ask the source first"
        if self._stream is None:
            self._stream, self.encoding = source.add_stream(self._container), source.encoding
            self._stream.time_base = self._frame_time
        assert source.encoding == self.encoding, "one encoding a file"
        for packet in source.packets(start, stop):
            packet.time_base, packet.duration = self._frame_time, 1
            packet.pts = packet.dts = self.num_frames
            packet.stream = self._stream
            self._container.mux(packet)
            self.num_frames += 1

    def close(self) -> None:
        """Finish the file."""
        self._container.close()
