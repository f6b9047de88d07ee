"""Whether a stranger's video is what it says: every frame decodes, none is missing, none is made up.

Decoders hide faults: a truncated mkv just ends early, a damaged frame is patched from the one before it, a header that
promises too many frames may hang the reader, a picture that is to be turned is shown lying. So a video that is not ours
is decoded once from end to end, strictly, where it can be killed (`decode_process.py`); whoever wants its frames
takes them on the way (`ExaminedVideo`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import av

from racing_vpt.files import require_regular
from racing_vpt.video.containers import open_container
from racing_vpt.video.decode import Decoder, open_video
from racing_vpt.video.decoders import PyAVVideo

LARGEST_SIDE = 8192  # pixels; 8K is 7680
STRICT = {"err_detect": "crccheck+bitstream+buffer+explode", "ec": "0"}  # FFmpeg: an error is an error
BEAT_FRAMES = 32


def examine(path: Path, decoder: Decoder = "auto", beat: Callable[[], None] = lambda: None) -> tuple[int, float]:
    """Decode a video from end to end.

    Args:
        path: the file.
        decoder: the one that will read it; it must count the same frames.
        beat: called every few frames, so that whoever waits knows that it goes on.

    Returns:
        Frames, and frames per second.

    Raises:
        ValueError: names the file and what is wrong with it.
    """
    with _named(path):
        count = sum(1 for _ in strictly(path, beat))
    beat()
    video = open_video(path, decoder)
    if video.num_frames != count:
        raise ValueError(
            f"{path}: {count} frames can be decoded, but a reader that jumps finds {video.num_frames}; write it anew: "
            f"ffmpeg -i {path.name} NEW.mp4"
        )
    video.read([0, count - 1])
    return count, video.frames_per_second


class ExaminedVideo(PyAVVideo):
    """A stranger's video whose frames are read in rising order while it is examined: decoded once for both.

    Args:
        path: the file.
        beat: called every few frames.
    """

    def __init__(self, path: Path, beat: Callable[[], None] = lambda: None) -> None:
        with _named(path):
            self._pictures = strictly(path, beat)
            self._picture = next(self._pictures)
        super().__init__(path)
        self._position = 0

    def _advance(self, index: int) -> av.VideoFrame:
        assert index >= self._position, f"frame {index} was asked for after frame {self._position}"
        with _named(self.name):
            while self._position < index:
                self._picture = next(self._pictures)
                self._position += 1
        return self._picture

    def finish(self) -> None:
        """Examine what was not read; ValueError names what is wrong with it."""
        with _named(self.name):
            for _ in self._pictures:
                pass


@contextmanager
def _named(path: Path | str) -> Iterator[None]:
    """FFmpeg's errors with the file that they are about."""
    try:
        yield
    except (av.FFmpegError, EOFError, UnicodeDecodeError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0][:200]
        raise ValueError(f"{path} is no video that can be decoded, or it is cut short: {reason}") from error


def strictly(path: Path, beat: Callable[[], None]) -> Iterator[av.VideoFrame]:
    """All pictures of a video in order; ValueError where one is missing or damaged, at the end where there are less
    than the file promises.
    """
    require_regular(path)
    if not path.stat().st_size:
        raise ValueError(f"{path} is empty")
    with open_container(path) as container:
        count, ends = yield from _decode_all(path, container, beat)
        _check_promises(path, container, count, ends)


def _decode_all(
    path: Path, container: av.container.InputContainer, beat: Callable[[], None]
) -> Generator[av.VideoFrame, None, tuple[int, list[float]]]:
    """Pictures; returns how many there were, and where each stream ends, in seconds."""
    if not container.streams.video:
        kinds = ", ".join(sorted({str(stream.type) for stream in container.streams})) or "nothing"
        raise ValueError(f"{path} has no video stream; it holds {kinds}")
    stream = container.streams.video[0]
    if max(stream.height, stream.width) > LARGEST_SIDE or min(stream.height, stream.width) < 1:
        raise ValueError(f"{path} has {stream.width}x{stream.height} pixels; 1 to {LARGEST_SIDE} a side can be read")
    stream.codec_context.options = STRICT
    stream.codec_context.thread_count = 1
    packets = frames = 0
    ends: dict[int, float] = {}
    for packet in container.demux():
        if packet.pts is not None and packet.size:
            end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
            ends[packet.stream_index] = max(end, ends.get(packet.stream_index, end))
        if packet.stream_index != stream.index:
            continue
        packets += packet.size > 0
        if packet.is_corrupt:
            raise ValueError(f"{path} is damaged near frame {frames}")
        try:
            pictures = packet.decode()
        except av.FFmpegError as error:
            raise ValueError(f"{path} is damaged near frame {frames}: {str(error).splitlines()[0][:120]}") from error
        for picture in pictures:
            assert isinstance(picture, av.VideoFrame)
            _check_picture(path, picture, frames, stream.height, stream.width)
            yield picture
            frames += 1
            if frames % BEAT_FRAMES == 0:
                beat()
    if not frames:
        raise ValueError(f"{path} holds no frame that can be decoded")
    if frames != packets:
        raise ValueError(f"{path}: {frames} of {packets} frames could be decoded; is it damaged or cut?")
    return frames, list(ends.values())


def _check_picture(path: Path, picture: av.VideoFrame, number: int, height: int, width: int) -> None:
    if picture.is_corrupt:
        raise ValueError(f"{path} is damaged at frame {number}")
    if (picture.height, picture.width) != (height, width):
        raise ValueError(
            f"{path} changes its size at frame {number}, from {width}x{height} to {picture.width}x{picture.height}"
        )
    if number == 0 and picture.rotation:
        raise ValueError(
            f"{path} is stored rotated by {picture.rotation} degrees, which not every decoder turns upright; write it "
            f"upright with: ffmpeg -i {path.name} NEW.mp4"
        )


def _check_promises(path: Path, container: av.container.InputContainer, count: int, ends: list[float]) -> None:
    """ValueError where the header promises more than there is."""
    stream = container.streams.video[0]
    if stream.frames and stream.frames != count:
        raise ValueError(f"{path} promises {stream.frames} frames, but holds {count}; is it cut?")
    rate = float(stream.average_rate or stream.guessed_rate or 25)
    if container.duration and ends:
        begins = max(0.0, (container.start_time or 0) / av.time_base)
        promised, found = container.duration / av.time_base, max(ends) - begins
        slack = 0.5 if len(container.streams) > 1 else 0.1  # seconds; of sound the last packet's length is not known
        if promised - found > max(slack, 3 / rate):
            raise ValueError(f"{path} ends after {found:.2f} s of the {promised:.2f} s that it promises; is it cut?")
