"""A recording: one episode on disk, as `NAME.mp4` (or a folder of PNG frames), `NAME.jsonl` and `NAME.meta.json`.

The meta file is written last, so a recording exists exactly when its meta file does. Any other video counts as an
unlabelled recording without a meta file.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from racing_vpt.data.encode import PixelFormat, VideoWriter, count_frames
from racing_vpt.data.files import TEMPORARY, publish, published, read_json, sha256_of, write_json
from racing_vpt.data.lines import check_controls, columns, read_lines, to_line, write_lines
from racing_vpt.types import Frame, FrameRecord

FORMAT = 1
VIDEO_SUFFIXES = frozenset({".mp4", ".mkv", ".avi", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".flv", ".wmv"})


class RecordingWriter:
    """Writes one recording; a context manager that publishes it when its block ends well, and else removes it.

    Args:
        folder: where the recording goes.
        name: its name, without dots.
        frames_per_second: rate of the video.
        meta: what else the meta file should say (agent, seed, environment, versions, ...), JSON values.
        video: write `NAME.mp4`; else a folder `NAME` of PNG frames, which loses nothing.
        actions: write `NAME.jsonl`; else the recording is a video without controls.
        truth_folder: where the lines go (as `write_labels` does, kind `truth`) when `actions` is false; for scoring.
        crf: quality of the video (`VideoWriter`).
        pixel_format: of the video (`VideoWriter`).
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
        crf: int = 14,
        pixel_format: PixelFormat = "yuv444p",
    ) -> None:
        if not name or "." in name or "/" in name:
            raise ValueError(f"a recording's name has no dots or slashes, but {name!r} was given")
        self.folder, self.name, self.frames_per_second = folder, name, frames_per_second
        self.meta, self.actions, self.truth_folder = dict(meta), actions, truth_folder
        self.num_frames = 0
        self._quality = (crf, pixel_format)
        self._shape: tuple[int, ...] = ()
        self._video: VideoWriter | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self._pictures = folder / (name + ".mp4" if video else name)
        self._temporary = folder / (TEMPORARY + self._pictures.name)
        self._temporary_lines = folder / f"{TEMPORARY}{name}.jsonl"
        self.abort()  # leftovers of a run that was killed
        if not video:
            self._temporary.mkdir()
        self._lines = self._temporary_lines.open("w")

    def add(self, frame: Frame, record: FrameRecord) -> None:
        """Append a frame uint8 [H, W, 3] and what was done on seeing it."""
        if record.frame != self.num_frames:
            raise ValueError(f"{self.name}: frame {record.frame} was given where frame {self.num_frames} is due")
        check_controls(record.action, f"{self.name}, frame {record.frame}")
        self._shape = self._shape or frame.shape
        if frame.shape != self._shape or frame.dtype != np.uint8:
            raise ValueError(f"{self.name}, frame {record.frame}: {frame.dtype} {frame.shape}, not uint8 {self._shape}")
        if self._temporary.is_dir():
            picture = f"{record.frame:06d}.png"
            cv2.imwrite(str(self._temporary / picture), np.ascontiguousarray(frame[..., ::-1]))
            observation = {**record.observation, "image": f"{self.name}/{picture}"}
            record = FrameRecord(**{**vars(record), "observation": observation})
        else:
            if self._video is None:
                crf, pixel_format = self._quality
                height, width = frame.shape[:2]
                self._video = VideoWriter(
                    self._temporary, self.frames_per_second, height, width, crf=crf, pixel_format=pixel_format
                )
            self._video.add(frame)
        self._lines.write(to_line(record) + "\n")
        self.num_frames += 1

    def close(self) -> None:
        """Publish lines, video and, last, the meta file; ValueError where the video does not hold every frame."""
        if not self.num_frames:
            self.abort()
            raise ValueError(f"{self.name}: a recording needs a frame at least")
        self._lines.close()
        if self._video is not None:
            self._video.close()
            stored = count_frames(self._temporary)
            if stored != self.num_frames:
                raise ValueError(f"{self._temporary} holds {stored} frames, but {self.num_frames} were written")
        if self.actions:  # before the video, so that a lone video is never half a recording
            publish(self._temporary_lines, self.folder / f"{self.name}.jsonl")
        if self._video is not None:
            publish(self._temporary, self._pictures)
        else:
            shutil.rmtree(self._pictures, ignore_errors=True)
            self._temporary.replace(self._pictures)
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
            "video": self._pictures.name,
            "video_sha256": sha256_of(self._pictures),
            "actions": self.actions,
            "versions": {},
            **self.meta,
        }
        if not self.actions and self.truth_folder is not None:
            truth = self.truth_folder / f"{self.name}.jsonl"
            write_labels(truth, read_lines(self._temporary_lines), {**meta, "kind": "truth", "actions": True})
        self.abort()
        write_json(self.folder / f"{self.name}.meta.json", meta)

    def abort(self) -> None:
        """Remove what is unfinished."""
        self._temporary_lines.unlink(missing_ok=True)
        if self._temporary.is_dir():
            shutil.rmtree(self._temporary)
        self._temporary.unlink(missing_ok=True)

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
    """One episode on disk, to be read. `Recording.open` makes it.

    Args:
        name: name of the episode.
        video: the video file, or the folder of PNG frames.
        num_frames: frames in the video.
        frames_per_second: rate of the video.
        lines: the file with one line a frame, or None where there are no controls.
        meta: the meta file's content; empty for a video that is not ours.
    """

    name: str
    video: Path
    num_frames: int
    frames_per_second: float
    lines: Path | None
    meta: dict = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path) -> Recording:
        """The recording that a meta file, a video, a folder of PNG frames or a path without suffix names."""
        meta_file = path if path.name.endswith(".meta.json") else path.with_name(f"{_stem(path)}.meta.json")
        if meta_file.is_file() and not path.name.endswith(".jsonl"):
            return cls._of_meta(meta_file)
        lines = next(
            (file for file in (path.with_name(f"{_stem(path)}.jsonl"), *path.glob("*.jsonl")) if file.is_file()), None
        )
        if path.is_dir():
            return cls._of_pictures(path, lines)
        if not path.is_file():
            raise FileNotFoundError(f"there is no recording {path}; make some with: racing-vpt collect")
        from racing_vpt.data.decode import probe  # a foreign video must be looked into

        num_frames, frames_per_second = probe(path)
        return cls(path.stem, path, num_frames, frames_per_second, lines)

    @classmethod
    def _of_meta(cls, meta_file: Path) -> Recording:
        meta = read_json(meta_file)
        missing = [key for key in ("name", "video", "num_frames", "frames_per_second", "actions") if key not in meta]
        if missing:
            raise ValueError(f"{meta_file} lacks {missing}; a recording's meta file has them")
        if meta.get("format") != FORMAT:
            raise ValueError(f"{meta_file} is of format {meta.get('format')}; this version reads format {FORMAT}")
        video = meta_file.with_name(meta["video"])
        lines = meta_file.with_name(f"{meta['name']}.jsonl") if meta["actions"] else None
        for file in (video, lines):
            if file is not None and not file.exists():
                raise FileNotFoundError(f"{meta_file} names {file.name}, which is not beside it")
        return cls(meta["name"], video, meta["num_frames"], float(meta["frames_per_second"]), lines, meta)

    @classmethod
    def _of_pictures(cls, folder: Path, lines: Path | None) -> Recording:
        num_frames = len(list(folder.glob("*.png")))
        if not num_frames or lines is None:
            raise FileNotFoundError(f"{folder} holds {num_frames} PNG frames and {lines} lines; a recording needs both")
        records = read_lines(lines)
        duration = records[-1].timestamp - records[0].timestamp if len(records) > 1 else 0.0
        if duration <= 0:
            raise ValueError(f"{lines}: time stamps should rise; frame rate cannot be told from {duration} seconds")
        return cls(folder.name, folder, num_frames, (len(records) - 1) / duration, lines)

    @property
    def has_actions(self) -> bool:
        """Whether there are controls."""
        return self.lines is not None

    @property
    def sha256(self) -> str:
        """Hexadecimal sha256 of the video, as the meta file says, or computed."""
        return self.meta.get("video_sha256") or sha256_of(self.video)

    def records(self) -> list[FrameRecord]:
        """One record a frame; ValueError names file and line of what is wrong."""
        if self.lines is None:
            raise ValueError(f"{self.video} has no controls beside it; label it with: racing-vpt predict")
        records = read_lines(self.lines)
        if len(records) != self.num_frames:
            raise ValueError(
                f"{self.lines} has {len(records)} lines, but {self.video.name} has {self.num_frames} frames"
            )
        return records

    def controls(self) -> dict[str, np.ndarray]:
        """Controls float32 [T] by name."""
        return columns(self.records())


