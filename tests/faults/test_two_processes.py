"""Two processes are one with twice the batch; one that dies ends the other, and both go on from the checkpoint."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from building import build

from racing_vpt.checkpoints.folder import save_checkpoint
from racing_vpt.checkpoints.integrity import fault_of
from racing_vpt.cli.parsing import parse_stage
from racing_vpt.models.tokenizer import Tokenizer
from racing_vpt.models.vae import VAE
from racing_vpt.types import FrameSpec
from tests.conftest import LENGTHS
from tests.faults.harness import FULL, note

ROOT = Path(__file__).parents[2]
slow = pytest.mark.skipif(not FULL, reason="starting processes takes a minute; make test-faults")


def run(devices: int, data: Path, folder: Path, *words: str, seconds: float = 900) -> int:
    """Exit status of `two_processes.py` on so many processes, in at most `seconds`; what it said is in `folder/log`."""
    folder.mkdir(exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    script = str(Path(__file__).with_name("two_processes.py"))
    done = subprocess.run(
        [sys.executable, script, str(devices), str(data), str(folder), *words],
        env={**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=seconds,
    )  # fmt: skip
    (folder / "log").write_text(done.stdout + done.stderr)
    return done.returncode


def said(folder: Path) -> str:
    return (folder / "log").read_text()[-3000:]


def results(folder: Path, what: str, rank: int = 0) -> dict:
    return json.loads((folder / f"{what}-{rank}.json").read_text())


def apart(one: dict, two: dict) -> float:
    """How far weights of two trainings are apart at most, as a share of how far the parameter moved."""
    found = 0.0
    for name, weights in one["weights"].items():
        difference = max(abs(a - b) for a, b in zip(weights, two["weights"][name], strict=True))
        found = max(found, difference / max(one["moved"][name], 1e-12))
    return found


@slow
def test_two_processes_are_one_with_twice_the_batch(tiny_shards: Path, tmp_path: Path) -> None:
    kinds = ("VPT", "IDM", "VAE", "MDNRNN", "TokenWorld")
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "eye", "racing_vpt.models.vae.VAE", {}, VAE().state_dict())
    given = {"frames": asdict(FrameSpec(height=64, width=64)), "tokenizer": {"size": "tiny"}}
    eye = build(Tokenizer, given).state_dict()
    save_checkpoint(tmp_path / "tokens", "racing_vpt.models.tokenizer.Tokenizer", given, eye)
    for devices, folder in ((1, tmp_path / "one"), (2, tmp_path / "two")):
        assert run(devices, tiny_shards, folder, *kinds) == 0, said(folder)
    survived = 0
    for kind in kinds:
        one, two, other = (results(tmp_path / name, kind, rank) for name, rank in (("one", 0), ("two", 0), ("two", 1)))
        assert [[*a, *b] for a, b in zip(two["ids"], other["ids"], strict=True)] == one["ids"]
        assert any(a != b for a, b in zip(two["counted"], other["counted"], strict=True))  # or means of means would do
        assert max(one["moved"].values()) > 1e-3
        assert two["weights"] == other["weights"]
        assert apart(one, two) < 1e-9, kind
        assert two["metrics"].keys() == one["metrics"].keys() == other["metrics"].keys()
        for name, value in one["metrics"].items():
            if name.endswith("action_sensitivity"):
                continue  # with the controls of whichever clip lies beside
            rough = (kind, name) == ("MDNRNN", "val/loss")  # a sum of means over different numbers of frames
            share = 0.1 if rough else 1e-5
            assert two["metrics"][name] == pytest.approx(value, rel=share, abs=1e-6, nan_ok=True), (kind, name)
        survived += 1
    note("DDP: clips, weights and validation of two processes are those of one", len(kinds), survived)


@slow
def test_weights_that_are_divided_over_processes_train_as_whole_ones(tiny_shards: Path, tmp_path: Path) -> None:
    kinds = ("VPT", "IDM")
    for devices, folder in ((1, tmp_path / "one"), (2, tmp_path / "two")):
        assert run(devices, tiny_shards, folder, *kinds, "divided") == 0, said(folder)
    for kind in kinds:
        one, two = results(tmp_path / "one", f"{kind}-divided"), results(tmp_path / "two", f"{kind}-divided")
        assert one["divided"] == 0
        assert two["divided"] > 0.9 * two["count"]
        for name, weights in one["weights"].items():
            assert two["weights"][name] == pytest.approx(weights, abs=1e-9), (kind, name)
    note("FSDP2 on the CPU: weights divided over two processes train as whole ones", len(kinds), len(kinds))


@slow
def test_a_killed_process_ends_the_other_and_both_go_on(tiny_shards: Path, tmp_path: Path) -> None:
    assert run(2, tiny_shards, tmp_path / "run", "VPT", "kill") != 0
    assert time.time() - (tmp_path / "run" / "killed").stat().st_mtime < 60
    assert fault_of(tmp_path / "run" / "VPT" / "last.ckpt") is None
    assert not (tmp_path / "run" / "VPT-0.json").exists()
    assert run(2, tiny_shards, tmp_path / "run", "VPT") == 0, said(tmp_path / "run")
    assert run(1, tiny_shards, tmp_path / "one", "VPT") == 0, said(tmp_path / "one")
    whole, resumed = results(tmp_path / "one", "VPT"), results(tmp_path / "run", "VPT")
    assert len(resumed["ids"]) < len(whole["ids"])
    assert apart(whole, resumed) < 1e-9
    note("one of two processes killed: the job ends with an error within a minute, and goes on", 1, 1)


@slow
@pytest.mark.parametrize("count", [1, 3])
def test_two_processes_label_every_video_once(count: int, tiny_recordings: Path, tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    names = sorted(path.stem for path in tiny_recordings.glob("*.mp4"))[:count]
    for name in names:
        shutil.copy(tiny_recordings / f"{name}.mp4", videos)
    words = ["slow"] if count == 1 else []  # the second process then waits for the first one's video
    assert run(2, videos, tmp_path / "run", "label", *words) == 0, said(tmp_path / "run")
    assert sorted(path.stem for path in (tmp_path / "run" / "labels").glob("*.jsonl")) == names
    tally = results(tmp_path / "run", "labels")
    assert tally["done"] == count
    assert tally["frames"] == sum(LENGTHS[:count])


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_the_strategies_parse_with_both_stages(strategy: str) -> None:
    for stage in ("idm", "vpt"):
        files = ("base.yaml", f"{stage}.yaml", f"strategy/{strategy}.yaml")
        options = parse_stage("fit", [word for name in files for word in ("--config", str(ROOT / "configs" / name))])
        assert strategy in options.trainer.strategy.class_path.lower()
