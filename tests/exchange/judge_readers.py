"""Judge of the exports that other packages read: runs their tests where the packages are not installed.

    python tests/exchange/judge_readers.py            (installs them into build/readers-judge)

It ends with status 3 and says why where they cannot be installed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from own_python import own_python

READERS = {
    "minari[hdf5]==0.5.4": "test_minari.py",
    "mcap==1.6.0": "test_mcap.py",
}  # package: the test that reads with it
ROOT = Path(__file__).parents[2]


def main() -> int:
    """Install the readers and run their tests; returns pytest's status, also where one was skipped."""
    python = own_python(ROOT / "build" / "readers-judge", list(READERS), shared=True)
    files = [str(Path(__file__).parent / file) for file in READERS.values()]
    words = [python, "-m", "pytest", "-n0", "-rs", *files]
    done = subprocess.run(words, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    print(done.stdout[-4000:], done.stderr[-2000:])
    return done.returncode or int("skipped" in done.stdout)


if __name__ == "__main__":
    sys.exit(main())
