"""Interface of an open video, and the decoders decord and torchcodec (PyAV: `pyav_video.py`).

A decoder must be opened in the process that reads with it: a decord reader opened before a fork hangs.
"""

from __future__ import annotations

import io
import os
import shlex
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from racing_vpt.files import refuse_link_out, require_regular

Source = Path | bytes  # path or bytes of a video
VIDEO_SUFFIXES = frozenset({".mp4", ".mkv", ".avi", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".flv", ".wmv"})

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"  # first bytes of a picture
JPEG_SUFFIXES = (".jpg", ".jpeg")
LARGEST_PNG = 8192  # pixels a side, as of a video


class Video(ABC):
    """An open video.

    Args:
        source: path or bytes.
        num_frames: number of frames.
        frames_per_second: average rate.
        height: pixels, as shown.
        width: pixels, as shown.
        timestamps: float64 [num_frames], presentation time of each frame in seconds since the first.
    """

    source: Source
    num_frames: int
    frames_per_second: float
    height: int
    width: int
    timestamps: np.ndarray

    def read(self, indices: np.ndarray | range | list[int]) -> np.ndarray:
        """Frames uint8 [T, H, W, 3] by index, in any order, with repetitions; cheapest in increasing order.

        Raises:
            ValueError: a frame cannot be decoded; frames are never replaced by others.
            IndexError: an index outside the video.
        """
        wanted = np.asarray(indices, np.int64)
        if len(wanted) and not (wanted.min() >= 0 and wanted.max() < self.num_frames):
            raise IndexError(
                f"{self.name} has {self.num_frames} frames; {wanted.min()} to {wanted.max()} were asked for"
            )
        if not len(wanted):
            return np.zeros((0, self.height, self.width, 3), np.uint8)
        distinct, inverse = np.unique(wanted, return_inverse=True)
        frames = self._read(distinct)
        if len(frames) != len(distinct):
            raise ValueError(f"{self.name}: {len(frames)} of {len(distinct)} frames could be decoded; is it truncated?")
        return frames if np.array_equal(distinct, wanted) else frames[inverse]

    @property
    def name(self) -> str:
        """Name of the video in errors."""
        return str(self.source) if isinstance(self.source, Path) else f"a clip of {len(self.source)} bytes"

    @abstractmethod
    def _read(self, indices: np.ndarray) -> np.ndarray:
        """Frames of increasing, distinct, valid indices."""

    def close(self) -> None:  # noqa: B027 - most have nothing to let go of
        """Close the file."""


@cache
def decord_reader() -> type:
    """decord's VideoReader, which a forked process does not close.

    The child of a fork has the reader but not its threads; closing it, as Python does when it collects the parent's
    garbage, would wait for them for ever.
    """
    import decord

    class Reader(decord.VideoReader):
        def __init__(self, *values: object, **options: object) -> None:
            self.process = os.getpid()
            super().__init__(*values, **options)

        def __del__(self) -> None:
            if self.process == os.getpid():
                super().__del__()

    return Reader


class DecordVideo(Video):
    """decord; on the GPU only if built from source with CUDA."""

    def __init__(self, source: Source, device: str = "cpu") -> None:
        import decord

        self.source = source
        context = decord.gpu(0) if device == "cuda" else decord.cpu(0)
        uri = str(source) if isinstance(source, Path) else io.BytesIO(source)
        try:  # fault_tol: otherwise a bad frame is silently replaced by the one before it
            self._reader = decord_reader()(uri, ctx=context, num_threads=1, fault_tol=1e-9)
            self.num_frames = len(self._reader)
            self.frames_per_second = float(self._reader.get_avg_fps())
            first = self._reader[0].shape
            times = self._reader.get_frame_timestamp(range(self.num_frames))[:, 0].astype(np.float64)
        except Exception as error:  # decord raises its own errors, RuntimeError and IndexError
            raise ValueError(f"{self.name} cannot be decoded by decord: {first_line(error)}") from error
        self.height, self.width = int(first[0]), int(first[1])
        self.timestamps = times - times[0]

    def _read(self, indices: np.ndarray) -> np.ndarray:
        try:
            return self._reader.get_batch(indices.tolist()).asnumpy()
        except Exception as error:
            raise ValueError(f"{self.name} cannot be decoded by decord: {first_line(error)}") from error


