"""A Python of its own for readers that cannot be installed beside this project; for the judges, which are no tests."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

UNAVAILABLE = 3  # exit status of a judge whose reader cannot be installed


def own_python(folder: Path, packages: Sequence[str], shared: bool = False) -> str:
    """A Python with these packages, installed once; status 3 and a sentence where they cannot be installed.

    Args:
        folder: where it is installed, in `venv`.
        packages: requirements.
        shared: it also imports what this Python imports.
    """
    python, done = folder / "venv" / "bin" / "python", folder / "venv" / "installed"
    if not done.is_file() or done.read_text() != "\n".join(packages):
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder / "venv")], check=True)
        if shared:
            ours = sysconfig.get_path("purelib")
            theirs = sysconfig.get_path("purelib", vars={"base": str(folder / "venv")})
            Path(theirs, "shared.pth").write_text(f"{ours}\n")
        installed = subprocess.run([str(python), "-m", "pip", "install", "--quiet", *packages])
        if installed.returncode:
            print(f"{' '.join(packages)} cannot be installed here (pip says why above); nothing was judged")
            sys.exit(UNAVAILABLE)
        done.write_text("\n".join(packages))
    return str(python)
