"""Recordings encoded again as ordinary tools write them, with the controls of each frame that is shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from racing_vpt.data.lines import write_lines
from racing_vpt.data.opening import FORMAT
from racing_vpt.data.pairing import PairedRecording
from racing_vpt.data.recording import Recording
from racing_vpt.data.renditions import Rendition, RenditionWriter, shown_frames
from racing_vpt.files import Draft, published, read_json, sha256_of, write_json
from racing_vpt.processes import in_parallel
from racing_vpt.types import Frame, FrameRecord
from racing_vpt.video.decode import MOST_BYTES
from racing_vpt.video.decoders import Video


@dataclass(frozen=True)
class RenditionTask:
    """One rendition of one recording.

    Args:
        source: the recording.
        rendition: encoding.
        folder: folder for the new recording.
        seed: seed of the intervals of a variable rate, and of drawn colours.
    """

    source: PairedRecording
    rendition: Rendition
    folder: Path
    seed: int

    @property
    def name(self) -> str:
        """Name of the new recording."""
        return f"{self.source.name}-{self.rendition.name}"

    @property
    def origin(self) -> dict[str, object]:
        """What the meta file says about where it comes from; the same task has the same."""
        return {
            "rendition": {**self.rendition.settings, "seed": self.seed},
            "rendition_of": self.source.recording.sha256,
        }

    def is_done(self) -> bool:
        """Whether the new recording exists; ValueError where it is one of another task."""
        meta_file = self.folder / f"{self.name}.meta.json"
        if not meta_file.is_file():
            return False
        meta = read_json(meta_file)
        if {key: meta.get(key) for key in self.origin} != self.origin:
            raise ValueError(
                f"{meta_file} is another rendition ({meta.get('rendition')}); remove it or choose another --out"
            )
        return True

    def result(self) -> Recording:
        """The new recording, which exists."""
        return Recording.open(self.folder / f"{self.name}.meta.json")


def render_all(tasks: Sequence[RenditionTask], workers: int, what: str) -> tuple[int, int]:
    """Write the renditions that do not exist yet, with progress; returns their number and that of their frames."""
    todo = {task.folder / task.name: task for task in tasks if not task.is_done()}
    work = in_parallel(Renderer(todo), list(todo), workers)
    frames = sum(tqdm(work, total=len(todo), unit="rendition", desc=f"renditions {what}", disable=not todo))
    return len(todo), frames


def render(task: RenditionTask) -> int:
    """Write a rendition as a recording of its own: lines, video and, last, the meta file; returns its frames.

    Raises:
        ValueError: the source is of an uneven rate, or cannot be read.
    """
    source, rendition = task.source.recording, task.rendition
    if source.uneven:
        raise ValueError(f"{source.video} is of a variable rate; make renditions of the recording that it comes from")
    shown, times = shown_frames(rendition, source.num_frames, source.frames_per_second, task.seed)
    path = task.folder / f"{task.name}.mkv"
    video = source.open_video()
    changed = rendition.picture.drawn(task.seed)
    draft = Draft(path)
    try:
        with closing(RenditionWriter(draft.temporary, rendition)) as writer:
            for frame, time in zip(frames_at(video, shown), times, strict=True):
                writer.add(changed(frame), float(time))
        if source.has_actions:  # before the video, so that an interrupted rendition does not count as unlabelled
            with published(path.with_suffix(".jsonl")) as lines:
                records = with_late_controls(source.records(), rendition.controls_late)
                write_lines(lines, records_at(records, shown, times))
        draft.publish()
    finally:
        draft.discard()
    size = rendition.height or video.height, rendition.width or video.width
    meta = {
        **about_rendition(path, rendition, times, source.frames_per_second, size, source.meta),
        "video_sha256": sha256_of(path),
        "actions": source.has_actions,
        **task.origin,
    }
    write_json(path.with_name(f"{task.name}.meta.json"), meta)
    return len(shown)


def about_rendition(
    path: Path,
    rendition: Rendition,
    times: np.ndarray,
    recorded_rate: float,
    size: tuple[int, int],
    meta: Mapping[str, object],
) -> dict[str, object]:
    """Fields of the meta file of a rendition.

    Args:
        path: its video.
        rendition: encoding.
        times: time of each frame in seconds, float64 [M].
        recorded_rate: frames per second of the recording, for a rendition of one frame.
        size: height and width in pixels.
        meta: further fields, those of the recording.
    """
    uneven = rendition.frames_per_second is None
    mean_rate = (len(times) - 1) / float(times[-1]) if len(times) > 1 else recorded_rate
    return {
        **{"environment": None, "seed": None, "versions": {}, **meta},
        "format": FORMAT,
        "name": path.stem,
        "kind": "recording",
        "frames_per_second": mean_rate if uneven else rendition.frames_per_second,
        "num_frames": len(times),
        "height": size[0],
        "width": size[1],
        "video": path.name,
        **({"uneven": True} if uneven else {}),
    }


class Renderer:
    """`Work` of processes: writes renditions.

    Args:
        tasks: by path without suffix.
    """

    def __init__(self, tasks: Mapping[Path, RenditionTask]) -> None:
        self.tasks = tasks

    def __call__(self, paths: Iterable[Path]) -> Iterator[tuple[Path, int]]:
        for path in paths:
            yield path, render(self.tasks[path])


def frames_at(video: Video, indices: np.ndarray) -> Iterator[Frame]:
    """Frames uint8 [H, W, 3] of a video at rising indices, which may repeat, in portions that fit memory."""
    step = max(1, MOST_BYTES // (video.height * video.width * 3))
    for at in range(0, len(indices), step):
        yield from video.read(indices[at : at + step])


def with_late_controls(records: Sequence[FrameRecord], late: int) -> Sequence[FrameRecord]:
    """Records whose controls are those of `late` frames before; the first or last ones are repeated."""
    if not late:
        return records
    sources = [records[min(max(0, index - late), len(records) - 1)] for index in range(len(records))]
    return [
        replace(record, action=source.action, perturbed=source.perturbed, intended=source.intended)
        for record, source in zip(records, sources, strict=True)
    ]


def records_at(records: Sequence[FrameRecord], shown: np.ndarray, times: np.ndarray) -> Iterator[FrameRecord]:
    """One record per frame of a rendition: the controls of the frame shown, and all rewards up to the next one.

    Args:
        records: those of the recording.
        shown: frame of the recording that each frame shows, int64 [M]; a repeated frame brings no further reward.
        times: time of each frame in seconds, float64 [M].
    """
    for index, (at, time) in enumerate(zip(shown.tolist(), times.tolist(), strict=True)):
        stop = int(shown[index + 1]) if index + 1 < len(shown) else len(records)
        span = records[at:stop]
        rewards = [record.reward for record in span]
        known = records[at].reward is not None and None not in rewards
        yield replace(
            records[at],
            frame=index,
            timestamp=time,
            reward=float(sum(reward for reward in rewards if reward is not None)) if known else None,
            first=None if records[at].first is None else any(record.first for record in span),
        )
