"""Judge of the LeRobot export: the real lerobot reads every frame of a dataset by its index.

    python tests/exchange/judge_lerobot.py            (1,000 episodes; installs lerobot into build/lerobot-judge)
    python tests/exchange/judge_lerobot.py --episodes 50 --python PYTHON   (a Python that has lerobot already)

No test: lerobot needs another torch than this project, and some gigabytes. It ends with status 3 and says why where
lerobot cannot be installed. Each frame shows its own number (`numbered.py`).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

from numbered import controls_of, number_of, write_numbered
from own_python import own_python

LEROBOT = ("lerobot==0.4.4", "torch<2.11")  # reads v3.0 on Python 3.11
ROOT = Path(__file__).parents[2]
FRAMES = (5, 6, 7, 8, 9)  # lengths of the episodes, in turn


def make(folder: Path, episodes: int) -> None:
    """Write recordings whose frames show their number, and export them."""
    from racing_vpt.cli.main import main

    begun = time.monotonic()
    frames = write_numbered(folder / "recordings", episodes, FRAMES)
    made = time.monotonic()
    words = ["export", str(folder / "recordings"), "--format", "lerobot", "--out", str(folder / "dataset")]
    assert main(words) == 0
    print(f"{frames} frames of {episodes} episodes recorded in {made - begun:.0f} s, ", end="")
    print(f"exported in {time.monotonic() - made:.0f} s")


def read(folder: Path) -> int:
    """Compare every frame that the real lerobot reads with its number; returns the number of mismatches."""
    import lerobot
    import numpy as np
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    try:
        import_module("torchcodec.decoders")  # its default, which needs FFmpeg's libraries on the system
        backend = "torchcodec"
    except (ImportError, RuntimeError):
        backend = "pyav"
    dataset = LeRobotDataset("local/judge", root=folder / "dataset", video_backend=backend)
    mismatches, begun = 0, time.monotonic()
    number = episode = index = 0
    for position in range(len(dataset)):
        item = dataset[position]
        shown = number_of(item["observation.image"].numpy().transpose(1, 2, 0) * 255)
        controls = np.array([*controls_of(number, index).values()], np.float32)
        good = shown == number and item["index"].item() == number and item["episode_index"].item() == episode
        good = good and item["frame_index"].item() == index and item["next.reward"].item() == number
        good = good and bool(item["first"].item()) == (index == 0) and np.array_equal(item["action"].numpy(), controls)
        mismatches += not good
        number, index = number + 1, index + 1
        if index == FRAMES[episode % len(FRAMES)]:
            episode, index = episode + 1, 0
    seconds = time.monotonic() - begun
    stated = json.loads((folder / "dataset" / "meta" / "info.json").read_text())
    mismatches += (stated["total_frames"], stated["total_episodes"]) != (number, episode)
    mismatches += dataset.meta.total_episodes != episode or "action" not in dataset.meta.stats
    print(
        f"lerobot {lerobot.__version__} ({dataset.video_backend}) read {number} frames of {episode} episodes by index "
        f"in {seconds:.0f} s: {mismatches} mismatches"
    )
    return mismatches


def main() -> int:
    """Make a dataset here, and read it in a Python with lerobot."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "lerobot-judge")
    parser.add_argument("--python", help="Python with lerobot; default: one that is installed into FOLDER/venv")
    parser.add_argument("--read", action="store_true", help="only read, in this very Python")
    given = parser.parse_args()
    if given.read:
        return int(read(given.folder) > 0)
    make(given.folder, given.episodes)
    words = [given.python or own_python(given.folder, LEROBOT), __file__, "--read", "--folder", str(given.folder)]
    return subprocess.run(words).returncode


if __name__ == "__main__":
    sys.exit(main())
