"""Encodes frames as H.264 in an mp4.

Closed groups of pictures of 64 frames at most, no B-frames (so that frame i is packet i and none is lost at either
end), one thread (so that the same frames give the same bytes). Colours are not subsampled: in yuv420p a car of a few
pixels would lose its wheels. A GPU's decoder reads yuv420p only; ask for that where the video is to be decoded there.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, Literal

import av
import numpy as np

from racing_vpt.types import Frame
from racing_vpt.video.containers import open_container

PixelFormat = Literal["yuv444p", "yuv420p"]
MAX_GROUP = 64  # maximum distance of key frames
# Equal quality for all macroblocks: by default x264 saves bits on small dark moving objects, such as wheels.
EVEN = {"mbtree": "0", "aq-mode": "0"}


class VideoWriter:
    """Writes an mp4 frame by frame.

    Args:
        target: path or open binary file.
        frames_per_second: frame rate.
        height: pixels.
        width: pixels.
        crf: x264's constant rate factor: 0 is lossless, 12 is hard to tell from the original, 23 is x264's default.
        pixel_format: `yuv444p`, or `yuv420p` for decoders on a GPU (which needs an even height and width).
        comment: text that is kept in the file, such as who wrote it; None: none.
    """

    def __init__(
        self,
        target: Path | BinaryIO,
        frames_per_second: float,
        height: int,
        width: int,
        crf: int = 12,
        pixel_format: PixelFormat = "yuv444p",
        comment: str | None = None,
    ) -> None:
        self.num_frames = 0
        self.shape = (height, width, 3)
        self._container = av.open(str(target) if isinstance(target, Path) else target, "w", format="mp4")
        if comment is not None:
            self._container.metadata["comment"] = comment
        rate = Fraction(frames_per_second).limit_denominator(1001)
        self._stream = self._container.add_stream("libx264", rate=rate)
        self._stream.height, self._stream.width, self._stream.pix_fmt = height, width, pixel_format
        self._stream.codec_context.thread_count = 1
        self._stream.codec_context.gop_size = MAX_GROUP
        self._stream.codec_context.max_b_frames = 0
        self._stream.options = {"crf": str(crf), "preset": "veryfast", "flags": "+cgop", "sc_threshold": "0", **EVEN}

    def add(self, frame: Frame) -> None:
        """Append a frame uint8 [H, W, 3]."""
        if frame.dtype != np.uint8 or frame.shape != self.shape:
            raise ValueError(
                f"frame {self.num_frames} is {frame.dtype} {list(frame.shape)}; this video is uint8 {list(self.shape)}"
            )
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        picture.pts = self.num_frames
        self._container.mux(self._stream.encode(picture))
        self.num_frames += 1

    def close(self) -> None:
        """Flush the encoder and finish the file."""
        self._container.mux(self._stream.encode(None))
        self._container.close()


def count_frames(path: Path) -> int:
    """Number of video packets in a file, without decoding; ValueError names a file that is not a video."""
    try:
        with open_container(path) as container:
            return sum(packet.size > 0 for packet in container.demux(container.streams.video[0]))
    except (av.FFmpegError, IndexError) as error:
        if isinstance(error, OSError):  # of the disk, not of the file's content
            raise
        raise ValueError(f"{path} is not a video that FFmpeg can read: {error}") from error
