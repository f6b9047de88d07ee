"""Measures each format: frames that differ after a round trip, or as its reader reads them, and the speed both ways.

    python tests/exchange/measure_formats.py --recordings data/labelled --episodes 4

Prints the rows of the table in data/README.md. MB are those of the frames as pixels, uint8 [H, W, 3]. A format whose
package is not installed is left out; no test, because others' work on the same machine decides the speeds.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import shutil
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from racing_vpt.cli.main import main as command
from racing_vpt.data.recording import Recording, RecordingWriter
from racing_vpt.files import sha256_of
from racing_vpt.games.minecraft import BUTTONS, CAMERA
from racing_vpt.types import FrameRecord

READERS = {
    "table": "av",
    "arrays": "numpy",
    "lerobot": "pyarrow",
    "contractor": "av",
    "minari": "minari",
    "mcap": "mcap",
}


def run(*words: str) -> float:
    """Run a command; returns the seconds that it took."""
    begun = time.monotonic()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as said:
        status = command(list(words))
    if status:
        raise SystemExit(f"{words}: {said.getvalue()[-500:]}")
    return time.monotonic() - begun


def chosen(folder: Path, out: Path, episodes: int) -> list[Recording]:
    """Copies of the first recordings with controls and rewards."""
    found = []
    for meta_file in sorted(folder.glob("*.meta.json"))[:episodes]:
        recording = Recording.open(meta_file)
        out.mkdir(exist_ok=True)
        for file in (meta_file, recording.video, recording.lines):
            assert file is not None, f"{recording.name} has no controls"
            shutil.copy(file, out)
        found.append(Recording.open(out / meta_file.name))
    return found


def as_minecraft(recordings: list[Recording], out: Path) -> list[Recording]:
    """The same pictures with Minecraft's controls at 20 frames/s, for the contractors' format."""
    for recording in recordings:
        random = np.random.default_rng(recording.num_frames)
        with RecordingWriter(out, recording.name, frames_per_second=20.0, meta={}) as writer:
            for index, frame in enumerate(recording.open_video().read(np.arange(recording.num_frames))):
                controls = {name: float(random.random() < 0.1) for name in BUTTONS}
                controls |= {name: float(np.float32(random.normal(0, 3))) for name in CAMERA}
                writer.add(frame, FrameRecord(index, index / 20, controls))
    return [Recording.open(out / f"{recording.name}.mp4") for recording in recordings]


def unlike(one: Recording, other: Recording) -> int:
    """Frames whose pixels or controls differ."""
    rows = np.arange(one.num_frames)
    pixels = (one.open_video().read(rows) != other.open_video().read(rows)).any((1, 2, 3))
    before, after = one.controls(), other.controls()
    return int((pixels | np.any([before[name] != after[name] for name in before], axis=0)).sum())


def unlike_minari(recordings: list[Recording], out: Path) -> int:
    """Frames that minari reads otherwise."""
    import minari

    wrong = 0
    for recording, episode in zip(recordings, minari.MinariDataset(out / "data"), strict=True):
        frames = recording.open_video().read(np.arange(recording.num_frames))
        controls = np.stack(list(recording.controls().values()), 1)
        good = (episode.observations[:-1] == frames).all((1, 2, 3)) & (episode.actions == controls).all(1)
        wrong += int((~good).sum())
    return wrong


def unlike_mcap(recordings: list[Recording], out: Path) -> int:
    """Frames of which mcap reads other controls, or which refer to another video."""
    import json

    from mcap.reader import make_reader

    wrong = 0
    for recording in recordings:
        with (out / f"{recording.name}.mcap").open("rb") as file:
            messages = make_reader(file).iter_messages(topics=["racing_vpt/controls"])
            told = [json.loads(message.data)["controls"] for _, _, message in messages]
        for name, column in recording.controls().items():
            wrong += int((np.array([each[name] for each in told], np.float32) != column).sum())
        wrong += sha256_of(out / recording.video.name) != recording.sha256
    return wrong


def main() -> int:
    """Measure every format whose reader is installed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--recordings", type=Path, default=Path("data/labelled"))
    parser.add_argument("--episodes", type=int, default=4)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plain = chosen(given.recordings, folder / "in", given.episodes)
        played = as_minecraft(plain, folder / "played")
        run("export", str(folder / "in"), "--format", "table", "--out", str(folder / "warm"))  # what is imported once
        for kind, reader in READERS.items():
            try:
                number = version(reader)
            except PackageNotFoundError:
                print(f"{kind}: {reader} is not installed", file=sys.stderr)
                continue
            recordings, out = (played if kind == "contractor" else plain), folder / f"{kind}-v0"
            frames = sum(recording.num_frames for recording in recordings)
            shape = recordings[0].open_video().read([0])[0].shape
            megabytes = frames * np.prod(shape) / 1e6
            speed = megabytes / run("export", str(recordings[0].video.parent), "--format", kind, "--out", str(out))
            back = "-"
            if kind == "minari":
                wrong = unlike_minari(recordings, out)
            elif kind == "mcap":
                wrong = unlike_mcap(recordings, out)
            else:
                again, lossless = folder / f"{kind}-back", ["--pictures"] if kind == "arrays" else []
                words = ["import", str(out), "--format", kind, "--out", str(again), "--check_lag", "false", *lossless]
                back = f"{megabytes / run(*words):.0f}"
                wrong = sum(unlike(one, Recording.open(again / f"{one.name}.meta.json")) for one in recordings)
            print(f"| `{kind}` | {reader} {number} | {len(recordings)} | {frames} | {wrong} | {speed:.0f} | {back} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
