"""Each call on an output fails once: nothing half, nothing lost, one line and status 2, and the next run completes."""

from __future__ import annotations

import errno
import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml

from racing_vpt.checkpoints.integrity import fault_of
from racing_vpt.checkpoints.openai import load_tensors
from racing_vpt.data.label_files import write_labels
from racing_vpt.files import TEMPORARY
from racing_vpt.outputs import LOCK
from racing_vpt.types import FrameRecord
from racing_vpt.video.encode import VideoWriter
from tests.conftest import write_tiny_recording
from tests.faults.harness import FULL, note
from tests.faults.nth_call import Ended, ended, library

pytestmark = pytest.mark.skipif(library() is None, reason="the calls are made to fail by a library that `cc` compiles")

ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES)  # in turn
REASONS = (
    "the disk is full", "permission denied", "the disk reports an error", "could not be written",
    "Permission denied", "Input/output error",  # of a checkpoint that cannot be read, within a sentence about it
)  # fmt: skip
ROOT = Path(__file__).parents[2]
NOTES = "notes.txt"  # somebody else's, in each output folder


@dataclass(frozen=True)
class Case:
    """A verb that is tried.

    Args:
        words: its command line.
        out: the folder that it writes to.
        prepare: fills the folder as it is before.
        fault: what is wrong with a folder after the verb, or None; of files with final names.
        done: whether all that was asked for is there.
        short: the call that fails in `make test`, if the verb is tried there.
    """

    words: list[str]
    out: Path
    prepare: Callable[[Path], None]
    fault: Callable[[Path], str | None]
    done: Callable[[Path], bool]
    short: int = 30


def final_files(folder: Path) -> dict[str, bytes]:
    """Content by name of what has a final name."""
    found = {}
    for file in sorted(folder.rglob("*")) if folder.is_dir() else []:
        name = str(file.relative_to(folder))
        if file.is_file() and TEMPORARY not in name and ".lock" not in name:
            found[name] = file.read_bytes()
    return found


def is_entry(name: str, content: bytes) -> bool:
    """Whether this is a whole entry of a shard, which lies beside it until the manifest lists it."""
    return name.endswith(".entry.json") and isinstance(json.loads(content), dict)


def same_bytes(words: list[str], out: Path, prepare: Callable[[Path], None], log: Path) -> Case:
    """A verb whose output is the same in each run: each file is as before, or as it is in the end."""
    prepare(out)
    before = final_files(out)
    whole = ended(words, out, log)
    assert whole.status == 0, whole.said
    after = final_files(out)

    def fault(folder: Path) -> str | None:
        there = final_files(folder)
        lost = [name for name in before if name in after and name not in there]
        half = [
            name
            for name, content in there.items()
            if content not in (before.get(name), after.get(name)) and not is_entry(name, content)
        ]
        return f"lost: {lost}, half: {half}" if lost or half else None

    return Case(words, out, prepare, fault, lambda folder: final_files(folder) == after)


def collect(folder: Path, log: Path) -> Case:
    words = ["collect", "--seeds=10000-10001", "--max_frames=6", "--workers=1", f"--out={folder / 'out'}"]
    ready = folder / "ready"
    assert ended([*words[:1], "--seeds=10001", *words[2:4], f"--out={ready}"], ready, log).status == 0
    return same_bytes(words, folder / "out", beside(lambda out: shutil.copytree(ready, out)), log)


def pack(folder: Path, log: Path) -> Case:
    write_tiny_recording(folder / "recordings", 0, 24)
    words = ["pack", f"--recordings={folder / 'recordings'}", "--clip_frames=16", "--val_fraction=0"]
    return same_bytes([*words, f"--out={folder / 'out'}"], folder / "out", beside(), log)


