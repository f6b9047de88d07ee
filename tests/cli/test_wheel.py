"""The built wheel in an environment that has the dependencies and nothing of the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
import racing_vpt
from racing_vpt.cli.main import main

videos, shards = sys.argv[1:]
assert racing_vpt.__file__.startswith(sys.path[1]), racing_vpt.__file__
short = ["--trainer.max_steps=2", "--trainer.val_check_interval=2", "--data.batch_size=2", "--data.clip_frames=12"]
short += ["--data.train=" + shards, "--data.val=" + shards, "--data.steps_per_epoch=2", "--model.margin=2"]
for words in (
    ["drive", "--checkpoint", "zoo:vpt-carracing", "--seeds", "1000", "--max_frames", "5", "--workers", "1"],
    ["predict", "--config", "label", "--ckpt_path", "zoo:idm-carracing", "--data.videos", videos, "--out", "labels"],
    ["fit", "--config", "idm", "--name", "tiny", *short],
):
    print("$", *words, flush=True)
    assert main(words) == 0, words
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel's packages, and `bin/racing-vpt`."""
    folder = tmp_path_factory.mktemp("wheel")
    source, target = folder / "source", folder / "installed"
    for name in ("racing_vpt", "configs"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", source, "--no-deps", "--no-build-isolation", "--wheel-dir", folder], check=True)
    (wheel,) = folder.glob("racing_vpt-*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--no-compile", "--target", target, wheel], check=True)
    return target


def test_the_wheel_drives_labels_and_trains_in_an_empty_folder(
    installed: Path, tiny_videos: Path, tiny_shards: Path, tmp_path: Path
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, tiny_videos, tiny_shards],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list((tmp_path / "labels").glob("*.jsonl"))) == 2
    assert (tmp_path / "runs" / "idm" / "tiny" / "environment.json").is_file(), "base.yaml was not read"
    version = [sys.executable, installed / "bin" / "racing-vpt", "--version"]
    assert subprocess.run(version, env=environment, capture_output=True, text=True).stdout.startswith("0.")


def test_the_wheel_has_every_config(installed: Path) -> None:
    shipped = {path.relative_to(ROOT / "configs") for path in (ROOT / "configs").rglob("*.yaml")}
    assert shipped == {
        path.relative_to(installed / "racing_vpt" / "configs") for path in installed.rglob("configs/**/*.yaml")
    }
