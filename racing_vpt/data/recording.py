"""A recording: one episode on disk, as `NAME.mp4` (or a folder of PNG frames), `NAME.jsonl` and `NAME.meta.json`.

They are published together; lines without a meta file are unfinished. Any other video counts as an
unlabelled recording.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from racing_vpt.data.label_files import earlier_labels, write_labels
from racing_vpt.data.lines import check_controls, columns, read_lines, to_line
from racing_vpt.data.opening import FORMAT, describe
from racing_vpt.files import Draft, DraftFolder, check_free, json_text, publish_together, sha256_of
from racing_vpt.known_files import known_sha256
from racing_vpt.types import Frame, FrameRecord
from racing_vpt.video.decode import Decoder, Device, open_video
from racing_vpt.video.decoders import PictureFolder, Video
from racing_vpt.video.encode import PixelFormat, VideoWriter, count_frames
from racing_vpt.video.trust import check_sha256, examined_once, remember_written

log = logging.getLogger(__name__)


class RecordingWriter:
    """Writes a recording; a context manager that publishes it at the end of its block, or removes it on an error.

    Args:
        folder: folder for the recording.
        name: its name, without dots.
        frames_per_second: frame rate of the video.
        meta: further fields of the meta file (agent, seed, environment, versions, ...), JSON values.
        video: write `NAME.mp4`; otherwise a folder `NAME` of PNG frames, without loss.
        actions: write `NAME.jsonl`; otherwise the recording is a video without controls.
        truth_folder: folder for the lines (kind `truth`) if `actions` is false; for scoring.
        crf: quality of the video (`VideoWriter`).
        pixel_format: pixel format of the video (`VideoWriter`).
        replaced: files of an earlier version of this recording, which are replaced. Nothing else is.

    Raises:
        FileExistsError: a file of one of its names exists.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        *,
        frames_per_second: float,
        meta: Mapping[str, object],
        video: bool = True,
        actions: bool = True,
        truth_folder: Path | None = None,
        crf: int = 12,
        pixel_format: PixelFormat = "yuv444p",
        replaced: Sequence[Path] = (),
    ) -> None:
        if not name or "." in name or "/" in name:
            raise ValueError(f"a recording's name has no dots or slashes, but {name!r} was given")
        self.folder, self.name, self.frames_per_second = folder, name, frames_per_second
        self.meta, self.actions, self.truth_folder = dict(meta), actions, truth_folder
        self.num_frames = 0
        self._quality, self._shape = (crf, pixel_format), (0, 0, 3)
        self._video: VideoWriter | None = None
        self._replaced = replaced
        lines, pictures, self._meta_file = (folder / f"{name}{suffix}" for suffix in (".jsonl", ".mp4", ".meta.json"))
        pictures = pictures if video else folder / name
        for path in (
            *([lines] if actions else []),
            pictures,
            self._meta_file,
        ):  # fail now, not after an hour of driving
            if path not in replaced:
                check_free(path)
        if truth_folder is not None and not actions:
            earlier_labels(truth_folder / lines.name, "truth")
        self._pictures: Draft | DraftFolder = Draft(pictures) if video else DraftFolder(pictures)
        self._draft_lines = Draft(lines)
        self._lines = self._draft_lines.temporary.open("w")

    def add(self, frame: Frame, record: FrameRecord) -> None:
        """Append a frame uint8 [H, W, 3] and its record."""
        if record.frame != self.num_frames:
            raise ValueError(f"{self.name}: frame {record.frame} was given, but frame {self.num_frames} was expected")
        check_controls(record.action, f"{self.name}, frame {record.frame}")
        self._shape = self._shape if self.num_frames else frame.shape
        if frame.shape != self._shape or frame.dtype != np.uint8:
            raise ValueError(f"{self.name}, frame {record.frame}: {frame.dtype} {frame.shape}, not uint8 {self._shape}")
        if isinstance(self._pictures, DraftFolder):
            picture = f"{record.frame:06d}.png"
            cv2.imwrite(str(self._pictures.temporary / picture), np.ascontiguousarray(frame[..., ::-1]))
            observation = {**record.observation, "image": f"{self.name}/{picture}"}
            record = FrameRecord(**{**vars(record), "observation": observation})
        else:
            if self._video is None:
                crf, pixel_format = self._quality
                height, width = frame.shape[:2]
                self._video = VideoWriter(
                    self._pictures.temporary, self.frames_per_second, height, width, crf=crf, pixel_format=pixel_format
                )
            self._video.add(frame)
        self._lines.write(to_line(record) + "\n")
        self.num_frames += 1

    def close(self) -> None:
        """Publish lines, video and meta file together.

        Raises:
            ValueError: there are no frames, or the video lacks some.
            FileExistsError: another program wrote a file of one of the recording's names in the meantime.
        """
        if not self.num_frames:
            self.abort()
            raise ValueError(f"{self.name}: a recording needs at least one frame")
        self._lines.close()
        if self._video is not None:
            self._video.close()
            stored = count_frames(self._pictures.temporary)
            if stored != self.num_frames:
                raise ValueError(
                    f"{self._pictures.path} would hold {stored} frames, but {self.num_frames} were written"
                )
        sha256 = sha256_of(self._pictures.temporary)
        meta = {
            "format": FORMAT,
            "name": self.name,
            "kind": "recording",
            "environment": None,
            "seed": None,
            "frames_per_second": self.frames_per_second,
            "num_frames": self.num_frames,
            "height": self._shape[0],
            "width": self._shape[1],
            "video": self._pictures.path.name,
            "video_sha256": sha256,
            "actions": self.actions,
            "versions": {},
            **self.meta,
        }
        if not self.actions and self.truth_folder is not None:
            truth = self.truth_folder / f"{self.name}.jsonl"
            write_labels(truth, read_lines(self._draft_lines.temporary), {**meta, "kind": "truth", "actions": True})
        meta_draft = Draft(self._meta_file)
        try:
            meta_draft.temporary.write_text(json_text(meta))
            drafts = [*([self._draft_lines] if self.actions else []), self._pictures, meta_draft]
            publish_together(drafts, self._replaced)
            if self._video is not None:
                remember_written(self._pictures.path, sha256, self.num_frames, self.frames_per_second)
        finally:
            meta_draft.discard()
            self.abort()

    def abort(self) -> None:
        """Remove the unfinished recording."""
        self._draft_lines.discard()
        self._pictures.discard()

    def __enter__(self) -> RecordingWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._lines.close()
            self.abort()


