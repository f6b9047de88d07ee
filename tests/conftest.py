"""Tiny real recordings and shards, and a check of logged keys."""

from __future__ import annotations

import os

# OpenMP reads both as torch is imported: commands compute alike however busy the machine is, and the threads of tests
# that ask for several sleep while they wait, as those of `racing-vpt` do, instead of taking the other tests' cores
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from racing_vpt.data.recording import RecordingWriter
from racing_vpt.types import Frame, FrameRecord
from racing_vpt.verbs.pack import pack
from tests.logged_keys import is_explained

os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="racing-vpt-cache-")  # not what this user knows of files
torch.set_num_threads(1)  # with networks this small, threads wait for each other longer than they work

LENGTHS = (40, 90, 70, 64, 48, 81)  # frames of the tiny episodes


def tiny_frame(episode: int, index: int, steering: float) -> Frame:
    """A 96x96 road whose bend follows the steering; the bottom left corner encodes the episode and the frame."""
    frame = np.full((96, 96, 3), (100, 200, 100), np.uint8)
    rows = np.arange(84)
    middle = 48 + steering * 40 * (1 - rows / 84)
    road = np.abs(np.arange(96)[None] - middle[:, None]) < 14
    frame[:84][road] = 105
    frame[(index * 3) % 84, :8] = 255  # something passes by
    frame[70:76, 45:51] = (200, 0, 0)
    frame[84:, :48], frame[84:, 48:] = 20 + 25 * episode, 2 * index % 256
    return frame


def write_tiny_recording(folder: Path, episode: int, num_frames: int, actions: bool = True) -> None:
    """Write an episode with sinusoidal steering, rewards and a short perturbation."""
    meta = {"environment": "CarRacing-v3", "seed": 10_000 + episode, "agent": "sine"}
    name = f"tiny-{10_000 + episode}"
    with RecordingWriter(folder, name, frames_per_second=50.0, meta=meta, actions=actions) as writer:
        for index in range(num_frames):
            steering = 0.4 * float(np.sin(index / 7 + episode))
            perturbed = 20 <= index < 23
            action = {
                "steering": -0.4 if perturbed else steering,
                "throttle": 0.5 + 0.5 * float(np.cos(index / 11)),
                "brake": float(index % 20 < 2),
                "gear_change": 0,
            }
            record = FrameRecord(
                frame=index,
                timestamp=index / 50,
                action=action,
                observation={"image": None, "speed": 10.0 + index},
                reward=-0.1 + 3.2 * (index % 8 == 0),
                first=index == 0,
                perturbed=perturbed,
                intended={**action, "steering": steering} if perturbed else None,
            )
            writer.add(tiny_frame(episode, index, steering), record)


@pytest.fixture(autouse=True)
def every_logged_key_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test in which a module of ours logs a key that configs/README.md does not explain."""
    if "lightning.pytorch" not in sys.modules:
        return
    from lightning.pytorch import LightningModule

    log = LightningModule.log

    def checked(self: LightningModule, name: str, *values: object, **options: object) -> None:
        ours = type(self).__module__.startswith("racing_vpt.") and options.get("logger") is not False
        assert not ours or is_explained(name), f"{name} is logged, but configs/README.md has no row for it"
        log(self, name, *values, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(LightningModule, "log", checked)


@pytest.fixture(scope="session")
def tiny_recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of six recordings of 40 to 90 frames of 96x96, with controls, rewards and a perturbation. Read only."""
    folder = tmp_path_factory.mktemp("tiny") / "recordings"
    for episode, num_frames in enumerate(LENGTHS):
        write_tiny_recording(folder, episode, num_frames)
    return folder


@pytest.fixture(scope="session")
def tiny_videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two recordings without controls. Read only."""
    folder = tmp_path_factory.mktemp("tiny") / "videos"
    for episode, num_frames in enumerate((50, 75)):
        write_tiny_recording(folder, episode + 6, num_frames, actions=False)
    return folder


@pytest.fixture(scope="session")
def tiny_shards(tiny_recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of shards of `tiny_recordings`, in clips of 32 frames: four episodes to train, two to validate."""
    folder = tmp_path_factory.mktemp("tiny") / "shards"
    pack(tiny_recordings, folder, val_fraction=0.34, clip_frames=32, shard_mib=0.05)
    return folder


@pytest.fixture(scope="session")
def display() -> Iterator[str]:
    """Name of an X display of 320x240 pixels that nobody sees."""
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed (Debian: apt-get install xvfb)")
    from racing_vpt.screen.own_display import OwnDisplay

    with OwnDisplay(320, 240) as own:
        yield own.name


@pytest.fixture
def calibration(display: str) -> Iterator[subprocess.Popen]:
    """A window on that display that shows the keys which are held, as a game."""
    words = [sys.executable, "-m", "racing_vpt.screen.calibration_window", display]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as window:
        assert window.stdout is not None
        window.stdout.readline()
        yield window
        window.kill()