def find_recordings(folder: Path) -> list[Recording]:
    """Every recording in a folder and below, in the order of their paths; videos without a meta file are unlabelled."""
    if not folder.exists():
        raise FileNotFoundError(f"there is no folder {folder}; make recordings with: racing-vpt collect")
    if folder.is_file():
        return [Recording.open(folder)]
    files = sorted(file for file in folder.rglob("*") if TEMPORARY not in str(file.relative_to(folder)))
    metas = [file for file in files if file.name.endswith(".meta.json") and read_json(file).get("kind") == "recording"]
    found = [Recording.open(file) for file in metas]
    known = {recording.video for recording in found}
    plain = [
        file for file in files if file.suffix.lower() in VIDEO_SUFFIXES and file not in known and _is_finished(file)
    ]
    pictures = sorted({file.parent for file in files if file.suffix == ".png" and file.parent not in known})
    found += [Recording.open(file) for file in plain]
    found += [
        Recording.open(file) for file in pictures if any(file.glob("*.jsonl")) or file.with_suffix(".jsonl").is_file()
    ]
    return sorted(found, key=lambda recording: str(recording.video))


def write_labels(path: Path, records: Iterable[FrameRecord], meta: Mapping[str, object]) -> None:
    """Write labels NAME.jsonl and, last, NAME.meta.json.

    Args:
        path: NAME.jsonl.
        records: one a frame of the source video, in order.
        meta: `checkpoint` (fingerprint), `checkpoint_name`, `video`, `video_sha256` and what else is worth knowing.
    """
    with published(path) as temporary:
        num_frames = write_lines(temporary, records)
    meta = {"format": FORMAT, "name": path.stem, "kind": "labels", **meta, "num_frames": num_frames}
    write_json(path.with_name(f"{path.stem}.meta.json"), meta)


def read_labels(path: Path) -> tuple[list[FrameRecord], dict]:
    """Records and meta of a label file NAME.jsonl; FileNotFoundError where its meta file is missing (unfinished)."""
    meta_file = path.with_name(f"{path.stem}.meta.json")
    if not path.is_file() or not meta_file.is_file():
        raise FileNotFoundError(f"{path} and {meta_file.name} make labels only together; run racing-vpt predict again")
    records, meta = read_lines(path), read_json(meta_file)
    if len(records) != meta.get("num_frames"):
        raise ValueError(f"{path} has {len(records)} lines, but {meta_file.name} says {meta.get('num_frames')}")
    return records, meta


def _stem(path: Path) -> str:
    return path.name.removesuffix(".meta.json").removesuffix(path.suffix if path.is_file() else "")


def _is_finished(video: Path) -> bool:
    """False for a video of ours whose meta file was not written yet (lines are there, or it is being written)."""
    return not video.with_suffix(".jsonl").is_file() or video.with_suffix(".meta.json").is_file()
