"""Cache of a data set's frames as codes of a model's encoder, stored on disk and read instead of the frames.

The file name is a hash of the encoder's fingerprint, of how frames are prepared, and of the names, lengths, controls
and rewards of the episodes; if any of them changes, the frames are encoded again.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from racing_vpt.data.reader import EpisodeReader
from racing_vpt.files import published
from racing_vpt.types import FrameSpec

CHUNK = 512  # frames encoded at once
SAY_SECONDS = 20.0
log = logging.getLogger(__name__)


@runtime_checkable
class CodesFrames(Protocol):
    """A model that learns from codes of frames instead of frames."""

    frames: FrameSpec

    def encoder_fingerprint(self) -> str:
        """Fingerprint of the encoder's weights."""

    def code_frames(self, frames: Tensor) -> Tensor:
        """Codes float32 [N, D] on the CPU of frames uint8 [N, H, W, 3] on the CPU."""


class Codes:
    """Codes float32 [frames, D] of all episodes of a reader, concatenated, in a memory-mapped file.

    Args:
        path: an .npy file.
        lengths: frames of each episode.
    """

    def __init__(self, path: Path, lengths: list[int]) -> None:
        self.path = path
        self._begins = np.concatenate([[0], np.cumsum(lengths)])
        self._codes = np.load(path, mmap_mode="r")
        if len(self._codes) != self._begins[-1]:
            raise ValueError(f"{path} has {len(self._codes)} codes instead of {self._begins[-1]}; delete the file")

    def read(self, episode: int, start: int, stop: int) -> np.ndarray:
        """Codes of the frames [start, stop) of an episode, float32 [T, D]."""
        begin = self._begins[episode]
        return np.array(self._codes[begin + start : begin + stop])

    @property
    def width(self) -> int:
        """Dimensions of a code, D."""
        return self._codes.shape[1]


def code_path(reader: EpisodeReader, model: CodesFrames, folder: Path) -> Path:
    """Path of the codes, which may not exist yet."""
    digest = hashlib.sha256(f"{model.encoder_fingerprint()} {reader.spec}".encode())
    for episode, length in enumerate(reader.lengths):
        columns = reader.columns(episode, 0, length)
        digest.update(f"{reader.name(episode)} {length} {sorted(columns.controls)}".encode())
        for name in sorted(columns.controls):
            digest.update(columns.controls[name].tobytes())
        if columns.reward is not None:
            digest.update(columns.reward.tobytes())
    return folder / f"{digest.hexdigest()[:24]}.npy"


def codes_of(reader: EpisodeReader, model: CodesFrames, folder: Path) -> Codes:
    """Codes of all of a reader's frames: from the folder, or computed now, by one process for all.

    Raises:
        OSError: the disk is full; the message says how much space is needed.
    """
    path = code_path(reader, model, folder)
    if path.is_file():
        log.info("reading codes of the frames from %s", path)
        return Codes(path, reader.lengths)
    folder.mkdir(parents=True, exist_ok=True)
    with alone(lock := path.with_suffix(".lock")):
        if not path.is_file():
            make_codes(reader, model, path)
        lock.unlink(missing_ok=True)  # no longer needed
    return Codes(path, reader.lengths)


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Lock between processes; the system releases the lock of one that dies.

    On a file system without locks there is no protection.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    with os.fdopen(os.open(path, flags, 0o666), "r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("another training is encoding the same frames; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            log.warning("%s cannot be locked (%s); train on the same new data once at a time", path, error)
        yield


def make_codes(reader: EpisodeReader, model: CodesFrames, path: Path) -> None:
    """Encode all frames into a file; see `codes_of`."""
    total, folder = sum(reader.lengths), path.parent
    width = model.code_frames(torch.from_numpy(reader.frames(0, 0, 1))).shape[1]
    needed, free = 4 * width * total, shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(
            f"codes of {total} frames need {needed / 2**20:.0f} MiB, but {folder} has {free / 2**20:.0f} MiB free; "
            "make space or choose another folder with --data.reading.codes"
        )
    done, begun, said = 0, time.monotonic(), time.monotonic()
    with published(path) as temporary, temporary.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (total, width)}
        np.lib.format.write_array_header_2_0(file, header)
        for episode, length in enumerate(reader.lengths):
            for start in range(0, length, CHUNK):
                frames = reader.frames(episode, start, min(start + CHUNK, length))
                codes = model.code_frames(torch.from_numpy(np.ascontiguousarray(frames)))
                file.write(codes.numpy().astype("<f4").tobytes())
                done += len(frames)
                if time.monotonic() - said > SAY_SECONDS:
                    said, rate = time.monotonic(), done / (time.monotonic() - begun)
                    left = (total - done) / rate
                    log.info("coded %d of %d frames, %.0f a second, %.0f s left", done, total, rate, left)
    log.info("coded %d frames in %.0f s; kept in %s", total, time.monotonic() - begun, path)