@dataclass(frozen=True)
class Recording:
    """An episode on disk, opened by `Recording.open`.

    Args:
        name: name of the episode.
        video: the video file, or the folder of PNG frames.
        num_frames: number of frames in the video.
        frames_per_second: rate of the video.
        lines: the file with one line per frame, or None if there are no controls.
        meta: the meta file's content; empty for a video without one.
    """

    name: str
    video: Path
    num_frames: int
    frames_per_second: float
    lines: Path | None
    meta: dict = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path) -> Recording:
        """Open the recording named by a meta file, a video, a folder of PNG frames or a path without suffix."""
        return cls(*describe(path))

    @property
    def has_actions(self) -> bool:
        """Whether there are controls."""
        return self.lines is not None

    @property
    def uneven(self) -> bool:
        """Whether the time stamps of its lines are unevenly spaced."""
        return self.meta.get("uneven") is True and self.lines is not None

    @property
    def times(self) -> np.ndarray:
        """Time of each frame, float64 [T], seconds since the start of the video."""
        if self.uneven:
            return np.array([record.timestamp for record in self.records()])
        return np.arange(self.num_frames) / self.frames_per_second

    @property
    def sha256(self) -> str:
        """Hexadecimal sha256 of the video, from the meta file, or computed."""
        return self.meta.get("video_sha256") or known_sha256(self.video)

    def check(self) -> None:
        """Check once that the video is the one that the meta file describes, whole and decodable (`video/trust.py`).

        Raises:
            ValueError: its content or its number of frames differs, or it is damaged.
        """
        promised = self.meta.get("video_sha256")
        if self.video.is_dir():
            frames = len(list(self.video.glob("*.png")))
            if promised and known_sha256(self.video) != promised:
                raise ValueError(f"{self.video} does not hold the pictures that its meta file describes")
        else:
            if promised:
                check_sha256(self.video, promised)
            frames, _ = examined_once(self.video)
        if frames != self.num_frames:
            raise ValueError(
                f"{self.video} holds {frames} frames, but {self.num_frames} were recorded; "
                f"check it with: racing-vpt verify {self.video.parent}"
            )

    def open_video(self, decoder: Decoder = "auto", device: Device = "cpu") -> Video:
        """Open the video for reading, once it was checked.

        Raises:
            ValueError: the number of frames differs from the meta file's, or the video cannot be decoded.
        """
        self.check()
        if self.video.is_dir():
            video: Video = PictureFolder(self.video, self.frames_per_second)
        else:
            video = open_video(self.video, decoder, device)
        if video.num_frames != self.num_frames:
            raise ValueError(
                f"{self.video} holds {video.num_frames} frames, but {self.num_frames} were recorded; "
                f"check it with: racing-vpt verify {self.video.parent}"
            )
        return video

    def records(self) -> list[FrameRecord]:
        """One record per frame; ValueError names file and line of an error."""
        if self.lines is None:
            raise ValueError(f"{self.video} has no controls beside it; label it with: racing-vpt predict")
        records = read_lines(self.lines)
        if len(records) != self.num_frames:
            given = f"{self.lines} has {len(records)} lines"
            raise ValueError(f"{given}, but {self.video.name} has {self.num_frames} frames")
        return records

    def controls(self) -> dict[str, np.ndarray]:
        """Controls float32 [T] by name."""
        return columns(self.records())
