"""Renditions of a recording in other codecs, qualities, sizes and frame rates, as ordinary tools record video.

A model trained on our own recordings alone fails on other video (`LOG.md`). Renditions are really encoded and decoded:
no augmentation removes the same detail as a codec (a wheel of three pixels, the texture of grass between key frames).
For each frame of a rendition the shown frame of the recording and its time are known, and thereby its controls.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np
from av.video.stream import VideoStream

from racing_vpt.data.picture_change import PictureChange
from racing_vpt.frames import resize
from racing_vpt.types import Fit, Frame
from racing_vpt.video.containers import open_container

Codec = Literal["x264", "x265", "vp9", "lossless"]
TIME_BASE = Fraction(1, 90_000)  # unit of time stamps: 1 / a multiple of every usual rate
ADDED = ("fit", "picture", "controls_late")  # options that older renditions do not name
UNEVEN = (1 / 38, 0.007, 1 / 60, 1 / 18)  # seconds between frames of a variable rate: mean, deviation, minimum, maximum


@dataclass(frozen=True)
class Rendition:
    """Encoding of a rendition.

    Args:
        name: name of the rendition; letters, digits, `-` and `_`.
        codec: `lossless` is x264 in RGB at crf 0.
        crf: quality; x264's default is 23, x265's 28.
        preset: preset of x264 and x265; ordinary tools use `medium`.
        height: pixels, an even number; None: the recording's.
        width: pixels, an even number; None: the recording's.
        frames_per_second: frame rate; None: variable, as phones and browsers record.
        fit: how the recording's picture is fitted to the size; `letterbox` adds black bars.
        picture: what is done to the picture before.
        controls_late: frames of the recording by which its controls come late, on purpose (negative: early), to measure
            what that costs.
    """

    name: str
    codec: Codec = "x264"
    crf: int = 23
    preset: str = "medium"
    height: int | None = None
    width: int | None = None
    frames_per_second: float | None = 50.0
    fit: Fit = "stretch"
    picture: PictureChange = PictureChange()  # noqa: RUF009 - frozen
    controls_late: int = 0

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", self.name):
            raise ValueError(f"a rendition's name has letters, digits, - and _ only, but {self.name!r} was given")
        sizes = [size for size in (self.height, self.width) if size is not None]
        if not 0 <= self.crf <= 63 or any(size < 2 or size % 2 for size in sizes):
            raise ValueError(f"a rendition needs crf from 0 to 63 and even sizes in pixels, but has {self}")
        if self.frames_per_second is not None and not 0 < self.frames_per_second < 1000:
            raise ValueError(f"frames_per_second is below 1000, or null for a variable rate, but {self} was given")

    @property
    def settings(self) -> dict[str, object]:
        """The options as JSON values, without later ones at their defaults, so that older renditions are recognised."""
        changed = {field.name for field in fields(self) if getattr(self, field.name) != field.default}
        values = {**asdict(self), "picture": {**asdict(self.picture), "hide": [[*each] for each in self.picture.hide]}}
        return {name: value for name, value in values.items() if name not in ADDED or name in changed}


def ordinary_renditions(rate: float) -> tuple[Rendition, ...]:
    """Renditions as screen recorders, editors and video sites write them; crf 23 is the default of most tools.

    Args:
        rate: frames per second of the recording.
    """
    return (
        Rendition("lossless", "lossless", frames_per_second=rate),
        Rendition("crf18", crf=18, frames_per_second=rate),
        Rendition("crf23", frames_per_second=rate),
        Rendition("crf28", crf=28, frames_per_second=rate),
        Rendition("crf23-30fps", frames_per_second=30.0),
        Rendition("crf23-variable", frames_per_second=None),
    )


def random_rendition(random: np.random.Generator) -> Rendition:
    """A random rendition for training: size, codec, quality and rate."""
    large = random.random() < 0.4
    codecs: tuple[Codec, ...] = ("x264", "x264", "x264", "x265", "vp9")
    codec = codecs[random.integers(len(codecs))]
    crf = int(random.integers(18, 29) if large else random.integers(14, 33))
    rate = float(random.choice([50.0, 50.0, 50.0, 30.0, 30.0, 25.0, 24.0, 60.0, np.nan]))
    preset = str(random.choice(["veryfast", "faster", "medium"]))
    height, width = (400, 600) if large else (96, 96)
    name = f"{codec}-{crf}-{width}x{height}-{'uneven' if np.isnan(rate) else f'{rate:g}'}"
    return Rendition(name, codec, crf, preset, height, width, None if np.isnan(rate) else rate)


def shown_frames(
    rendition: Rendition, num_frames: int, recorded_rate: float, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Frame of the recording that each of the rendition's frames shows, int64 [M], and its time in seconds [M].

    A screen shows the last picture drawn, so a frame shows the recording's last frame before its time.

    Args:
        rendition: the rendition, of which the rate is used.
        num_frames: number of frames of the recording.
        recorded_rate: frames per second of the recording.
        seed: seed of the intervals of a variable rate.
    """
    duration = num_frames / recorded_rate
    if rendition.frames_per_second is None:
        random, times, now = np.random.default_rng(seed), [], 0.0
        mean, deviation, least, most = UNEVEN
        while now < duration:
            times.append(now)
            now += float(np.clip(random.normal(mean, deviation), least, most))
        at = np.array(times)
    else:
        at = np.arange(int(duration * rendition.frames_per_second)) / rendition.frames_per_second
    return np.minimum(np.floor(at * recorded_rate + 1e-6).astype(np.int64), num_frames - 1), at


