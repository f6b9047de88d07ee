"""Publishing files: atomic, opened exclusively, one writer per folder."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from racing_vpt.files import (
    LONGEST_NAME,
    TEMPORARY,
    Draft,
    DraftFolder,
    give_second_name,
    publish_together,
    published,
    remove_leftovers,
    temporary_name,
    write_text,
)
from racing_vpt.outputs import LOCK, sole_writer

HOLD = """
import sys, time
from pathlib import Path
from racing_vpt.outputs import sole_writer
with sole_writer(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_failing_block_leaves_the_existing_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "before")
    with pytest.raises(IsADirectoryError), published(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        tmp_path.write_text("no file")
    assert path.read_text() == "before"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_two_drafts_of_one_file_do_not_share_a_temporary_name(tmp_path: Path) -> None:
    one, other = Draft(tmp_path / "a.txt"), Draft(tmp_path / "a.txt")
    one.temporary.write_text("one")
    other.temporary.write_text("other, which is longer")
    one.publish()
    assert (tmp_path / "a.txt").read_text() == "one"
    other.publish()
    assert (tmp_path / "a.txt").read_text() == "other, which is longer"


def test_a_link_at_a_temporary_name_is_not_written_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path = tmp_path / "a.txt"
    monkeypatch.setattr("racing_vpt.files.secrets.token_hex", lambda size: "0" * 2 * size)
    temporary_name(path).symlink_to(victim)
    with pytest.raises(FileExistsError):
        write_text(path, "new")
    assert victim.read_text() == "precious"


def test_a_temporary_file_that_was_replaced_is_not_published(tmp_path: Path) -> None:
    draft = Draft(tmp_path / "a.txt")
    draft.temporary.unlink()
    draft.temporary.write_text("of somebody else")
    with pytest.raises(OSError, match="was replaced by another program"):
        draft.publish()
    assert not draft.path.exists()


@pytest.mark.parametrize("name", ["a" * 251 + ".txt", "ü" * 120 + ".jsonl", "a" * 255])
def test_long_names_have_temporary_ones_too(tmp_path: Path, name: str) -> None:
    assert len(os.fsencode(temporary_name(tmp_path / name).name)) <= LONGEST_NAME
    write_text(tmp_path / name, "text")
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_a_folder_is_published_whole_and_replaces_none(tmp_path: Path) -> None:
    for text in ("first", "second"):
        draft = DraftFolder(tmp_path / "pictures")
        (draft.temporary / "0.png").write_text(text)
        if text == "first":
            publish_together([draft])
            continue
        with pytest.raises(FileExistsError, match="it is not replaced"):
            publish_together([draft])
        draft.discard()
    assert (tmp_path / "pictures" / "0.png").read_text() == "first"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_second_writer_is_told_who_writes(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match=rf"is being written to by process {holder.pid} on .* since .*-c"):
            sole_writer(tmp_path).__enter__()
    finally:
        holder.kill()
        holder.wait()
    with sole_writer(tmp_path):  # the lock ended with the process that held it
        assert (tmp_path / LOCK).is_file()
    assert not list(tmp_path.iterdir())


def test_leftovers_of_dead_processes_go_and_nothing_else(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    living = Draft(tmp_path / "mine.txt")
    leftover = tmp_path / living.temporary.name.replace(f"-{os.getpid()}-", f"-{dead.pid}-")
    leftover.write_text("half")
    strangers = [f"{TEMPORARY}a.tar", "train-000000.tar", f"{TEMPORARY}{dead.pid}-1234-a.jsonl"]
    for name in strangers:
        (tmp_path / name).write_text("of somebody else")
    remove_leftovers(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {living.temporary.name, *strangers}


def test_this_process_can_give_up_all_of_its_drafts(tmp_path: Path) -> None:
    Draft(tmp_path / "a.txt").temporary.write_text("half")
    DraftFolder(tmp_path / "pictures")
    remove_leftovers(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    remove_leftovers(tmp_path, own=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("links", [True, False])
def test_a_second_name_keeps_what_the_first_is_given_next(
    links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*paths: object) -> None:
        raise PermissionError(errno.EPERM, "this file system has no hard links")

    if not links:
        monkeypatch.setattr("racing_vpt.files.os.link", refuse)
    for text in ("first", "second", "third"):
        if (tmp_path / "a.txt").is_file():
            give_second_name(tmp_path / "a.txt", tmp_path / "a.txt.previous")
        write_text(tmp_path / "a.txt", text)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {
        "a.txt": "third",
        "a.txt.previous": "second",
    }


def test_a_lock_that_workers_of_a_killed_process_still_hold_is_waited_for(tmp_path: Path) -> None:
    fork = HOLD.replace("    time.sleep(60)", "    import os\n    os.fork()\n    time.sleep(3)")
    holder = subprocess.Popen([sys.executable, "-c", fork, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    time.sleep(0.5)
    holder.kill()
    holder.wait()
    with sole_writer(tmp_path):
        assert (tmp_path / LOCK).is_file()
    holder.stdout.close()
