"""Checks the integrity of an untrusted video: every frame decodes, none is missing, none is concealed.

Decoders hide faults: a truncated mkv just ends early, a damaged frame is patched from the one before it, a header that
promises too many frames may hang the reader. So a foreign video is decoded once, strictly and from end to end, in a
process that can be killed (`decode_process.py`); its frames can be read on the way (`ExaminedVideo`).
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import av
import av.logging

from racing_vpt.files import require_regular
from racing_vpt.video.containers import open_container
from racing_vpt.video.decode import Decoder, disagreement, open_video
from racing_vpt.video.decoders import write_anew
from racing_vpt.video.pyav_video import PyAVVideo, video_stream

LARGEST_SIDE = 8192  # pixels; 8K is 7680
# FFmpeg: an error is an error. Concealment is on, because it marks the frames that it patches, and notices slices that
# end before the next begins; without it H.264 with several slices a frame is marked throughout.
STRICT = {"err_detect": "crccheck+bitstream+buffer+explode", "ec": "guess_mvs"}
REPORTED_ONLY = ("ffv1",)  # decoders that only log a wrong checksum, without an error or a mark on the frame
CHECKSUM = "CRC mismatch"
BEAT_FRAMES = 32


@dataclass
class Found:
    """Results of decoding a video from end to end.

    Args:
        frames: number of decoded pictures.
        shown: packets of pictures to show.
        hidden: packets of pictures that an edit list leaves out.
        end: end of the pictures' last packet in seconds, shown or not.
        ends: the same for each stream.
    """

    frames: int = 0
    shown: int = 0
    hidden: int = 0
    ends: dict[int, float] = field(default_factory=dict)


def examine(path: Path, decoder: Decoder = "auto", beat: Callable[[], None] = lambda: None) -> tuple[int, float]:
    """Decode a video from end to end.

    Args:
        path: the file.
        decoder: decoder that will read it, which must find the same frames at the same times.
        beat: called every few frames as a sign of progress.

    Returns:
        Number of frames, and frames per second.

    Raises:
        ValueError: the video is faulty; the message names file and fault, and a command to repair it if there is one.
    """
    examined = ExaminedVideo(path, beat)
    examined.finish()
    beat()
    video = open_video(path, decoder)
    differs = disagreement(video, examined)
    if differs is not None:
        raise ValueError(f"{path}: {decoder} finds {differs}; choose the decoder pyav, or {write_anew(str(path))}")
    video.read([0, examined.num_frames - 1])
    return examined.num_frames, examined.frames_per_second


class ExaminedVideo(PyAVVideo):
    """An untrusted video whose frames are read in increasing order while it is checked: it is decoded once for both.

    Args:
        path: the file.
        beat: called every few frames.
    """

    def __init__(self, path: Path, beat: Callable[[], None] = lambda: None) -> None:
        with _named(path):
            self._strictly = strictly(path, beat)
            self._first = next(self._strictly)
        super().__init__(path)

    def _advance(self, index: int) -> av.VideoFrame:
        assert index >= self._position, f"frame {index} was asked for after frame {self._position}"
        with _named(self.name):
            while self._position < index:
                self._next()
        assert self._picture is not None
        return self._picture

    def _next(self) -> None:
        self._picture = next(self._strictly) if self._position >= 0 else self._first
        self._position += 1
        if self._times.named and self._picture.pts != self._times.units[self._position]:
            raise ValueError(
                f"{self.name}: frame {self._position} is not shown at the time of its packet; {write_anew(self.name)}"
            )

    def finish(self) -> None:
        """Check the rest of the video; ValueError describes a fault."""
        with _named(self.name):
            while self._position + 1 < self.num_frames:
                self._next()
            for _ in self._strictly:
                pass


@contextmanager
def _named(path: Path | str) -> Iterator[None]:
    """Turn FFmpeg's errors into ValueErrors that name the file."""
    try:
        yield
    except StopIteration as error:
        raise ValueError(f"{path} ends before its last frame; is it cut?") from error
    except (av.FFmpegError, EOFError, UnicodeDecodeError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0][:200]
        raise ValueError(f"{path} is no video that can be decoded, or it is cut short: {reason}") from error


def strictly(path: Path, beat: Callable[[], None]) -> Iterator[av.VideoFrame]:
    """All pictures of a video in order; ValueError if one is missing or damaged, or at the end if there are fewer
    than the file promises.
    """
    require_regular(path)
    if not path.stat().st_size:
        raise ValueError(f"{path} is empty")
    with open_container(path) as container:
        try:
            stream = video_stream(container)
        except ValueError as error:
            raise ValueError(f"{path} {error}; record into an mp4 or mkv") from error
        found = yield from _decode_all(path, container, stream, beat)
        _check_promises(path, container, stream, found)


