"""Films for a browser: H.264 in yuv420p, which every browser plays, with key frames close enough to scrub.

Our recordings keep colours of every pixel (yuv444p), which not all browsers decode. Small pictures are doubled, so that
the halved colours of yuv420p are again those of every pixel.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from racing_vpt.exchange.footage import Footage, one_encoding
from racing_vpt.files import published
from racing_vpt.types import Frame
from racing_vpt.video.packets import PacketWriter

SMALL, LARGE = 160, 480  # rows up to which a picture is doubled, and above which it is made smaller
GROUP = 25  # frames between key frames
CRF = 20  # x264's quality
PLAYED = ("h264", "yuv420p")  # codec and pixel format that browsers play
VERSION = 1  # of how films are made; another one makes them anew


def film_name(name: str, origin: Mapping[str, object]) -> str:
    """Name of an episode's film, which tells what is in it."""
    told = json.dumps([VERSION, SMALL, LARGE, GROUP, CRF, origin], sort_keys=True)
    return f"{name}-{hashlib.sha256(told.encode()).hexdigest()[:12]}.mp4"


def write_browser_film(footage: Footage, path: Path, frames_per_second: float) -> None:
    """Write footage as a film for a browser; frame i is shown from i / rate on.

    Args:
        footage: the frames. They are copied where they are H.264 in yuv420p and not too large, and encoded otherwise.
        path: the mp4.
        frames_per_second: rate of the film.
    """
    stretches = footage.stretches()
    encoding = one_encoding(stretches) if stretches else None
    keeps = encoding is not None and (encoding.codec, encoding.pixel_format) == PLAYED and encoding.height <= LARGE
    with published(path) as draft:
        if keeps:
            with closing(PacketWriter(draft, frames_per_second)) as copy:
                for stretch in stretches:
                    copy.add(*stretch)
        else:
            _encode(footage, draft, frames_per_second)


def thumbnail(frame: Frame, width: int = 120) -> bytes:
    """A small JPEG of a frame uint8 [H, W, 3]."""
    height = max(2, round(frame.shape[0] * width / frame.shape[1]))
    small = cv2.resize(frame, (width, min(height, 2 * width)), interpolation=cv2.INTER_AREA)
    done, coded = cv2.imencode(".jpg", np.ascontiguousarray(small[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 75])
    assert done
    return coded.tobytes()


def _encode(footage: Footage, path: Path, frames_per_second: float) -> None:
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = None
        for index, frame in enumerate(footage.frames()):
            shown = _sized(frame)
            if stream is None:
                rate = Fraction(frames_per_second).limit_denominator(1001)
                stream = container.add_stream("libx264", rate=rate)
                stream.height, stream.width, stream.pix_fmt = *shown.shape[:2], "yuv420p"
                stream.codec_context.gop_size = GROUP
                stream.codec_context.max_b_frames = 0
                stream.codec_context.thread_count = 1
                stream.options = {"crf": str(CRF), "preset": "veryfast"}
            picture = av.VideoFrame.from_ndarray(shown, format="rgb24")
            picture.pts = index
            container.mux(stream.encode(picture))
        if stream is not None:
            container.mux(stream.encode(None))


def _sized(frame: Frame) -> Frame:
    """A frame uint8 [H, W, 3] at the size of its film; both sides even."""
    height, width = frame.shape[:2]
    if height <= SMALL:
        return np.ascontiguousarray(frame.repeat(2, 0).repeat(2, 1))
    scale = min(1.0, LARGE / height)
    even = max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)
    if even == (width, height):
        return np.ascontiguousarray(frame)
    return cv2.resize(frame, even, interpolation=cv2.INTER_AREA)
