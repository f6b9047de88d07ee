"""What was seen, done and earned in a row, as one `.npz` file: an episode, a dream, or a part of one."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from racing_vpt.files import published


@dataclass(frozen=True)
class Trajectory:
    """T frames in a row. Frame t is seen before controls t, and reward t follows from them.

    Args:
        frames: uint8 [T, H, W, 3].
        controls: float32 [T, C].
        names: of the C controls.
        rewards: float32 [T].
        first: bool [T], where an episode starts.
        ended: bool [T], where the step ended the episode.
        by_hand: bool [T], where a person drove.
        frames_per_second: rate.
        world: what was driven in: an environment, or a world model.
        checkpoint: who drove where no person did, or whose world model it is.
    """

    frames: np.ndarray
    controls: np.ndarray
    names: tuple[str, ...]
    rewards: np.ndarray
    first: np.ndarray
    ended: np.ndarray
    by_hand: np.ndarray
    frames_per_second: float
    world: str
    checkpoint: str

    def __post_init__(self) -> None:
        count = len(self.frames)
        if self.frames.dtype != np.uint8 or self.frames.ndim != 4 or self.frames.shape[-1] != 3 or not count:
            raise ValueError(f"frames are uint8 [T, H, W, 3], not {self.frames.dtype} {list(self.frames.shape)}")
        if self.controls.shape != (count, len(self.names)):
            raise ValueError(
                f"{count} frames and the controls {self.names} need controls [{count}, {len(self.names)}], not "
                f"{list(self.controls.shape)}"
            )
        for name in ("rewards", "first", "ended", "by_hand"):
            if getattr(self, name).shape != (count,):
                raise ValueError(f"{count} frames need {name} [{count}], not {list(getattr(self, name).shape)}")


def write_trajectory(path: Path, trajectory: Trajectory) -> None:
    """Write it under its name, whole."""
    arrays = {name: np.asarray(value) for name, value in vars(trajectory).items()}
    with published(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def read_trajectory(path: Path) -> Trajectory:
    """Read one; nothing is unpickled.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged, or holds something else.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            held = {field.name: file[field.name] for field in fields(Trajectory)}
        plain = {name: held.pop(name).item() for name in ("frames_per_second", "world", "checkpoint")}
        return Trajectory(**held | plain | {"names": tuple(held["names"].tolist())})
    except FileNotFoundError as error:
        raise FileNotFoundError(f"there is no trajectory {path}") from error
    except (zipfile.BadZipFile, KeyError, ValueError, OSError, EOFError, AttributeError, TypeError) as error:
        raise ValueError(f"{path} is no whole trajectory, as racing-vpt play writes it: {error}") from error