def predict(folder: Path, log: Path) -> Case:
    write_tiny_recording(folder / "videos", 0, 12, actions=False)
    words = ["predict", f"--config={ROOT / 'configs' / 'label.yaml'}", "--ckpt_path=zoo:idm-carracing",
             f"--data.videos={folder / 'videos'}", f"--runs={folder / 'runs'}", "--trainer.accelerator=cpu",
             "--data.window=16", "--data.window_stride=8", f"--out={folder / 'out'}"]  # fmt: skip

    def older(out: Path) -> None:
        records = [FrameRecord(i, i / 50, {"steering": 0.0}, confidence=0.5) for i in range(12)]
        write_labels(out / "tiny-10000.jsonl", records, {"checkpoint": "of before", "video_sha256": "other"})

    return same_bytes(words, folder / "out", beside(older), log)


def import_contractor(folder: Path, log: Path) -> Case:
    source = folder / "contractors"
    source.mkdir()
    game = {"isGuiOpen": False, "isGuiInventory": False, "hotbar": 0, "yaw": 0.0, "pitch": 0.0, "tick": 1, "stats": {}}
    mouse = {"x": 640.0, "y": 360.0, "dx": 3.0, "dy": 1.0, "dwheel": 0.0, "buttons": [], "newButtons": []}
    keys = {"keys": ["key.keyboard.w"], "newKeys": [], "chars": ""}
    lines = [json.dumps({"mouse": mouse, "keyboard": keys, **game})] * 8
    (source / "someone.jsonl").write_text("\n".join(lines))
    writer = VideoWriter(source / "someone.mp4", 20.0, 32, 48)
    for index in range(len(lines)):
        writer.add(np.full((32, 48, 3), 20 * index, np.uint8))
    writer.close()
    return same_bytes(
        ["import", str(source), "--format=contractor", f"--out={folder / 'out'}"], folder / "out", beside(), log
    )


def import_vpt(folder: Path, log: Path) -> Case:
    words = ["import-vpt", f"--model={ROOT / 'tests' / 'vpt_parity' / 'idm.model'}", f"--out={folder / 'out'}"]
    return same_bytes(words, folder / "out", beside(), log)


def fit(folder: Path, log: Path, resumed: bool = False) -> Case:
    """A training of two steps, from the beginning or from the checkpoint of the first."""
    recordings, run = folder / "recordings", folder / "runs" / "vpt" / "tiny"
    write_tiny_recording(recordings, 0, 24)
    configs = [f"--config={ROOT / 'configs' / name}" for name in ("base.yaml", "vpt.yaml")]
    words = [
        "fit", *configs, f"--data.train={recordings}", f"--data.val={recordings}", f"--runs={folder / 'runs'}",
        "--name=tiny", "--data.batch_size=2", "--data.clip_frames=8", "--data.reading.cache_gib=0",
        "--trainer.accelerator=cpu", "--trainer.val_check_interval=1", "--trainer.limit_val_batches=1",
        "--trainer.log_every_n_steps=1", "--data.loading.num_workers=0", "--model.frames.height=32",
        "--model.frames.width=32",
        "--model.network.size={hidsize: 16, attention_heads: 2, n_recurrence_layers: 1, attention_memory_size: 8, "
        "timesteps: 4, cnn_outsize: 16, impala_chans: [4, 4, 4]}",
    ]  # fmt: skip
    if not resumed:
        return Case([*words, "--trainer.max_steps=2"], run, beside(), run_fault, lambda out: steps(out) == 2, 70)
    first = ended([*words, "--trainer.max_steps=1"], run, log)
    assert first.status == 0, first.said
    ready = folder / "ready"
    shutil.move(run, ready)
    words += ["--trainer.max_steps=2", "--ckpt_path=last"]

    def fault(out: Path) -> str | None:
        return run_fault(out) or (None if steps(out) in (1, 2) else "the checkpoint of the first step was lost")

    return Case(words, run, beside(lambda out: shutil.copytree(ready, out)), fault, lambda out: steps(out) == 2)


def fit_on(folder: Path, log: Path) -> Case:
    return fit(folder, log, resumed=True)


