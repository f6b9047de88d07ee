"""Two processes are one with twice the batch; one that dies ends the other, and both go on from the checkpoint."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from racing_vpt.checkpoints.integrity import fault_of
from racing_vpt.cli_stages import parse_stage
from tests.faults.harness import FULL, note

ROOT = Path(__file__).parents[2]
slow = pytest.mark.skipif(not FULL, reason="starting processes takes a minute; make test-faults")


def run(devices: int, shards: Path, folder: Path, *more: str) -> tuple[int, float]:
    """Exit status and seconds of a training on so many processes."""
    folder.mkdir(exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    before = time.monotonic()
    script = str(Path(__file__).with_name("two_processes.py"))
    done = subprocess.run(
        [sys.executable, script, str(devices), str(shards), str(folder), *more],
        env={**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    (folder / "log").write_text(done.stdout + done.stderr)
    return done.returncode, time.monotonic() - before


def results(folder: Path, rank: int = 0) -> dict:
    return json.loads((folder / f"rank{rank}.json").read_text())


@slow
def test_two_processes_are_one_with_twice_the_batch(tiny_shards: Path, tmp_path: Path) -> None:
    assert run(1, tiny_shards, tmp_path / "one")[0] == 0, (tmp_path / "one" / "log").read_text()[-3000:]
    assert run(2, tiny_shards, tmp_path / "two")[0] == 0, (tmp_path / "two" / "log").read_text()[-3000:]
    one, two, other = results(tmp_path / "one"), results(tmp_path / "two"), results(tmp_path / "two", 1)
    assert [[*a, *b] for a, b in zip(two["ids"], other["ids"], strict=True)] == one["ids"]
    for name, weights in one["weights"].items():
        assert two["weights"][name] == pytest.approx(weights, abs=2e-5), name
        assert two["weights"][name] == other["weights"][name]
    assert two["metrics"].keys() == one["metrics"].keys()
    for name, value in one["metrics"].items():
        if "loss" not in name:  # a mean of means, of batches that are not equally full
            assert two["metrics"][name] == pytest.approx(value, abs=1e-3, nan_ok=True), name
    note("DDP on two processes: clips, weights and validation as one with twice the batch", 1, 1)


@slow
def test_a_killed_process_ends_the_other_and_both_go_on(tiny_shards: Path, tmp_path: Path) -> None:
    status, _ = run(2, tiny_shards, tmp_path / "run", "kill")
    assert status != 0
    assert fault_of(tmp_path / "run" / "last.ckpt") is None
    assert not (tmp_path / "run" / "rank0.json").exists()
    assert run(2, tiny_shards, tmp_path / "run")[0] == 0, (tmp_path / "run" / "log").read_text()[-3000:]
    assert run(1, tiny_shards, tmp_path / "one")[0] == 0
    whole, resumed = results(tmp_path / "one"), results(tmp_path / "run")
    assert len(resumed["ids"]) < len(whole["ids"])
    for name, weights in whole["weights"].items():
        assert resumed["weights"][name] == pytest.approx(weights, abs=2e-5), name
    note("a process of two killed: the job ends with an error, and goes on from its checkpoint", 1, 1)


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_the_strategies_parse_with_both_stages(strategy: str) -> None:
    for stage in ("idm", "vpt"):
        files = ("base.yaml", f"{stage}.yaml", f"strategy/{strategy}.yaml")
        options = parse_stage("fit", [word for name in files for word in ("--config", str(ROOT / "configs" / name))])
        assert strategy in options.trainer.strategy.class_path.lower()
