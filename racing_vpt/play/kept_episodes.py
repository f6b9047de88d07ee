"""Saved episodes of a run: recordings, plain films, and the `.npz` files of versions before 0.2."""

from __future__ import annotations

import math
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from racing_vpt.data.recording import Recording
from racing_vpt.files import TEMPORARY
from racing_vpt.types import Frame, FrameRecord
from racing_vpt.video.decode import open_video
from racing_vpt.video.decoders import Video

FOLDERS = ("episodes", "recordings", "rollouts")  # below `media`, in this order
OLD = ".npz"
LARGEST_NPZ = 1 << 28  # bytes, unpacked


@dataclass
class KeptEpisode:
    """A saved episode, open for reading.

    Args:
        frames: a video, or uint8 [T, H, W, 3].
        frames_per_second: frame rate.
        records: one per frame; none for a plain film.
        by_hand: bool [T], whether a person drove.
        about: who drove where, for display.
    """

    frames: Video | np.ndarray
    frames_per_second: float
    records: list[FrameRecord] = field(default_factory=list)
    by_hand: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    about: str = ""

    def __len__(self) -> int:
        return len(self.frames) if isinstance(self.frames, np.ndarray) else self.frames.num_frames

    def frame(self, index: int) -> Frame:
        """A frame uint8 [H, W, 3]."""
        return self.frames[index] if isinstance(self.frames, np.ndarray) else self.frames.read([index])[0]


def episodes_of(media: Path) -> list[Path]:
    """Meta files of recordings, plain films and old `.npz` files in the media folder of a run.

    Raises:
        FileNotFoundError: there are none.
    """
    found: list[Path] = []
    for folder in FOLDERS:
        paths = sorted(path for path in (media / folder).rglob("*") if not path.name.startswith(TEMPORARY))
        of_data = [path for path in paths if path.name.endswith((".meta.json", OLD))]
        names = {path.with_name(path.name.removesuffix(".meta.json").removesuffix(OLD)) for path in of_data}
        films = [path for path in paths if path.suffix == ".mp4" and path.with_suffix("") not in names]
        found += sorted([*of_data, *films])
    if not found:
        raise FileNotFoundError(
            f"no recording or film in {', '.join(FOLDERS)} of {media}; the comma key records one while racing-vpt "
            "play runs, and training films its validation drives"
        )
    return found


def media_of(run: str) -> Path:
    """Folder for films and recordings of a checkpoint: in its run folder, or a folder of its own if it has no run."""
    path = Path(run)
    if (path / "checkpoints").is_dir():
        return path / "media"
    if path.suffix == ".ckpt" and path.parent.name == "checkpoints":
        return path.parent.parent / "media"
    name = run.partition("@")[0] if run.startswith("hf:") else run.removeprefix("zoo:")
    name = name.strip("/").split("/")[-1].replace(":", "-")
    return Path("runs/play") / name / "media"


def open_episode(path: Path) -> KeptEpisode:
    """Open a file from `episodes_of`; ValueError or OSError if it is damaged."""
    if path.suffix == OLD:
        return read_npz(path)
    if path.suffix == ".mp4":
        film = open_video(path)
        return KeptEpisode(film, film.frames_per_second)
    recording = Recording.open(path)
    meta, by_hand = recording.meta, np.zeros(recording.num_frames, bool)
    for start, stop in meta.get("by_hand", []):
        by_hand[start:stop] = True
    dream = meta.get("dream")
    where = f"the dream of {dream['world_model']}" if dream else meta.get("environment")
    about = f"{meta.get('agent')} in {where}, seed {meta.get('seed')}"
    return KeptEpisode(recording.open_video(), recording.frames_per_second, recording.records(), by_hand, about=about)


def check_arrays(path: Path) -> None:
    """Raise ValueError if an array in an .npz is not as large as its header says, or too large for an episode."""
    with zipfile.ZipFile(path) as archive:
        if sum(member.file_size for member in archive.infolist()) > LARGEST_NPZ:
            raise ValueError(f"it unpacks to more than {LARGEST_NPZ} bytes, which no episode has")
        for member in archive.infolist():
            with archive.open(member) as file:
                version = np.lib.format.read_magic(file)
                if version != (1, 0):
                    raise ValueError(f"{member.filename} is of version {version} of NumPy's format")
                shape, _, dtype = np.lib.format.read_array_header_1_0(file)
                if math.prod(shape) * dtype.itemsize + file.tell() != member.file_size:
                    raise ValueError(f"{member.filename} has {member.file_size} bytes, not {dtype} {list(shape)}")


def read_npz(path: Path) -> KeptEpisode:
    """Read an episode written by `play` before version 0.2; nothing is unpickled.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: it is damaged, or holds something else.
    """
    names = ("frames", "controls", "names", "rewards", "first", "by_hand", "frames_per_second", "world", "checkpoint")
    try:
        check_arrays(path)
        with np.load(path, allow_pickle=False) as file:
            held = {name: file[name] for name in names}
        rate, count = held["frames_per_second"].item(), len(held["frames"])
        if held["frames"].shape[-1:] != (3,) or held["frames"].dtype != np.uint8 or not count:
            raise ValueError(f"its frames are {held['frames'].dtype} {list(held['frames'].shape)}")
        columns = (held["controls"], held["rewards"], held["first"])
        records = [
            FrameRecord(
                frame=index,
                timestamp=index / rate,
                action=dict(zip(held["names"].tolist(), controls.tolist(), strict=True)),
                reward=float(reward),
                first=bool(first),
            )
            for index, (controls, reward, first) in enumerate(zip(*columns, strict=True))
        ]
        if not len(records) == len(held["by_hand"]) == count:
            raise ValueError(f"it has {count} frames and {len(records)} controls")
        about = f"{held['checkpoint'].item()} in {held['world'].item()}"
    except FileNotFoundError as error:
        raise FileNotFoundError(f"there is no episode {path}") from error
    except Exception as error:  # a damaged zip or array fails in as many ways as it has bytes
        raise ValueError(f"{path} is not a whole episode as racing-vpt play wrote it before 0.2: {error}") from error
    return KeptEpisode(held["frames"], rate, records, held["by_hand"], about)