def steps(run: Path) -> int:
    """Steps of training in the last checkpoint of a run; 0 where there is none."""
    last = run / "checkpoints" / "last.ckpt"
    return int(load_tensors(last)["global_step"]) if last.is_file() else 0


def run_fault(run: Path) -> str | None:
    """What is wrong with the files of a run folder."""
    for name, content in final_files(run).items():
        path = run / name
        if path.suffix in (".ckpt", ".previous"):
            fault = fault_of(path)
            if fault is not None:
                return fault
        elif path.suffix == ".yaml":
            if not isinstance(yaml.safe_load(content), dict) or not content.endswith(b"\n"):
                return f"{name} is half: {content[-50:]!r}"
        elif path.suffix == ".json":
            json.loads(content)
    return None


def beside(fill: Callable[[Path], object] = lambda out: out.mkdir(parents=True)) -> Callable[[Path], None]:
    """What fills an output folder, with somebody's notes in it."""

    def prepare(out: Path) -> None:
        shutil.rmtree(out, ignore_errors=True)
        fill(out)
        (out / NOTES).write_text("mine")

    return prepare


ONLY_IN_FULL = ("collect", "predict", "fit --ckpt_path last")  # dearer, and published as the others
CASES = {
    "collect": collect, "pack": pack, "predict": predict, "import": import_contractor,
    "import-vpt": import_vpt, "fit": fit, "fit --ckpt_path last": fit_on,
}  # fmt: skip


def told(run: Ended, case: Case) -> str | None:
    """What is wrong with how a failed command ended: one line on standard error, or a completed command."""
    if run.status == 0:
        return None if case.done(case.out) else f"status 0, but not all is there: {run.said[-300:]}"
    lines = [line for line in run.said.splitlines() if f"racing-vpt {case.words[0]}: error:" in line]
    if run.status != 2 or len(lines) != 1 or "Traceback" in run.said:
        return f"status {run.status}, {run.said[-1500:]}"
    named = case.out.name in lines[0] or case.out.parent.name in lines[0]
    reason = any(why in lines[0] for why in REASONS)
    return None if named and reason else f"the line does not say what failed where: {lines[0]}"


@pytest.mark.parametrize("verb", [verb for verb in CASES if FULL or verb not in ONLY_IN_FULL])
def test_a_call_that_fails_once_leaves_nothing_half_and_the_next_run_completes(verb: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    case = CASES[verb](tmp_path, log)
    places = [case.short]
    if FULL:
        case.prepare(case.out)
        places = list(range(1, len(ended(case.words, case.out, log).calls) + 1))
    faults, kinds, tolerated = [], Counter[str](), 0
    for at in places:
        case.prepare(case.out)
        number = ERRORS[at % len(ERRORS)]
        run = ended(case.words, case.out, log, at, number)
        call = run.calls[at - 1]
        kinds[call.split()[0]] += 1
        tolerated += run.status == 0
        found = told(run, case) or case.fault(case.out)
        found = found or (None if (case.out / NOTES).read_text() == "mine" else "somebody's notes were changed")
        if not case.done(case.out) or run.status:
            words = case.words
            if verb == "fit" and steps(case.out):  # as its line says
                words = [*words, "--ckpt_path=last"]
            again = ended(words, case.out, log)
            complete = again.status == 0 and case.done(case.out) and case.fault(case.out) is None
            left = [file.name for file in case.out.rglob("*") if TEMPORARY in file.name or file.name == LOCK]
            found = found or (None if complete and not left else f"the next run: {left} {again.said[-1500:]}")
        if found is not None:
            faults.append(f"call {at} ({call}), {errno.errorcode[number]}: {found}")
    about = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    tried = len(places)
    note(f"the n-th call of {verb} fails once ({about}; {tolerated} without effect)", tried, tried - len(faults))
    assert not faults, f"{len(faults)} of {tried}:\n" + "\n".join(faults)
