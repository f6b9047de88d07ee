"""Labels of videos from the displays of the controls in their pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from racing_vpt.games.overlay import Display
from racing_vpt.overlay.reader import Reader, learn
from racing_vpt.overlay.scale import never_seen, values_of
from racing_vpt.types import FrameRecord
from racing_vpt.video.decode import open_video
from racing_vpt.video.trust import examined_once

CHUNK_BYTES = 1 << 26  # of decoded frames at a time
Box = tuple[int, int, int, int]  # top, bottom, left, right in pixels
SAMPLES = 3000  # frames from which displays are learned


@dataclass(frozen=True)
class VideoLabels:
    """What the displays of a video say.

    Args:
        video: the file.
        times: float64 [T], seconds from the first frame on.
        frames_per_second: rate; the mean of an uneven one.
        controls: float64 [T] by name; where the confidence is 0, the last known value.
        confidence: float64 [T]; 0: covered, faded or gone, no label.
    """

    video: Path
    times: np.ndarray
    frames_per_second: float
    controls: dict[str, np.ndarray]
    confidence: np.ndarray

    def records(self) -> Iterator[FrameRecord]:
        """One record per frame."""
        for index, time in enumerate(self.times.tolist()):
            action = {name: round(float(values[index]), 4) for name, values in self.controls.items()}
            yield FrameRecord(index, time, action, confidence=round(float(self.confidence[index]), 3))


@dataclass(frozen=True)
class _Read:
    video: Path
    times: np.ndarray
    rate: float
    places: list[np.ndarray]
    confidence: list[np.ndarray]


def read_videos(
    videos: Sequence[Path],
    overlay: Sequence[Display],
    least_confidence: float,
    say: Callable[[str], None],
    progress: Callable[[int], object] = lambda frames: None,
) -> list[VideoLabels]:
    """Labels of videos of one layout; the displays are learned from all of them together.

    Args:
        videos: the files; each is examined before it is read.
        overlay: the displays.
        least_confidence: frames below it have no label.
        say: told what is odd.
        progress: called with each number of frames read.

    Raises:
        ValueError: the videos differ in size, or a display has no pixels.
    """
    sizes = {video: _size(video) for video in videos}
    if len({*sizes.values()}) > 1:
        listed = ", ".join(f"{video.name} {height}x{width}" for video, (height, width) in list(sizes.items())[:4])
        raise ValueError(f"videos that are read together have one size, but: {listed}; read each size by itself")
    total = sum(examined_once(video)[0] for video in videos)
    step = max(1, -(-total // SAMPLES))
    boxes = [_box(display, *sizes[videos[0]]) for display in overlay]
    readers = _learned(videos, overlay, boxes, step)
    for note in never_seen(readers):
        say(note)
    read = [_read(video, readers, boxes, progress) for video in videos]
    scaled: list[np.ndarray] = []
    for number, reader in enumerate(readers):
        places = np.concatenate([each.places[number] for each in read])
        sure = np.concatenate([each.confidence[number] for each in read]) > max(0.5, least_confidence)
        scaled.append(values_of(reader, places, sure))
    found, start = [], 0
    for each in read:
        span = slice(start, start + len(each.times))
        start = span.stop
        found.append(_labels(each, overlay, [values[span] for values in scaled], least_confidence))
    return found


def meta_of(labels: VideoLabels, overlay: Sequence[Display], name: str, fingerprint: str, sha256: str) -> Mapping:
    """Fields of the labels' meta file."""
    known = labels.confidence > 0
    return {
        "checkpoint": fingerprint,
        "checkpoint_name": f"overlay:{name}",
        "overlay": [asdict(display) for display in overlay],
        "label": "overlay",
        "video": labels.video.name,
        "video_sha256": sha256,
        "frames_per_second": labels.frames_per_second,
        "mean_confidence": float(labels.confidence.mean()),
        "unlabelled_frames": int((~known).sum()),
    }


