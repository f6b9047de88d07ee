"""The decoder PyAV, which contains FFmpeg and works everywhere.

Frames are those that a player shows: rotated by the display matrix, without those that an edit list leaves out, at
their presentation times.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import dropwhile
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from racing_vpt.video.containers import open_container
from racing_vpt.video.decoders import Source, Video, first_line, write_anew
from racing_vpt.video.orientation import Orientation

INDEXED = ("mov", "matroska")  # FFmpeg's names of formats with an index of key frames and their times


@dataclass(frozen=True)
class FrameTimes:
    """Presentation times of a video's frames.

    Args:
        units: int64 [N], in the stream's time base, increasing.
        keys: int64 [K], presentation times of key frames, increasing.
        key_dts: int64 [K], decoding times of key frames.
        named: whether decoded frames have times, so that one can seek by them.
    """

    units: np.ndarray
    keys: np.ndarray
    key_dts: np.ndarray
    named: bool

    @classmethod
    def of(cls, packets: list[av.Packet], stated: bool) -> FrameTimes:
        """Times of a stream's packets.

        If there are no presentation times, sorted decoding times are used, which differ from them by a constant.

        Args:
            packets: packets of shown frames, in the order of the file.
            stated: whether the file contains presentation times; an avi does not, which matters if frames are stored
                in another order.
        """
        pts = [packet.pts for packet in packets]
        named = stated and None not in pts and len(set(pts)) == len(pts)
        decoded = [i if packet.dts is None else packet.dts for i, packet in enumerate(packets)]
        units = np.sort(np.array(pts if None not in pts else decoded, np.int64))
        keys = sorted((packet.pts, packet.dts) for packet in packets if packet.is_keyframe) if named else []
        key_dts = [key if dts is None else dts for key, dts in keys]
        return cls(units, np.array([key for key, _ in keys], np.int64), np.array(key_dts, np.int64), named)

    def starts(self, index: int) -> Iterator[int | None]:
        """Positions from which decoding reaches a frame, best first: a seek target, or None for the beginning."""
        if self.named:
            key = int(np.searchsorted(self.keys, self.units[index], "right")) - 1
            if key > 0:
                yield int(self.keys[key])
                if self.key_dts[key] != self.keys[key]:  # the seek target in a transport stream
                    yield int(self.key_dts[key])
        yield None

    def key_before(self, index: int) -> int:
        """The last key frame at or before a frame; 0 if unknown."""
        key = int(np.searchsorted(self.keys, self.units[index], "right")) - 1
        return int(np.searchsorted(self.units, self.keys[key])) if key >= 0 else 0


class PyAVVideo(Video):
    """A video read by PyAV; reading forward decodes each frame once.

    Attributes:
        has_index: whether the file's format has an index of key frames.
        in_order: whether frames are stored in presentation order.
        orientation: orientation of stored pictures.
    """

    def __init__(self, source: Source, device: str = "cpu") -> None:
        self.source = source
        if device != "cpu":
            raise ValueError("pyav decodes on the CPU; choose decoder decord or torchcodec for cuda")
        self._opened = source if isinstance(source, Path) else io.BytesIO(source)
        self._reformatter = VideoReformatter()
        self._container: av.container.InputContainer | None = None
        self._pictures: Iterator[av.VideoFrame] = iter(())
        self._picture: av.VideoFrame | None = None  # last decoded frame
        self._position = -1  # index of that frame
        try:
            with open_container(self._opened) as container:
                stream = video_stream(container)
                packets = [packet for packet in container.demux(stream) if packet.size and not packet.is_discard]
                seconds = float(stream.time_base or 1)
                rate = float(stream.average_rate or stream.guessed_rate or 0)
                self.has_index = container.format.name.startswith(INDEXED)
                self.in_order = not stream.codec_context.has_b_frames
                stated = self.in_order or container.format.name != "avi"
            if not packets:
                raise ValueError("it holds no frames")
            self._times = FrameTimes.of(packets, stated)
            self.num_frames = len(packets)
            first = self._advance(0)
        except (av.FFmpegError, IndexError, StopIteration, ValueError) as error:
            raise ValueError(f"{self.name} cannot be decoded by PyAV: {first_line(error)}") from error
        try:
            self.orientation = Orientation.of(first)
        except ValueError as error:
            raise ValueError(f"{self.name} {error}; {write_anew(self.name)}") from error
        self.height, self.width = self.orientation.size(first.height, first.width)
        self.timestamps = (self._times.units - self._times.units[0]) * seconds
        length = self.timestamps[-1]
        self.frames_per_second = (self.num_frames - 1) / length if length > 0 else rate or 1.0

    def _read(self, indices: np.ndarray) -> np.ndarray:
        frames = np.empty((len(indices), self.height, self.width, 3), np.uint8)
        try:
            for row, index in enumerate(indices.tolist()):
                picture = self._reformatter.reformat(self._advance(index), format="rgb24", threads=1)
                frames[row] = self.orientation.apply(picture.to_ndarray())
        except (av.FFmpegError, StopIteration) as error:
            raise ValueError(
                f"{self.name} cannot be decoded by PyAV near frame {index}: {first_line(error)}"
            ) from error
        return frames

    def _advance(self, index: int) -> av.VideoFrame:
        """Decode up to and including frame `index`, from a key frame if that is nearer."""
        if index == self._position and self._picture is not None:
            return self._picture
        if index > self._position >= self._times.key_before(index) - 1 and self._container is not None:
            found = self._go_on(index)
            if found is not None:
                return found
        for start in self._times.starts(index):
            self._seek(start)
            try:
                found = self._go_on(index)
            except (av.FFmpegError, ValueError):
                if start is None:
                    raise
                found = None
            if found is not None:
                return found
        raise StopIteration("the video ends too early")

    def _go_on(self, index: int) -> av.VideoFrame | None:
        """Continue decoding to a frame; None if decoding began after it, because seeking is not exact."""
        for picture in self._pictures:
            if self._times.named:
                if picture.pts is None or picture.pts < self._times.units[index]:
                    continue
                if picture.pts > self._times.units[index]:
                    break
                self._position = index
            else:
                self._position += 1
                if self._position < index:
                    continue
            if picture.is_corrupt:
                raise ValueError(f"{self.name} is damaged near frame {index}")
            self._picture = picture
            return picture
        self._position = -1
        return None

    def _seek(self, start: int | None) -> None:
        self.close()
        if isinstance(self._opened, io.BytesIO):
            self._opened.seek(0)
        container = open_container(self._opened)
        stream = video_stream(container)
        stream.codec_context.thread_count = 1
        if start is not None:
            container.seek(start, stream=stream)
        packets: Iterator[av.Packet] = container.demux(stream)
        if start is not None:  # the seek may have ended between key frames, from where some codecs decode garbage
            packets = dropwhile(lambda packet: not packet.is_keyframe, packets)
        self._container, self._position = container, -1
        self._pictures = (picture for packet in packets for picture in packet.decode())

    def close(self) -> None:
        if self._container is not None:
            self._container.close()
            self._container = None


def video_stream(container: av.container.InputContainer) -> av.VideoStream:
    """The stream that a player shows, not a cover picture.

    Raises:
        ValueError: there is none; the message says what the file holds instead.
    """
    stream = container.streams.best("video")
    if stream is None:
        kinds = ", ".join(sorted({str(stream.type) for stream in container.streams})) or "nothing"
        raise ValueError(f"has no video stream; it holds {kinds}")
    assert isinstance(stream, av.VideoStream)
    if stream.codec_context is None:
        raise ValueError("has a video stream of a codec that FFmpeg does not know")
    return stream
