"""Record of versions, git commit, diff and command: `environment.json` in the run folder."""

import json
import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import lightning.pytorch as pl
import torch

import racing_vpt
from racing_vpt.files import write_text
from racing_vpt.hub.fetch import pinned_names

PACKAGES = ("torch", "lightning", "jsonargparse", "torchmetrics", "numpy", "gymnasium", "box2d", "decord", "av",
            "webdataset", "opencv-python-headless", "huggingface_hub")  # fmt: skip
MOST_DIFF = 1 << 20  # characters; a longer diff is cut, with a note


class EnvironmentRecord(pl.Callback):
    """Writes environment.json into the run folder when training starts; a resumed run adds environment-2.json."""

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        folder = trainer.log_dir  # on every rank, because Lightning broadcasts it
        if stage == "fit" and folder is not None and trainer.is_global_zero:
            write_environment(Path(folder))


def write_environment(folder: Path) -> Path:
    """Write `describe_environment()` to the first unused name of environment.json, environment-2.json, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    names = (f"environment{f'-{n}' if n > 1 else ''}.json" for n in range(1, 10_000))
    path = next(folder / name for name in names if not (folder / name).exists())
    write_text(path, json.dumps(describe_environment(), indent=1) + "\n")
    return path


def describe_environment() -> dict[str, object]:
    """Versions, machine, revisions from the Hub, git commit and diff (None outside a git checkout), and the command."""
    source = Path(racing_vpt.__file__).parent
    ours = _git(source, "ls-files", "--error-unmatch", "__init__.py") is not None  # not the checkout around a .venv
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor_cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "cuda": torch.version.cuda,
        "versions": {"racing-vpt": racing_vpt.__version__} | {name: _version(name) for name in PACKAGES},
        "hub": pinned_names(),  # what each name of the Hub meant
        "commit": _git(source, "rev-parse", "HEAD") if ours else None,
        "diff": _git(source, "diff", "HEAD") if ours else None,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git(folder: Path, *arguments: str) -> str | None:
    """Output of git in `folder`; None if git is not installed or the folder is not a checkout."""
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=20)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    if done.returncode:
        return None
    said = done.stdout.rstrip("\n")
    return said if len(said) <= MOST_DIFF else f"{said[:MOST_DIFF]}\n(cut after {MOST_DIFF} characters)"