def _decode_all(
    path: Path, container: av.container.InputContainer, stream: av.VideoStream, beat: Callable[[], None]
) -> Generator[av.VideoFrame, None, Found]:
    """Iterate over pictures; returns the results."""
    if max(stream.height, stream.width) > LARGEST_SIDE or min(stream.height, stream.width) < 1:
        raise ValueError(
            f"{path} has {stream.width}x{stream.height} pixels; 1 to {LARGEST_SIDE} a side can be read: "
            f"ffmpeg -i {shlex.quote(path.name)} -vf scale=1920:-2 NEW.mp4"
        )
    stream.codec_context.options = STRICT
    stream.codec_context.thread_count = 1
    found = Found()
    for packet in container.demux():
        if packet.pts is not None and packet.size:
            end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
            found.ends[packet.stream_index] = max(end, found.ends.get(packet.stream_index, end))
        if (
            packet.stream.index != stream.index
        ):  # packet.stream_index is 0 for the flush packets at the end of each stream
            continue
        if packet.is_corrupt:
            raise ValueError(f"{path} is damaged near frame {found.frames}")
        found.hidden += packet.is_discard
        found.shown += packet.size > 0 and not packet.is_discard
        for picture in _decode(path, packet, found.frames, stream.codec_context.name in REPORTED_ONLY):
            assert isinstance(picture, av.VideoFrame)
            _check_picture(path, picture, found.frames, stream.height, stream.width)
            yield picture
            found.frames += 1
            if found.frames % BEAT_FRAMES == 0:
                beat()
    return found


def _decode(path: Path, packet: av.Packet, number: int, listen: bool) -> list[av.VideoFrame]:
    """Pictures decoded from a packet."""
    try:
        if not listen:
            return packet.decode()  # type: ignore[return-value]
        with _reports() as reports:
            pictures = packet.decode()
    except av.FFmpegError as error:
        raise ValueError(f"{path} is damaged near frame {number}: {str(error).splitlines()[0][:120]}") from error
    if any(CHECKSUM in text for _, _, text in reports):
        raise ValueError(f"{path} is damaged near frame {number}: a checksum is wrong")
    return pictures  # type: ignore[return-value]


@contextmanager
def _reports() -> Iterator[list[tuple[int, str, str]]]:
    """Errors that FFmpeg logs within the block."""
    level = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture() as reports:
            yield reports
    finally:
        av.logging.set_level(level)


def _check_picture(path: Path, picture: av.VideoFrame, number: int, height: int, width: int) -> None:
    if picture.is_corrupt:
        raise ValueError(f"{path} is damaged at frame {number}")
    if (picture.height, picture.width) != (height, width):
        raise ValueError(
            f"{path} changes its size at frame {number}, from {width}x{height} to {picture.width}x{picture.height}; "
            f"{write_anew(str(path))}"
        )


def _check_promises(path: Path, container: av.container.InputContainer, stream: av.VideoStream, found: Found) -> None:
    """Raise ValueError if there are fewer frames than the file promises."""
    if not found.frames:
        raise ValueError(f"{path} holds no frame that can be decoded")
    if found.frames != found.shown:
        raise ValueError(
            f"{path}: {found.frames} of {found.shown} frames could be decoded; is it damaged or cut? If players show "
            f"it whole, {write_anew(str(path))}"
        )
    packets = found.shown + found.hidden
    if stream.frames > packets and container.format.name != "avi":  # an avi also counts dropped frames
        with open_container(path, ignore_editlist="1") as whole:
            packets = sum(packet.size > 0 for packet in whole.demux(video_stream(whole)))
        if stream.frames > packets:
            raise ValueError(f"{path} promises {stream.frames} frames, but holds {packets}; is it cut?")
    _check_length(path, container, stream, found.ends)


def _check_length(
    path: Path, container: av.container.InputContainer, stream: av.VideoStream, ends: dict[int, float]
) -> None:
    """Raise ValueError if the video is shorter than the file promises."""
    rate = float(stream.average_rate or stream.guessed_rate or 25)
    if stream.duration is not None and stream.index in ends:  # of the pictures alone
        unit = float(stream.time_base or 1)
        promised = stream.duration * unit
        lasts = ends[stream.index] - max(0.0, (stream.start_time or 0) * unit)
        slack = 0.1
    elif container.duration and ends:  # in matroska: end of the last stream, whenever the first one begins
        promised, lasts = container.duration / av.time_base, max(ends.values())
        slack = 0.5 if len(container.streams) > 1 else 0.1  # the length of the last packet of sound is unknown
    else:
        return
    if promised - lasts > max(slack, 3 / rate):
        raise ValueError(f"{path} ends after {lasts:.2f} s of the {promised:.2f} s that it promises; is it cut?")