def _learned(videos: Sequence[Path], overlay: Sequence[Display], boxes: Sequence[Box], step: int) -> list[Reader]:
    """Readers of the displays in their boxes, learned from every `step`-th frame."""
    cropped: list[list[np.ndarray]] = [[] for _ in overlay]
    for video in videos:
        with closing(open_video(video)) as opened:
            for indices in _chunks(np.arange(0, opened.num_frames, step), opened.height, opened.width):
                frames = opened.read(indices)
                for parts, (top, bottom, left, right) in zip(cropped, boxes, strict=True):
                    parts.append(np.ascontiguousarray(frames[:, top:bottom, left:right]))
    size = _size(videos[0])
    return [
        learn(_within(display, box, size), parts) for display, box, parts in zip(overlay, boxes, cropped, strict=True)
    ]


def _box(display: Display, height: int, width: int) -> Box:
    """Rows and columns that hold a display and its surroundings."""
    top, left = round(display.place[0] * height), round(display.place[1] * width)
    bottom = round((display.place[0] + display.place[2]) * height)
    right = round((display.place[1] + display.place[3]) * width)
    around = min(bottom - top, right - left) + 4
    return max(0, top - around), min(height, bottom + around), max(0, left - around), min(width, right + around)


def _within(display: Display, box: Box, size: tuple[int, int]) -> Display:
    """The display with its place as shares of a box of the picture."""
    top, bottom, left, right = box
    tall, wide = bottom - top, right - left
    rows = (round(display.place[0] * size[0]) - top, round((display.place[0] + display.place[2]) * size[0]) - top)
    columns = (
        round(display.place[1] * size[1]) - left,
        round((display.place[1] + display.place[3]) * size[1]) - left,
    )
    place = (rows[0] / tall, columns[0] / wide, (rows[1] - rows[0]) / tall, (columns[1] - columns[0]) / wide)
    return replace(display, place=place)


def _read(video: Path, readers: Sequence[Reader], boxes: Sequence[Box], progress: Callable[[int], object]) -> _Read:
    places: list[list[np.ndarray]] = [[] for _ in readers]
    confidence: list[list[np.ndarray]] = [[] for _ in readers]
    with closing(open_video(video)) as opened:
        for indices in _chunks(np.arange(opened.num_frames), opened.height, opened.width):
            frames = opened.read(indices)
            for number, (reader, (top, bottom, left, right)) in enumerate(zip(readers, boxes, strict=True)):
                readings = reader.read(frames[:, top:bottom, left:right])
                places[number].append(readings.places)
                confidence[number].append(readings.confidence)
            progress(len(indices))
        return _Read(
            video,
            np.asarray(opened.timestamps, np.float64),
            round(opened.frames_per_second, 6),
            [np.concatenate(each) for each in places],
            [np.concatenate(each) for each in confidence],
        )


def _labels(
    read: _Read, overlay: Sequence[Display], values: Sequence[np.ndarray], least_confidence: float
) -> VideoLabels:
    confidence = np.prod(np.stack(read.confidence), axis=0)
    confidence[confidence < least_confidence] = 0
    controls: dict[str, np.ndarray] = {}
    for display, column in zip(overlay, values, strict=True):
        controls[display.control] = controls.get(display.control, 0.0) + column
    known = np.flatnonzero(confidence > 0)
    if len(known):
        last = known[np.clip(np.searchsorted(known, np.arange(len(confidence)), "right") - 1, 0, None)]
        controls = {name: column[last] for name, column in controls.items()}
    else:
        controls = {name: np.zeros_like(column) for name, column in controls.items()}
    return VideoLabels(read.video, read.times, read.rate, controls, confidence)


def _chunks(indices: np.ndarray, height: int, width: int) -> Iterator[np.ndarray]:
    step = max(1, CHUNK_BYTES // (height * width * 3))
    for start in range(0, len(indices), step):
        yield indices[start : start + step]


def _size(video: Path) -> tuple[int, int]:
    with closing(open_video(video)) as opened:
        return opened.height, opened.width
