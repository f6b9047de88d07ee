"""PyAV as a decoder: it brings FFmpeg along and works everywhere.

Frames are those that a player shows: turned as the display matrix says, without what an edit list leaves out, at their
presentation times.
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

INDEXED = ("mov", "matroska")  # FFmpeg's names of formats that say where each key frame lies and when it is shown


@dataclass(frozen=True)
class FrameTimes:
    """When the frames of a video are shown.

    Args:
        units: int64 [N], in the stream's time base, rising.
        keys: int64 [K], the times of key frames, rising.
        key_dts: int64 [K], when each of these is decoded.
        named: whether a decoded frame carries its time, so that it can be sought by it.
    """

    units: np.ndarray
    keys: np.ndarray
    key_dts: np.ndarray
    named: bool

    @classmethod
    def of(cls, packets: list[av.Packet], stated: bool) -> FrameTimes:
        """The times of a stream's packets.

        Where there are no presentation times, decoding times in rising order stand for them: they are the same but for
        a constant.

        Args:
            packets: of frames that are shown, in the order of the file.
            stated: whether the file says when frames are shown; an avi does not, which matters where frames are
                stored in another order.
        """
        pts = [packet.pts for packet in packets]
        named = stated and None not in pts and len(set(pts)) == len(pts)
        decoded = [i if packet.dts is None else packet.dts for i, packet in enumerate(packets)]
        units = np.sort(np.array(pts if None not in pts else decoded, np.int64))
        keys = sorted((packet.pts, packet.dts) for packet in packets if packet.is_keyframe) if named else []
        key_dts = [key if dts is None else dts for key, dts in keys]
        return cls(units, np.array([key for key, _ in keys], np.int64), np.array(key_dts, np.int64), named)

    def starts(self, index: int) -> Iterator[int | None]:
        """Where decoding may begin to reach a frame, best first: a place to seek, or None for the beginning."""
        if self.named:
            key = int(np.searchsorted(self.keys, self.units[index], "right")) - 1
            if key > 0:
                yield int(self.keys[key])
                if self.key_dts[key] != self.keys[key]:  # a transport stream is sought by it
                    yield int(self.key_dts[key])
        yield None

    def key_before(self, index: int) -> int:
        """The last key frame that is not after a frame; 0 where none is known."""
        key = int(np.searchsorted(self.keys, self.units[index], "right")) - 1
        return int(np.searchsorted(self.units, self.keys[key])) if key >= 0 else 0


class PyAVVideo(Video):
    """Reading forward decodes each frame once.

    Attributes:
        has_index: whether the file is of a format that says where each key frame lies.
        in_order: whether frames are stored in the order in which they are shown.
        orientation: how stored pictures are turned.
    """

    def __init__(self, source: Source, device: str = "cpu") -> None:
        self.source = source
        if device != "cpu":
            raise ValueError("pyav decodes on the CPU; choose decoder decord or torchcodec for cuda")
        self._opened = source if isinstance(source, Path) else io.BytesIO(source)
        self._reformatter = VideoReformatter()
        self._container: av.container.InputContainer | None = None
        self._pictures: Iterator[av.VideoFrame] = iter(())
        self._picture: av.VideoFrame | None = None  # the one that was decoded last
        self._position = -1  # its index
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
        """Decode up to and including the frame of this index, from a key frame where that is nearer."""
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
        """Decode on to this frame; None where decoding began behind it, as a place that is sought is not exact."""
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
        if start is not None:  # what was sought may lie between key frames, where some codecs decode to a mere guess
            packets = dropwhile(lambda packet: not packet.is_keyframe, packets)
        self._container, self._position = container, -1
        self._pictures = (picture for packet in packets for picture in packet.decode())

    def close(self) -> None:
        if self._container is not None:
            self._container.close()
            self._container = None


def video_stream(container: av.container.InputContainer) -> av.VideoStream:
    """The stream that a player shows: not the picture of a cover.

    Raises:
        ValueError: there is none; it says what the file holds instead.
    """
    stream = container.streams.best("video")
    if stream is None:
        kinds = ", ".join(sorted({str(stream.type) for stream in container.streams})) or "nothing"
        raise ValueError(f"has no video stream; it holds {kinds}")
    assert isinstance(stream, av.VideoStream)
    return stream
