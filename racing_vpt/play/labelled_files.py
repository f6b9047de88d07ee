"""Opens a labelled film from files: a video, its labels, and the true controls if they are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from racing_vpt.data.columns import Columns
from racing_vpt.data.lines import read_lines
from racing_vpt.data.recording import Recording
from racing_vpt.play.labelled_film import LabelledFilm


def open_film(video: Path, labels: Path | None, truth: Path | None, tolerance: float) -> LabelledFilm:
    """Open a film for `view`.

    Raises:
        FileNotFoundError: the video or a file of lines does not exist.
        ValueError: there are no labels, not one line per frame, or labels and truth have no control in common.
    """
    recording = Recording.open(video)
    own = recording.lines
    if labels is None and own is None:
        raise ValueError(f"{video} has no controls beside it; give --labels NAME.jsonl, written by: racing-vpt predict")
    said, confidence = lines_of(labels or own, recording.num_frames, video)  # type: ignore[arg-type]
    truth = truth or (own if labels is not None and own != labels else None)
    true = None
    if truth is not None:
        true, _ = lines_of(truth, recording.num_frames, video)
        if not said.keys() & true.keys():
            raise ValueError(
                f"{labels or own} has the controls {sorted(said)}, {truth} has {sorted(true)}: none is in both, so "
                "there is nothing to compare; give labels and truth of the same game"
            )
        said = {name: column for name, column in said.items() if name in true}
    heading = "labelled" if labels is not None and labels != own else "recorded"
    return LabelledFilm(
        recording.open_video(),
        recording.name,
        said,
        true,
        confidence,
        tolerance,
        heading,
        recording.frames_per_second,
    )


def lines_of(file: Path, num_frames: int, video: Path) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """Controls [T] by name and confidence [T] or None from a file of lines; ValueError if T is not the video's."""
    file = file / f"{video.stem.removesuffix('.meta')}.jsonl" if file.is_dir() else file
    if not file.is_file():
        raise FileNotFoundError(f"there is no {file}; labels are NAME.jsonl, written by: racing-vpt predict")
    if file.suffix != ".jsonl":
        beside = file.with_name(f"{file.name.split('.')[0]}.jsonl")
        meant = f"; did you mean {beside}?" if beside.is_file() else ""
        raise ValueError(
            f"{file} does not hold controls frame by frame; labels and truth are NAME.jsonl, with a line for each "
            f"frame, or the folder that holds it{meant}"
        )
    known = Columns.of_records(read_lines(file))
    if len(known) != num_frames:
        raise ValueError(f"{file} has {len(known)} lines, but {video} has {num_frames} frames; is it of another video?")
    return known.controls, known.confidence
