"""A recording of what a player sees and does: a film for people, and a trajectory for programs."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import numpy as np

from racing_vpt.data.trajectory import Trajectory, write_trajectory
from racing_vpt.files import TEMPORARY
from racing_vpt.play.film import FilmWriter
from racing_vpt.types import Controls, Frame, FrameRecord

MOST_FRAMES = 10_000  # of one recording, because they wait in memory


class Take:
    """Records to `KIND-NNNN.mp4` and `.npz`; neither is there before `close`.

    Args:
        folder: where the files go; made where it does not exist.
        kind: first part of their name; the number is the first that is free.
        title: on the film.
        frames_per_second: the true rate.
        names: of the controls.
        world: what is driven in.
        checkpoint: who drives, or whose world model it is.
    """

    def __init__(
        self,
        folder: Path,
        kind: str,
        title: str,
        frames_per_second: float,
        names: tuple[str, ...],
        world: str,
        checkpoint: str,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = reserve(folder, kind)
        self.film = FilmWriter(self.path.with_suffix(".mp4"), title, frames_per_second)
        self.names, self.frames_per_second = names, frames_per_second
        self.world, self.checkpoint = world, checkpoint
        self.frames: list[Frame] = []
        self.rows: list[tuple[list[float], float, bool, bool, bool]] = []

    def __len__(self) -> int:
        return len(self.frames)

    def add(self, frame: Frame, controls: Controls, reward: float, first: bool, ended: bool, by_hand: bool) -> None:
        """A frame uint8 [H, W, 3], what was done on seeing it, and what followed."""
        index = len(self.frames)
        record = FrameRecord(
            frame=index, timestamp=index / self.frames_per_second, action=controls, reward=reward, first=first
        )
        self.film.add(frame, record)
        self.frames.append(frame.copy())
        self.rows.append(([controls[name] for name in self.names], reward, first, ended, by_hand))

    def close(self) -> Path | None:
        """Keep both files, the film last; the trajectory's path, or None where there was no frame."""
        if not self.frames:
            self.abort()
            return None
        controls, rewards, first, ended, by_hand = zip(*self.rows, strict=True)
        path = self.path.with_suffix(".npz")
        try:
            write_trajectory(
                path,
                Trajectory(
                    np.stack(self.frames),
                    np.array(controls, np.float32),
                    self.names,
                    np.array(rewards, np.float32),
                    np.array(first),
                    np.array(ended),
                    np.array(by_hand),
                    self.frames_per_second,
                    self.world,
                    self.checkpoint,
                ),
            )
            self.film.close()
        except BaseException:
            self.abort()
            raise
        return path

    def abort(self) -> None:
        """Keep nothing."""
        self.film.abort()


def reserve(folder: Path, kind: str) -> Path:
    """A path without suffix under which nobody records yet; its film's temporary file is made, so that nobody will."""
    for number in count(1):
        path = folder / f"{kind}-{number:04d}"
        temporary = folder / f"{TEMPORARY}{path.name}.mp4"
        if any(path.with_suffix(suffix).exists() for suffix in (".mp4", ".npz")):
            continue
        try:
            temporary.touch(exist_ok=False)
        except FileExistsError:
            continue
        return path
    raise AssertionError("counting has no end")
