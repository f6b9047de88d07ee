"""Two writers of one output in every order of their steps, and a writer killed before each step."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from racing_vpt.callbacks.checkpoint_io import AtomicCheckpointIO
from racing_vpt.checkpoints.integrity import fault_of
from racing_vpt.data.cut import ClipFormat
from racing_vpt.data.label_files import read_labels, write_labels
from racing_vpt.data.manifest import read_manifest
from racing_vpt.data.packing import Packing, pack_recordings
from racing_vpt.data.recording import Recording, RecordingWriter
from racing_vpt.outputs import sole_writer
from racing_vpt.types import FrameRecord
from racing_vpt.verbs.verify import verify
from tests.faults.harness import FULL, note
from tests.faults.orders import Work, every_order, killed_at_every_step

STEERING = {"a": -0.5, "b": 0.5}
STRANGERS = {".tmp-x.jsonl": b"theirs", "y.jsonl": b"theirs", "train-000009.entry.json": b"theirs", "x.png": b""}


def records(name: str, count: int = 3) -> list[FrameRecord]:
    return [FrameRecord(index, index / 50, {"steering": STEERING[name]}, confidence=0.5) for index in range(count)]


def label(folder: Path, name: str) -> None:
    """Labels, as `predict` publishes them."""
    with sole_writer(folder):
        write_labels(folder / "x.jsonl", records(name), {"checkpoint": name, "video_sha256": "0"})


def record(folder: Path, name: str) -> None:
    """Write a recording of PNG frames, as `collect --pictures` does."""
    with sole_writer(folder):
        if (folder / "x.meta.json").exists():
            return
        with RecordingWriter(folder, "x", frames_per_second=50, meta={"agent": name}, video=False) as writer:
            for one in records(name):
                writer.add(np.full((8, 8, 3), 255 if name == "a" else 0, np.uint8), one)


def save(folder: Path, name: str) -> None:
    """Save a checkpoint without a lock, as two machines that share a run folder would."""
    AtomicCheckpointIO().save_checkpoint({"state_dict": {"w": torch.full((4,), STEERING[name])}}, folder / "last.ckpt")


@pytest.fixture(scope="module")
def packing(tiny_recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Work:
    """Pack a short recording, in clips of another length in each process."""
    folder = tmp_path_factory.mktemp("one")
    for file in tiny_recordings.glob("tiny-10000.*"):
        shutil.copy(file, folder)

    def pack(out: Path, name: str) -> None:
        frames = {"a": 16, "b": 20}[name]
        pack_recordings(folder, out, ClipFormat(96, 96, None, frames), Packing(val_fraction=0.0, shard_mib=0.002))

    return pack


@pytest.fixture
def fresh_folder(tmp_path: Path) -> Callable[[], Path]:
    """Makes empty folders."""
    numbers = itertools.count()

    def make() -> Path:
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        return folder

    return make


def whole_labels(folder: Path) -> str:
    """The writer whose complete labels are there."""
    lines, meta = read_labels(folder / "x.jsonl")
    assert {line.action["steering"] for line in lines} == {STEERING[meta["checkpoint"]]}
    return meta["checkpoint"]


def whole_recording(folder: Path) -> str:
    recording = Recording.open(folder / "x.meta.json")
    verify(str(folder))
    (steering,) = {line.action["steering"] for line in recording.records()}
    assert recording.open_video().read([2]).max() == (255 if recording.meta["agent"] == "a" else 0)
    assert steering == STEERING[recording.meta["agent"]]
    return recording.meta["agent"]


def whole_shards(folder: Path) -> str:
    verify(str(folder))
    manifest = read_manifest(str(folder))
    assert sum(counts["frames"] for counts in manifest["splits"].values()) == 40
    assert len(list(folder.iterdir())) == 1 + len(manifest["shards"])
    return {16: "a", 20: "b"}[manifest["clip_format"]["clip_frames"]]


CASES = {"labels": (label, whole_labels), "recording": (record, whole_recording), "shards": (None, whole_shards)}


@pytest.mark.parametrize("what", CASES)
def test_one_of_two_writers_writes_and_the_other_is_refused_in_every_order(
    what: str, packing: Work, fresh_folder: Callable[[], Path]
) -> None:
    work, whole = CASES[what]
    orders = held = 0
    some = None if FULL else {"shards": 6, "recording": 20}.get(what)
    for folder, order, said in every_order(work or packing, fresh_folder, at_random=some):
        orders += 1
        assert orders < 3000
        done = [name for name, text in said.items() if text == "done"]
        told = [text for text in said.values() if "is being written to by" in text]
        other = [text for text in said.values() if "already holds other shards" in text]
        assert len(done) + len(told) + len(other) == 2, said
        assert done, said
        assert whole(folder) in done, order
        assert not [path.name for path in folder.iterdir() if path.name.startswith(".")]
        held += 1
    note(f"two writers of {what}, in every order of their steps", orders, held)
    assert orders == some or orders > 20


def test_two_writers_of_one_checkpoint_leave_it_intact_in_any_order(fresh_folder: Callable[[], Path]) -> None:
    orders = whole = 0
    for folder, order, said in every_order(save, fresh_folder, at_random=500 if FULL else 30):
        orders += 1
        assert set(said.values()) == {"done"}, order
        files = sorted(path.name for path in folder.iterdir())
        assert files in (["last.ckpt"], ["last.ckpt", "last.ckpt.previous"])
        assert [fault_of(folder / name) for name in files] == [None] * len(files)
        whole += 1
    note("two writers of one last.ckpt without a lock: whole", orders, whole)


@pytest.mark.parametrize("what", [*CASES, "labels over earlier ones"])
def test_a_writer_killed_before_any_step_completes_on_a_rerun(
    what: str, packing: Work, fresh_folder: Callable[[], Path]
) -> None:
    work, whole = CASES[what.partition(" ")[0]]
    work = work or packing

    def with_strangers() -> Path:
        folder = fresh_folder()
        if what.endswith("ones"):
            label(folder, "b")
        if what != "shards":
            for name, content in STRANGERS.items():
                (folder / name).write_bytes(content)
        return folder

    kills = completed = 0
    stride = 1 if FULL else {"shards": 9, "labels": 1}.get(what, 3)
    for folder, at in killed_at_every_step(work, with_strangers, lambda folder: work(folder, "a"), stride):
        kills += 1
        if what != "shards":
            assert {name: (folder / name).read_bytes() for name in STRANGERS} == STRANGERS, at
            for name in STRANGERS:
                (folder / name).unlink()
        assert whole(folder) == "a", at
        assert not [path.name for path in folder.iterdir() if path.name.startswith(".")], at
        completed += 1
    note(f"{what} killed before each step: nothing of others changed, completed", kills, completed)
    assert kills > 12 // stride