class RenditionWriter:
    """Writes a rendition frame by frame, each with its own time, scaled to the rendition's size.

    Args:
        path: a `.mkv` file, which allows every codec and variable rates.
        rendition: encoding.
    """

    def __init__(self, path: Path, rendition: Rendition) -> None:
        self.rendition = rendition
        # without a random identity, so that the same frames give the same bytes
        self._container = av.open(str(path), "w", format="matroska", options={"fflags": "+bitexact"})
        self._stream: VideoStream | None = None
        self._last = -1

    def _begin(self, height: int, width: int) -> VideoStream:
        name, options, pixels = _codec(self.rendition)
        rate = Fraction(self.rendition.frames_per_second or 60).limit_denominator(1001)
        stream = self._container.add_stream(name, rate=rate)
        assert isinstance(stream, VideoStream), "every codec below is a video codec"
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        stream.options = {**options}
        stream.codec_context.thread_count = 1
        stream.codec_context.time_base = stream.time_base = TIME_BASE
        return stream

    def add(self, frame: Frame, time: float) -> None:
        """Append a frame uint8 [H, W, 3] shown from `time` (seconds) on."""
        height, width = self.rendition.height or frame.shape[0], self.rendition.width or frame.shape[1]
        if self._stream is None:
            self._stream = self._begin(height, width)
        frame = resize(frame, height, width, self.rendition.fit)
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        self._last = max(self._last + 1, round(time / TIME_BASE))
        picture.pts, picture.time_base = self._last, TIME_BASE
        self._container.mux(self._stream.encode(picture))

    def close(self) -> None:
        """Flush the encoder and finish the file."""
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))
        self._container.close()


def timed_frames(path: Path) -> Iterator[tuple[Frame, float]]:
    """Every frame of a video once, uint8 [H, W, 3], with its time in seconds."""
    with open_container(path) as container:
        container.streams.video[0].codec_context.thread_count = 1
        for frame in container.decode(video=0):
            assert frame.time is not None, f"{path} has frames without a time"
            yield frame.to_ndarray(format="rgb24"), frame.time


def _codec(rendition: Rendition) -> tuple[str, dict[str, str], str]:
    crf, preset = str(rendition.crf), rendition.preset
    if rendition.codec == "x264":
        return "libx264", {"crf": crf, "preset": preset}, "yuv420p"
    if rendition.codec == "x265":
        quiet = "pools=none:frame-threads=1:log-level=none"
        return "libx265", {"crf": crf, "preset": preset, "x265-params": quiet}, "yuv420p"
    if rendition.codec == "vp9":
        return "libvpx-vp9", {"crf": crf, "b": "0", "deadline": "realtime", "cpu-used": "8"}, "yuv420p"
    return "libx264rgb", {"crf": "0", "preset": "ultrafast"}, "rgb24"