class TorchcodecVideo(Video):
    """torchcodec; on the GPU if its build and the driver allow it."""

    def __init__(self, source: Source, device: str = "cpu") -> None:
        from torchcodec.decoders import VideoDecoder

        self.source = source
        given = str(source) if isinstance(source, Path) else source
        try:
            self._decoder = VideoDecoder(given, dimension_order="NHWC", num_ffmpeg_threads=1, device=device)
            metadata = self._decoder.metadata
            self.num_frames = int(metadata.num_frames)
            self.frames_per_second = float(metadata.average_fps)
            self.height, self.width = int(metadata.height), int(metadata.width)
            times = self._decoder.get_frames_in_range(0, self.num_frames).pts_seconds if self.num_frames < 256 else None
        except Exception as error:
            raise ValueError(f"{self.name} cannot be decoded by torchcodec: {first_line(error)}") from error
        regular = np.arange(self.num_frames) / self.frames_per_second
        self.timestamps = regular if times is None else times.cpu().numpy() - float(times[0])

    def _read(self, indices: np.ndarray) -> np.ndarray:
        try:
            return self._decoder.get_frames_at(indices=indices.tolist()).data.cpu().numpy()
        except Exception as error:
            raise ValueError(f"{self.name} cannot be decoded by torchcodec: {first_line(error)}") from error


class PictureFolder(Video):
    """A folder of pictures, one per frame, with a given frame rate.

    Args:
        source: the folder.
        frames_per_second: frame rate.
        files: the pictures in order, PNG or JPEG. Default: the PNG files of the folder, in order of their names.
    """

    def __init__(self, source: Path, frames_per_second: float, files: Sequence[Path] | None = None) -> None:
        self.source, self.frames_per_second = source, frames_per_second
        self._files = sorted(source.glob("*.png")) if files is None else list(files)
        self.num_frames = len(self._files)
        if not self._files:
            raise FileNotFoundError(f"{source} holds no PNG frames")
        self.height, self.width = self._decode(0).shape[:2]
        self.timestamps = np.arange(self.num_frames) / frames_per_second

    def _read(self, indices: np.ndarray) -> np.ndarray:
        return np.stack([self._decode(index) for index in indices])

    def _decode(self, index: int) -> np.ndarray:
        file = self._files[index]
        refuse_link_out(file, file.parent)
        require_regular(file)
        check_picture(file)
        try:
            picture = cv2.imread(str(file), cv2.IMREAD_COLOR)
        except cv2.error as error:  # exceeds OpenCV's limit of pixels
            raise ValueError(f"{file} is not a picture that can be read: {first_line(error)}") from error
        if picture is None:
            raise ValueError(f"{file} is not a picture that can be read")
        return np.ascontiguousarray(picture[..., ::-1])


def check_picture(file: Path) -> None:
    """Raise ValueError if a file is not a PNG or JPEG picture, or its header asks for more pixels than a frame has."""
    if file.suffix.lower() in JPEG_SUFFIXES:
        check_jpeg(file)
        return
    with file.open("rb") as opened:
        head = opened.read(24)
    width, height = int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
    if len(head) < 24 or not head.startswith(PNG):
        raise ValueError(f"{file} is not a PNG picture")
    if not (0 < width <= LARGEST_PNG and 0 < height <= LARGEST_PNG):
        raise ValueError(f"{file} says that it has {width}x{height} pixels; up to {LARGEST_PNG} a side can be read")


def check_jpeg(file: Path) -> None:
    """Raise ValueError if a file is not a JPEG, or its header asks for more pixels than a frame has."""
    try:
        with Image.open(file, formats=["JPEG"]) as picture:
            width, height = picture.size
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{file} is not a JPEG picture") from error
    if max(width, height) > LARGEST_PNG:
        raise ValueError(f"{file} says that it has {width}x{height} pixels; up to {LARGEST_PNG} a side can be read")


def first_line(error: BaseException) -> str:
    """The most informative line of a library's error."""
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return lines[-1].strip()[:200] if lines else type(error).__name__


def write_anew(name: str) -> str:
    """Command that rewrites a video which players show but which cannot be read."""
    return f"write it anew: ffmpeg -i {shlex.quote(Path(name).name)} NEW.mp4"
