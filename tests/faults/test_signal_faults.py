"""Signals end a training after its batch, with a checkpoint, the right status and no process left."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from racing_vpt.checkpoints.integrity import fault_of
from racing_vpt.checkpoints.torch_file import load_tensors
from tests.faults.harness import command, none_left, note, session_of, tries, wait_until

ROOT = Path(__file__).parents[2]


def fit(run: Path, recordings: Path, *more: str) -> list[str]:
    """An endless tiny training of a policy, with validations."""
    configs = [f"--config={ROOT / 'configs' / name}" for name in ("base.yaml", "vpt.yaml")]
    return [
        "fit", *configs, f"--data.train={recordings}", f"--data.val={recordings}", f"--runs={run}", "--name=tiny",
        "--data.batch_size=4", "--data.clip_frames=5", "--data.reading.cache_gib=0", "--trainer.accelerator=cpu",
        "--trainer.max_steps=100000", "--trainer.val_check_interval=7", "--trainer.limit_val_batches=2",
        "--trainer.callbacks=[]", "--trainer.log_every_n_steps=1", "--model.frames.height=32",
        "--model.frames.width=32", *more,
    ]  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1], ids=lambda number: number.name)
def test_a_signal_ends_a_training_with_a_checkpoint(
    number: signal.Signals, tiny_recordings: Path, tmp_path: Path
) -> None:
    count, survived = tries(10, 1), 0
    for trial in range(count):
        run, log = tmp_path / str(trial), tmp_path / f"{trial}.log"
        process = command(*fit(run, tiny_recordings, "--data.loading.num_workers=2"), log=log)
        wait_until(lambda log=log: log.is_file() and "train/loss" in log.read_text(), process)
        time.sleep(random.uniform(0, 1.0))
        assert len(session_of(process)) >= 3
        if number == signal.SIGINT:  # as Ctrl-C does: to all at once
            os.killpg(process.pid, number)
        else:
            os.kill(process.pid, number)
        process.join(60)
        last = run / "vpt" / "tiny" / "checkpoints" / "last.ckpt"
        good = process.exitcode == 128 + number and none_left(process) and fault_of(last) is None
        good = good and f"after step {load_tensors(last)['global_step']}" in log.read_text()
        survived += good
        assert good, (process.exitcode, session_of(process), log.read_text()[-9000:])
    note(f"{number.name} in training: status {128 + number}, checkpoint, no process left", count, survived)


@pytest.mark.parametrize("verb", ["collect", "predict"])
def test_a_signal_ends_other_verbs_and_leaves_nothing_half(verb: str, tiny_videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = {
        "collect": ["collect", f"--out={out}", "--seeds=10000-10099", "--workers=2"],
        "predict": ["predict", f"--config={ROOT / 'configs' / 'label.yaml'}", "--ckpt_path=zoo:idm-carracing",
                    f"--data.videos={tiny_videos}", f"--out={out}", f"--runs={tmp_path}", "--trainer.accelerator=cpu"],
    }[verb]  # fmt: skip
    process = command(*words, log=tmp_path / "log")
    wait_until(lambda: out.is_dir() and any(out.iterdir()), process)
    os.kill(process.pid or 0, signal.SIGTERM)
    process.join(60)
    left = [file.name for file in out.rglob("*") if file.name.startswith(".tmp-")]
    good = process.exitcode == 143 and none_left(process) and not left
    note(f"SIGTERM in {verb}: status 143, no process, no half file left", 1, int(good))
    assert good, (process.exitcode, session_of(process), left, (tmp_path / "log").read_text()[-9000:])
