"""Judge of the OWAMcap export: the real mcap-owa-support reads every message, and mediaref every frame.

    python tests/exchange/judge_owamcap.py            (20 episodes; installs them into build/owamcap-judge)
    python tests/exchange/judge_owamcap.py --python PYTHON   (a Python that has them already)

No test: they bring pydantic, OpenCV and more. It ends with status 3 and says why where they cannot be installed. The
export itself needs the extra `[mcap]`. Each frame shows its own number (`numbered.py`).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from numbered import number_of, write_numbered
from own_python import own_python

READERS = ("mcap-owa-support==0.6.6", "owa-msgs==0.6.6")
ROOT = Path(__file__).parents[2]
LENGTHS = (50, 61, 72)  # frames of the episodes, in turn


def make(folder: Path, episodes: int) -> None:
    """Write recordings whose frames show their number, and export them."""
    from racing_vpt.cli.main import main

    write_numbered(folder / "recordings", episodes, LENGTHS)
    words = ["export", str(folder / "recordings"), "--format", "mcap", "--out", str(folder / "owamcap")]
    assert main(words) == 0


def read(folder: Path) -> int:
    """Compare what the real reader reads with the frames' numbers; returns the number of mismatches."""
    import mcap_owa
    from mcap_owa.highlevel import OWAMcapReader

    number = mismatches = frames = 0
    begun = time.monotonic()
    for path in sorted((folder / "owamcap").glob("*.mcap")):
        with OWAMcapReader(path, decode_args={"return_dict_on_failure": True}) as reader:  # messages owa-msgs lacks
            pads = [message.decoded for message in reader.iter_messages(topics=["gamepad/state"])]
            told = [message.decoded for message in reader.iter_messages(topics=["racing_vpt/controls"])]
            for index, message in enumerate(reader.iter_messages(topics=["screen"])):
                screen = message.decoded.resolve_relative_path(str(path))
                good = number_of(screen.to_rgb_array()) == number and type(screen).__name__ == "ScreenCaptured"
                good = good and told[index]["frame"] == index and told[index]["reward"] == number
                good = good and pads[index]["axes"]["GAMEPAD_AXIS_LEFT_X"] == told[index]["controls"]["steering"]
                mismatches += not good
                number, frames = number + 1, frames + 1
            mismatches += len(told) != index + 1
    print(
        f"mcap-owa-support {mcap_owa.__version__} read {frames} frames by their reference in "
        f"{time.monotonic() - begun:.0f} s: {mismatches} mismatches"
    )
    return mismatches


def main() -> int:
    """Make files here, and read them in a Python with the real reader."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "owamcap-judge")
    parser.add_argument("--python", help="Python with the reader; default: one that is installed into FOLDER/venv")
    parser.add_argument("--read", action="store_true", help="only read, in this very Python")
    given = parser.parse_args()
    if given.read:
        return int(read(given.folder) > 0)
    make(given.folder, given.episodes)
    words = [given.python or own_python(given.folder, READERS), __file__, "--read", "--folder", str(given.folder)]
    return subprocess.run(words).returncode


if __name__ == "__main__":
    sys.exit(main())
