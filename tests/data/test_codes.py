"""Frames are encoded once, even for several trainings at the same time."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from racing_vpt.data.codes import codes_of

LENGTH = 6


class Reader:
    """One episode, whose frames are numbered."""

    spec, lengths = "as it is", [LENGTH]

    def name(self, episode: int) -> str:
        return "an-episode"

    def columns(self, episode: int, start: int, stop: int) -> SimpleNamespace:
        return SimpleNamespace(controls={}, reward=None)

    def frames(self, episode: int, start: int, stop: int) -> np.ndarray:
        return np.arange(start, stop, dtype=np.uint8)[:, None, None, None].repeat(3, 3)


class Coder:
    """Encodes a frame as its number, slowly, and counts."""

    def __init__(self) -> None:
        self.coded = 0

    def encoder_fingerprint(self) -> str:
        return "eye"

    def code_frames(self, frames: torch.Tensor) -> torch.Tensor:
        time.sleep(0.2)
        self.coded += len(frames)
        return frames[:, 0, 0, :2].float()


def test_one_training_encodes_and_the_other_waits(tmp_path: Path) -> None:
    coders = [Coder(), Coder()]
    found: list[np.ndarray] = []

    def train(coder: Coder) -> None:
        found.append(codes_of(Reader(), coder, tmp_path / "codes").read(0, 1, 4))  # type: ignore[arg-type]

    trainings = [threading.Thread(target=train, args=[coder]) for coder in coders]
    for each in trainings:
        each.start()
    for each in trainings:
        each.join()
    assert len(found) == 2
    for codes in found:
        np.testing.assert_array_equal(codes, np.arange(1, 4)[:, None].repeat(2, 1))
    assert sorted(coder.coded for coder in coders) == [0, 1 + LENGTH]  # the first frame tells how wide a code is


def test_existing_codes_are_read_and_nothing_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "codes"
    codes_of(Reader(), Coder(), folder)  # type: ignore[arg-type]
    (made,) = folder.iterdir()
    before, again = made.stat().st_mtime_ns, Coder()
    codes_of(Reader(), again, folder)  # type: ignore[arg-type]
    assert not again.coded
    assert [*folder.iterdir()] == [made]
    assert made.stat().st_mtime_ns == before
