"""Verbs that write data killed at random moments: no partial file has a final name, and a rerun completes."""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path

import pytest

from racing_vpt.verbs.verify import verify
from tests.faults.harness import command, kill_session, note, tries

ROOT = Path(__file__).parents[2]


def files_of(folder: Path) -> dict[str, bytes]:
    """Content of the files with final names in a folder, by name."""
    files = [file for file in folder.rglob("*") if file.is_file() and ".tmp-" not in str(file.relative_to(folder))]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def run(words: list[str], log: Path) -> float:
    """Run a command to its end; returns the time in seconds."""
    before = time.monotonic()
    process = command(*words, log=log)
    process.join()
    assert process.exitcode == 0, log.read_text()[-3000:]
    return time.monotonic() - before


@pytest.fixture
def verbs(tiny_recordings: Path, tiny_videos: Path, tmp_path: Path) -> dict[str, list[str]]:
    """Options of each verb, without the output folder."""
    tables = tmp_path / "tables"
    run(["export", str(tiny_recordings), "--format=table", f"--out={tables}"], tmp_path / "log")
    return {
        "export": ["export", str(tiny_recordings), "--format=table"],
        "import": ["import", str(tables), "--format=table"],
        "collect": ["collect", "--seeds=10000-10003", "--max_frames=40", "--workers=1"],
        "pack": ["pack", f"--recordings={tiny_recordings}", "--shard_mib=0.03", "--clip_frames=16"],
        "predict": ["predict", f"--config={ROOT / 'configs' / 'label.yaml'}", "--ckpt_path=zoo:idm-carracing",
                    f"--data.videos={tiny_videos}", f"--runs={tmp_path / 'runs'}", "--trainer.accelerator=cpu",
                    "--data.window=64", "--data.window_stride=32"],
    }  # fmt: skip


@pytest.mark.parametrize("verb", ["collect", "pack", "predict", "import", "export"])
def test_a_verb_that_is_killed_leaves_nothing_half_and_completes(
    verb: str, verbs: dict[str, list[str]], tmp_path: Path
) -> None:
    words, log = verbs[verb], tmp_path / "log"
    seconds = run([*words, f"--out={tmp_path / 'whole'}"], log)
    whole = files_of(tmp_path / "whole")
    assert len(whole) >= 4
    count, whole_while_killed, completed, met = tries(30, 1), 0, 0, 0
    for trial in range(count):
        out = tmp_path / str(trial)
        process = command(*words, f"--out={out}", log=log)
        time.sleep(random.uniform(0.1, seconds))
        met += process.is_alive()
        kill_session(process)
        there = files_of(out) if out.is_dir() else {}
        half = [name for name, content in there.items() if whole.get(name, content) != content]
        whole_while_killed += not half
        run([*words, f"--out={out}"], log)
        completed += files_of(out) == whole and not list(out.rglob(".tmp-*"))
        if verb != "export":
            verify(str(out))
        assert not half, half
        assert files_of(out).keys() == whole.keys()
        assert [name for name, content in files_of(out).items() if content != whole[name]] == []
        shutil.rmtree(out)
    note(f"{verb} killed (in {met} of {count} before its end): nothing half, completed, equal", count, completed)
    assert completed == whole_while_killed == count
    assert met or count == 1
