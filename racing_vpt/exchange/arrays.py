"""Numpy arrays of an episode, in and out: NAME_frames.npy, NAME_actions.npy and further columns beside them.

As in SWAG, VPT for NES games, which trains from frames and buttons in numpy files. Frames are written and read without
holding an episode in memory; nothing is unpickled.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from racing_vpt.data.columns import Columns
from racing_vpt.exchange.episode_files import EpisodeFiles, FileExporter
from racing_vpt.exchange.footage import PictureFootage
from racing_vpt.exchange.incoming import Episode, recording_name
from racing_vpt.exchange.mapping import ACTION, map_columns
from racing_vpt.exchange.options import ColumnMapping
from racing_vpt.exchange.outgoing import Outgoing
from racing_vpt.exchange.table_import import KEPT
from racing_vpt.exchange.table_rows import Table
from racing_vpt.files import TEMPORARY, Draft, read_json, require_regular
from racing_vpt.video.decoders import Video

KIND = "arrays"  # in the meta file of what is exported
FRAMES, ACTIONS = "_frames.npy", "_actions.npy"
COLUMNS = ("reward", "first", "confidence")  # NAME_COLUMN.npy, where they are known


class ArrayVideo(Video):
    """Frames of an array uint8 [T, H, W, 3], which may lie on disk.

    Args:
        path: its file, for errors.
        frames: the array.
        frames_per_second: frame rate.
    """

    def __init__(self, path: Path, frames: np.ndarray, frames_per_second: float) -> None:
        self.source, self.frames_per_second = path, frames_per_second
        self.num_frames, self.height, self.width, _ = frames.shape
        self.timestamps = np.arange(self.num_frames) / frames_per_second
        self._frames = frames

    def _read(self, indices: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(self._frames[indices])


@dataclass(frozen=True)
class ArraySource:
    """The arrays of an episode.

    Args:
        frames: NAME_frames.npy.
        name: name of the new recording.
    """

    frames: Path
    name: str

    def beside(self, end: str) -> Path:
        """A file of the same NAME."""
        return self.frames.with_name(self.frames.name.removesuffix(FRAMES) + end)

    def about(self) -> dict:
        """What NAME.meta.json says, if it is there."""
        file = self.beside(".meta.json")
        return read_json(file) if file.is_file() else {}

    @property
    def files(self) -> list[Path]:
        """The files that it is read from."""
        ends = (FRAMES, ACTIONS, *(f"_{column}.npy" for column in COLUMNS))
        return [file for end in ends if (file := self.beside(end)).is_file()]


def array_sources(folder: Path) -> list[ArraySource]:
    """The episodes of a folder and below; FileNotFoundError if there are none."""
    files = sorted(file for file in folder.rglob(f"*{FRAMES}") if TEMPORARY not in str(file.relative_to(folder)))
    if not files:
        raise FileNotFoundError(
            f"{folder} holds no arrays; expected are NAME{FRAMES}, uint8 [T, H, W, 3], and NAME{ACTIONS}, one row per "
            "frame"
        )
    return [ArraySource(file, recording_name(file, folder).removesuffix("_frames")) for file in files]


def read_array_episode(source: ArraySource, mapping: ColumnMapping, frames_per_second: float | None) -> Episode:
    """The episode of arrays.

    Raises:
        ValueError: an array has another shape or type than expected, or no rate is known.
        FileNotFoundError: there are no actions.
    """
    frames, about = _frames(source), source.about()
    if not source.beside(ACTIONS).is_file():
        raise FileNotFoundError(
            f"{source.frames}: there is no {source.beside(ACTIONS).name} beside it; to import it for labelling: "
            "--video_only"
        )
    actions = _array(source.beside(ACTIONS))
    if actions.ndim != 2 or actions.dtype.kind not in "biuf" or len(actions) != len(frames):
        raise ValueError(
            f"{source.beside(ACTIONS)} is {actions.dtype} {list(actions.shape)}; numbers [{len(frames)}, N] are "
            "expected, one row per frame"
        )
    names = about.get("actions")
    known = isinstance(names, list) and len(names) == actions.shape[1]
    table: Table = {
        f"{ACTION}{names[at]}" if known and names else f"actions[{at}]": column
        for at, column in enumerate(actions.T.astype(np.float64))
    }
    for column in COLUMNS:
        if source.beside(f"_{column}.npy").is_file():
            table[column] = _array(source.beside(f"_{column}.npy")).astype(np.float64)
            if table[column].shape != (len(frames),):
                raise ValueError(f"{source.beside(f'_{column}.npy')} has not one number per frame")
    mapped = map_columns(table, mapping, str(source.beside(ACTIONS)))
    remarks = [f"columns that are not used: {', '.join(mapped.unused)}"] if mapped.unused else []
    return replace(read_array_video(source, frames_per_second), columns=mapped.columns, remarks=tuple(remarks))


def read_array_video(source: ArraySource, frames_per_second: float | None) -> Episode:
    """The frames of arrays, as video without controls.

    Raises:
        ValueError: the array has another shape or type than expected, or no rate is known.
    """
    about, frames = source.about(), _frames(source)
    stated = about.get("frames_per_second")
    rate = frames_per_second or (float(stated) if isinstance(stated, int | float) and 0 < stated < 1000 else 0.0)
    if not rate:
        raise ValueError(f"{source.frames}: no rate is known; give it, such as --frames_per_second 60")
    footage = PictureFootage(ArrayVideo(source.frames, frames, rate))
    kept = {key: about[key] for key in KEPT if key in about}
    return Episode(footage, Columns.unknown(len(frames)), rate, None, kept)


@dataclass(frozen=True)
class ArrayExport(FileExporter):
    """Writes the arrays of each episode, and NAME.meta.json with the names of its actions (`exporting.Exporter`).

    Args:
        out: folder to write.
    """

    out: Path

    @property
    def _files(self) -> EpisodeFiles:
        return EpisodeFiles(self.out, KIND, {})

    def write(self, episode: Outgoing) -> str:
        """Write an episode; returns what was changed.

        Raises:
            FileExistsError: a file of one of the names is not an earlier export.
            ValueError: its rate is uneven.
        """
        if episode.times() is not None:
            raise ValueError(
                f"{episode.name} has frames at uneven distances in time; make it even: racing-vpt renditions"
            )
        columns, name = episode.columns(), episode.name
        arrays = _arrays(columns)
        frames = Draft(self.out / f"{name}{FRAMES}")
        others = {end: Draft(self.out / f"{name}{end}") for end in arrays}

        def fill() -> None:
            _write_frames(frames.temporary, episode)
            for end, draft in others.items():
                with draft.temporary.open("wb") as file:
                    np.save(file, arrays[end], allow_pickle=False)

        self._files.write(episode, [frames, *others.values()], fill, {"actions": [*columns.controls]})
        return ""


def _arrays(columns: Columns) -> dict[str, np.ndarray]:
    """Array by end of the file's name: float32 [T, N] of the controls, [T] else."""
    if not columns.controls:
        raise ValueError("it has no controls, and arrays without actions are no use to anybody; label it first")
    arrays = {ACTIONS: np.stack(list(columns.controls.values()), 1).astype(np.float32)}
    known = {name: getattr(columns, name) for name in COLUMNS}
    return arrays | {f"_{name}.npy": column for name, column in known.items() if column is not None}


def _write_frames(path: Path, episode: Outgoing) -> None:
    """Write the frames as uint8 [T, H, W, 3], one after the other."""
    footage = episode.footage()
    stored = None
    for index, frame in enumerate(footage.frames()):
        if stored is None:
            shape = (footage.num_frames, *frame.shape)
            stored = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
        stored[index] = frame
    if stored is not None:
        stored.flush()


def _frames(source: ArraySource) -> np.ndarray:
    frames = _array(source.frames)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or not len(frames):
        raise ValueError(f"{source.frames} is {frames.dtype} {list(frames.shape)}; uint8 [T, H, W, 3] is expected")
    return frames


def _array(path: Path) -> np.ndarray:
    require_regular(path)
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{path} is no numpy array that can be read: {str(error).splitlines()[0]}") from error
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{path} holds several arrays; one .npy per array is expected")
    return array
