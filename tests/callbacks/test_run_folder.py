"""Content of a run folder: intact checkpoints, and a record of versions and command."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from racing_vpt.callbacks.checkpoint_io import AtomicCheckpointIO
from racing_vpt.callbacks.environment import write_environment

SAVE_FOREVER = """
import sys, torch
from racing_vpt.callbacks.checkpoint_io import AtomicCheckpointIO
io, n = AtomicCheckpointIO(), 0
while True:
    io.save_checkpoint({"n": n, "weights": torch.full((1_000_000,), float(n))}, sys.argv[1])
    n += 1
    print(n, flush=True)
"""


def test_a_checkpoint_is_restored_and_its_folder_holds_nothing_else(tmp_path: Path) -> None:
    io, path = AtomicCheckpointIO(), tmp_path / "checkpoints" / "last.ckpt"
    io.save_checkpoint({"step": 1}, path)
    io.save_checkpoint({"step": 2, "weights": torch.ones(3)}, path)
    assert io.load_checkpoint(path)["step"] == 2
    assert {file.name for file in path.parent.iterdir()} == {"last.ckpt", "last.ckpt.previous"}


def test_a_save_that_fails_leaves_the_checkpoint_before_it(tmp_path: Path) -> None:
    io, path = AtomicCheckpointIO(), tmp_path / "last.ckpt"
    io.save_checkpoint({"step": 1}, path)
    with pytest.raises(Exception, match=r"pickle|local"):
        io.save_checkpoint({"step": lambda: 2}, path)
    assert io.load_checkpoint(path)["step"] == 1
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_process_killed_while_saving_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    saver = subprocess.Popen([sys.executable, "-c", SAVE_FOREVER, str(path)], stdout=subprocess.PIPE, text=True)
    assert saver.stdout is not None
    for _ in range(3):
        saver.stdout.readline()
    os.kill(saver.pid, signal.SIGKILL)
    saver.wait()
    checkpoint = AtomicCheckpointIO().load_checkpoint(path)
    assert checkpoint["n"] >= 2
    assert bool((checkpoint["weights"] == checkpoint["n"]).all())


def test_the_environment_names_versions_commit_and_command_and_is_never_overwritten(tmp_path: Path) -> None:
    first, second = write_environment(tmp_path), write_environment(tmp_path)
    assert (first.name, second.name) == ("environment.json", "environment-2.json")
    noted = json.loads(first.read_text())
    assert (
        noted["versions"]["torch"] == torch.__version__.split("+")[0] or noted["versions"]["torch"] == torch.__version__
    )
    assert noted["versions"]["racing-vpt"]
    assert noted["command"]
    in_checkout = (Path(__file__).parents[2] / ".git").exists()
    assert (noted["commit"] is not None) == in_checkout
