"""Frames of an episode as they lie on disk: a stretch of a video, clips in shards, pictures, an array."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from racing_vpt.data.store import Clip, Store
from racing_vpt.types import Frame
from racing_vpt.video.decode import MOST_BYTES, open_video
from racing_vpt.video.decoders import Video
from racing_vpt.video.encode import MAX_GROUP, VideoWriter
from racing_vpt.video.packets import Encoding, PacketSource, PacketWriter, packets_of
from racing_vpt.video.pyav_video import PyAVVideo

Stretch = tuple[PacketSource, int, int]  # frames [start, stop) of a video


class Footage(Protocol):
    """Frames of an episode."""

    @property
    def num_frames(self) -> int:
        """Number of frames."""

    def frames(self) -> Iterator[Frame]:
        """Every frame in order, uint8 [H, W, 3]."""

    def samples(self) -> np.ndarray:
        """A frame in 64, uint8 [N, H, W, 3], for statistics of the picture."""

    def stretches(self) -> list[Stretch]:
        """The encoded videos that hold the frames, in order; none if they are not encoded."""


@dataclass(frozen=True)
class VideoFootage:
    """Frames [start, stop) of a video file that was checked."""

    path: Path
    start: int
    stop: int

    @property
    def num_frames(self) -> int:
        """Number of frames."""
        return self.stop - self.start

    def frames(self) -> Iterator[Frame]:
        """Every frame in order, uint8 [H, W, 3]."""
        with closing(open_video(self.path)) as video:
            yield from _read(video, self.start, self.stop)

    def samples(self) -> np.ndarray:
        """A frame in 64, uint8 [N, H, W, 3]."""
        with closing(PyAVVideo(self.path)) as video:
            return video.read(np.arange(self.start, self.stop, MAX_GROUP))

    def stretches(self) -> list[Stretch]:
        """The stretch itself."""
        return [(packets_of(self.path), self.start, self.stop)]


@dataclass(frozen=True)
class ClipFootage:
    """An episode's clips in shards."""

    store: Store
    clips: tuple[Clip, ...]

    @property
    def num_frames(self) -> int:
        """Number of frames."""
        return sum(clip.frames for clip in self.clips)

    def frames(self) -> Iterator[Frame]:
        """Every frame in order, uint8 [H, W, 3]."""
        for clip in self.clips:
            video, offset = self.store.open(clip)
            yield from _read(video, offset, offset + clip.frames)

    def samples(self) -> np.ndarray:
        """The first frame of each clip, uint8 [N, H, W, 3]."""
        opened = [self.store.open(clip) for clip in self.clips]
        return np.concatenate([video.read([offset]) for video, offset in opened])

    def stretches(self) -> list[Stretch]:
        """The clips."""
        return [(PacketSource(self.store.encoded(clip)), 0, clip.frames) for clip in self.clips]


@dataclass(frozen=True)
class PictureFootage:
    """Frames that are stored one by one: a folder of pictures, or an array.

    Args:
        video: the frames.
        files: PNG files of the frames in order, which can be copied; empty if there are none.
    """

    video: Video
    files: tuple[Path, ...] = ()

    @property
    def num_frames(self) -> int:
        """Number of frames."""
        return self.video.num_frames

    def frames(self) -> Iterator[Frame]:
        """Every frame in order, uint8 [H, W, 3]."""
        yield from _read(self.video, 0, self.video.num_frames)

    def samples(self) -> np.ndarray:
        """A frame in 64, uint8 [N, H, W, 3]."""
        return self.video.read(np.arange(0, self.video.num_frames, MAX_GROUP))

    def stretches(self) -> list[Stretch]:
        """None: nothing is encoded as video."""
        return []


def one_encoding(stretches: Sequence[Stretch]) -> Encoding | None:
    """The encoding of videos that can be joined without decoding; None if they cannot."""
    encodings = {source.encoding for source, _, _ in stretches}
    if len(encodings) == 1 and all(source.copies(start, stop) for source, start, stop in stretches):
        return encodings.pop()
    return None


def whole_file(footage: Footage) -> Path | None:
    """The file whose frames are exactly these; None if there is none."""
    if isinstance(footage, VideoFootage) and footage.start == 0:
        with closing(open_video(footage.path)) as video:
            return footage.path if video.num_frames == footage.stop else None
    return None


def save_video(footage: Footage, path: Path, frames_per_second: float, crf: int) -> bool:
    """Write footage as a video; returns whether the frames kept their encoding, and thereby every pixel.

    Args:
        footage: the frames.
        path: the file; where `footage` is all of a file, that is copied as it is.
        frames_per_second: rate of the new video.
        crf: quality of frames that have to be encoded (again).
    """
    whole = whole_file(footage)
    if whole is not None and whole.suffix == path.suffix:
        shutil.copyfile(whole, path)
        return True
    stretches = footage.stretches()
    if stretches and one_encoding(stretches):
        with closing(PacketWriter(path, frames_per_second)) as copy:
            for stretch in stretches:
                copy.add(*stretch)
        return True
    encode_video(footage, path, frames_per_second, crf)
    return False


def encode_video(footage: Footage, path: Path, frames_per_second: float, crf: int) -> None:
    """Encode footage as an mp4; arguments as `save_video`."""
    encoded: VideoWriter | None = None
    try:
        for frame in footage.frames():
            if encoded is None:
                height, width = frame.shape[:2]
                encoded = VideoWriter(path, frames_per_second, height, width, crf=crf)
            encoded.add(frame)
    finally:
        if encoded is not None:
            encoded.close()


def _read(video: Video, start: int, stop: int) -> Iterator[Frame]:
    """Frames [start, stop) of a video, in portions that fit memory."""
    step = max(1, MOST_BYTES // (video.height * video.width * 3))
    for at in range(start, stop, step):
        yield from video.read(np.arange(at, min(at + step, stop)))
