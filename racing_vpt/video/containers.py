"""Opens a video with FFmpeg, restricted to containers that hold the pictures themselves.

FFmpeg also opens lists of other files (ffconcat, HLS playlists) under any name, so that a text named `ride.mp4` would
show another video.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import av
from av.container import InputContainer

from racing_vpt.files import require_regular

FORMATS = "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,flv,asf,ogg,mxf,nut,ivf"  # FFmpeg's names
ONLY_THIS_FILE = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}


def check_container(source: Path | bytes) -> None:
    """Raise ValueError unless FFmpeg opens it in an allowed container; for decoders that open files themselves."""
    if isinstance(source, bytes) and source[4:8] == b"ftyp":  # an mp4, as the clips in shards
        return
    try:
        open_container(source if isinstance(source, Path) else BytesIO(source)).close()
    except av.FFmpegError as error:
        named = source if isinstance(source, Path) else f"a clip of {len(source)} bytes"
        raise ValueError(f"{named} cannot be decoded: {error.strerror}") from error


def open_container(source: Path | BytesIO, **options: str) -> InputContainer:
    """Open a video file, or the bytes of one.

    Args:
        source: the file.
        options: options of FFmpeg's demuxers.

    Raises:
        ValueError: it is not a file, or not in an allowed container.
        av.FFmpegError: it is damaged.
    """
    if isinstance(source, Path):
        require_regular(source)
    try:
        return av.open(str(source) if isinstance(source, Path) else source, "r", options={**ONLY_THIS_FILE, **options})
    except av.error.ArgumentError as error:  # what is not on the list, and little else
        named = str(source) if isinstance(source, Path) else "a clip"
        raise ValueError(f"{named} is in no container of video that is read here, such as mp4, mkv or webm") from error
