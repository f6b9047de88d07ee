"""Checkpoints survive kill -9, full disks, read-only folders and flipped bytes."""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from lightning.fabric.plugins.io import TorchCheckpointIO

from racing_vpt.callbacks.checkpoint_io import AtomicCheckpointIO
from racing_vpt.checkpoints.integrity import PREVIOUS, fault_of, newest_whole
from tests.faults.harness import kill_while, note, tries

OTHER_DISK = Path("/dev/shm")


def checkpoint_of(number: int, size: int = 2_000_000) -> dict[str, object]:
    """A minimal checkpoint of `size` floats equal to `number`."""
    return {"number": number, "state_dict": {"weights": torch.full((size,), float(number))}, "optimizer_states": []}


def save_ours(path: str) -> None:
    save_forever(AtomicCheckpointIO().save_checkpoint, path)


def save_lightnings(path: str) -> None:
    save_forever(TorchCheckpointIO().save_checkpoint, path)


def save_plainly(path: str) -> None:
    save_forever(torch.save, path)


def save_forever(save: Callable[[dict, str], None], path: str) -> None:
    if OTHER_DISK.is_dir():
        tempfile.tempdir = str(OTHER_DISK)  # as TMPDIR says it, on another file system than the checkpoints
    number = 0
    while True:
        save(checkpoint_of(number), path)
        number += 1
        Path(path).with_suffix(".begun").touch()


def survivors(work: Callable[[str], None], folder: Path, count: int) -> int:
    """Number of folders, of `count`, in which a process killed while saving left an intact checkpoint."""
    whole = 0
    for number in range(count):
        path = folder / str(number) / "last.ckpt"
        path.parent.mkdir(parents=True)
        kill_while(work, str(path), begun=path.with_suffix(".begun").exists, most_seconds=0.3)
        if path.is_file() and fault_of(path) is None:
            saved = torch.load(path, weights_only=True)
            whole += bool((saved["state_dict"]["weights"] == saved["number"]).all())
        shutil.rmtree(path.parent)
    return whole


def test_a_process_killed_while_saving_always_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    count = tries(50, 3)
    ours = survivors(save_ours, tmp_path / "ours", count)
    note("kill -9 while saving a checkpoint, TMPDIR on another disk", count, ours)
    assert ours == count


def test_the_same_harness_finds_broken_checkpoints_of_plain_torch_save(tmp_path: Path) -> None:
    count = tries(50, 4)
    plain = survivors(save_plainly, tmp_path / "plain", count)
    note("(control) the same with plain torch.save", count, plain)
    if tries(1, 0):
        note("(control) the same with Lightning's own", count, survivors(save_lightnings, tmp_path / "theirs", count))
    assert plain < count, "nothing was ever killed in the middle of a save, so the test above proves nothing"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root; the limit on file sizes below is tried everywhere")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_leaves_the_checkpoint_and_saving_goes_on_once_there_is_room(small_disk: Path) -> None:
    io, path, count = AtomicCheckpointIO(), small_disk / "last.ckpt", tries(20, 3)
    io.save_checkpoint(checkpoint_of(1, 200_000), path)  # 0.8 MB of 4 MiB; what follows has 3.6 MB and more
    survived = 0
    for size in random.sample(range(900_000, 3_000_000), count):
        with pytest.raises(OSError, match=r"last\.ckpt could not be written.*--ckpt_path last"):
            io.save_checkpoint(checkpoint_of(2, size), path)
        survived += fault_of(path) is None and [file.name for file in small_disk.iterdir()] == ["last.ckpt"]
    note("full disk while saving a checkpoint", count, survived)
    assert survived == count
    io.save_checkpoint(checkpoint_of(3, 200_000), path)
    assert io.load_checkpoint(path)["number"] == 3


def save_under(path: str, limit: int, user: int) -> None:
    """Save as another user, or with a limit on the size of files; the exit status says what came of it."""
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    if user:
        os.setuid(user)
    try:
        AtomicCheckpointIO().save_checkpoint(checkpoint_of(2), path)
    except OSError as error:
        os._exit(2 if "is untouched" in str(error) else 3)
    os._exit(0)


@pytest.mark.parametrize("fault", ["a limit on file sizes", "a read-only folder"])
def test_a_disk_that_refuses_leaves_the_checkpoint(fault: str, tmp_path: Path) -> None:
    path = tmp_path / "checkpoints" / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint(checkpoint_of(1, 1000), path)
    limit, user = (1_000_000, 0) if "limit" in fault else (0, 65_534 if os.getuid() == 0 else 0)
    scratch = Path(tempfile.gettempdir())
    for folder in (path.parent, *path.parent.parents):  # pytest's are private; the other user must get there
        if scratch in folder.parents:
            folder.chmod(0o755)
    path.parent.chmod(0o555)
    try:
        process = multiprocessing.get_context("fork").Process(target=save_under, args=(str(path), limit, user))
        process.start()
        process.join()
    finally:
        path.parent.chmod(0o755)
    survived = process.exitcode == 2 and fault_of(path) is None and torch.load(path)["number"] == 1
    note(f"{fault} while saving a checkpoint", 1, int(survived))
    assert survived, process.exitcode
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]


def test_the_previous_checkpoint_is_kept_and_replaces_a_damaged_one(tmp_path: Path) -> None:
    io, path, count, survived = AtomicCheckpointIO(), tmp_path / "last.ckpt", tries(50, 10), 0
    for number in (1, 2):
        io.save_checkpoint(checkpoint_of(number, 10_000), path)
    whole = path.read_bytes()
    for _ in range(count):
        content = bytearray(whole)
        if random.random() < 0.5:
            content[random.randrange(len(content))] ^= 1 << random.randrange(8)
        else:
            del content[random.randrange(len(content)) :]
        path.write_bytes(content)
        found, faults = newest_whole(path)
        if found == path:  # a byte that nothing depends on, such as padding
            survived += io.load_checkpoint(path)["state_dict"]["weights"].eq(2).all().item()
        else:
            survived += found.name == f"last.ckpt{PREVIOUS}" and len(faults) == 1 and str(path) in faults[0]
    note("a flipped bit or a cut in the newest checkpoint", count, int(survived))
    assert survived == count


def test_without_an_intact_checkpoint_each_fault_is_named(tmp_path: Path) -> None:
    for name in ("last.ckpt", "best.ckpt"):
        (tmp_path / name).write_bytes(b"half")
    with pytest.raises(ValueError, match=r"last\.ckpt.*best\.ckpt"):
        newest_whole(tmp_path / "last.ckpt")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        newest_whole(tmp_path / "empty" / "last.ckpt")


@pytest.mark.parametrize("where", ["state_dict", "optimizer_states"])
def test_nothing_that_is_not_finite_is_written(where: str, tmp_path: Path) -> None:
    io, path = AtomicCheckpointIO(), tmp_path / "last.ckpt"
    io.save_checkpoint(checkpoint_of(1, 10), path)
    bad = {**checkpoint_of(2, 10), where: {"layer.weight": torch.tensor([1.0, float("nan")])}}
    with pytest.raises(ValueError, match=rf"{where}\.layer\.weight contain NaN.*--ckpt_path last"):
        io.save_checkpoint(bad, path)
    assert io.load_checkpoint(path)["number"] == 1
