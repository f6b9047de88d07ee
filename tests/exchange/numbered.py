"""Recordings whose frames show their own number in black and white blocks, which no encoding blurs; for the judges."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

BLOCK, ROWS, COLUMNS = 8, 4, 8  # 32 bits of a number as blocks of 8x8 pixels


def picture_of(number: int) -> np.ndarray:
    """The frame of a number, uint8 [32, 64, 3]."""
    bits = np.unpackbits(np.array([number], ">u4").view(np.uint8)).reshape(ROWS, COLUMNS)
    return np.repeat(np.kron(bits * 255, np.ones((BLOCK, BLOCK))).astype(np.uint8)[..., None], 3, 2)


def number_of(picture: np.ndarray) -> int:
    """The number that a frame uint8 [32, 64, 3] shows."""
    blocks = picture.mean(2).reshape(ROWS, BLOCK, COLUMNS, BLOCK).mean((1, 3))
    return int(np.packbits(blocks.reshape(-1) > 127).view(">u4")[0])


def controls_of(number: int, index: int) -> dict[str, float]:
    """Controls of a frame with this number, the index-th of its episode."""
    return {"steering": float(np.float32(np.sin(number))), "throttle": float(np.float32(index % 10 / 10))}


def write_numbered(folder: Path, episodes: int, lengths: Sequence[int], rate: float = 30.0) -> int:
    """Write recordings whose frames are numbered through, unless they are there; returns the number of frames."""
    from racing_vpt.data.recording import RecordingWriter
    from racing_vpt.types import FrameRecord

    number = 0
    for episode in range(episodes):
        name, length = f"episode-{episode:05d}", lengths[episode % len(lengths)]
        if not (folder / f"{name}.meta.json").is_file():
            with RecordingWriter(folder, name, frames_per_second=rate, meta={}) as writer:
                for index in range(length):
                    at = number + index
                    record = FrameRecord(
                        index, index / rate, controls_of(at, index), reward=float(at), first=index == 0
                    )
                    writer.add(picture_of(at), record)
        number += length
    return number
