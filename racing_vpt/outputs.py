"""Locks and checks of outputs: one writer at a time, and no replacing of foreign files.

A second writer gets an error that names the first.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shlex
import socket
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from racing_vpt.files import check_free, open_regular, process_runs, read_json, remove_leftovers

OF_DISKS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES)
LOCK = ".racing-vpt.lock"  # in a folder that is being written to
FILM_COMMENT = "racing-vpt"  # comment in the mp4 files that verbs write as films
END_OF_FILM = 1 << 12  # bytes at the end of an mp4 in which its comment lies
SECONDS_AFTER_DEATH = 15.0  # to wait for the workers of a killed process to end


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Lock a folder against other writers of racing-vpt for the block, and clean up what killed ones left.

    Raises:
        ValueError: another process holds the folder; the message says which, and since when.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _held(folder / LOCK, folder):
        remove_leftovers(folder)
        yield
        remove_leftovers(folder)  # of worker processes that died meanwhile


@contextmanager
def sole_writer_of_each(folders: Iterable[Path]) -> Iterator[None]:
    """Lock folders as `sole_writer`; one whose name is a file's is left to the error of writing to it."""
    with ExitStack() as stack:
        for folder in sorted(folders):
            with suppress(FileExistsError, NotADirectoryError):
                stack.enter_context(sole_writer(folder))
        yield


@contextmanager
def sole_writer_of(*files: Path | None) -> Iterator[None]:
    """Lock files against other writers of racing-vpt for the block; other files of their folders are not locked.

    Args:
        files: outputs; None for one that is not wanted.

    Raises:
        ValueError: another process holds one of them; the message says which, and since when.
    """
    with ExitStack() as stack:
        for path in sorted({path.absolute(): path for path in files if path is not None}.values()):
            path.parent.mkdir(parents=True, exist_ok=True)
            name = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]  # a name of any length has one
            stack.enter_context(_held(path.with_name(f".racing-vpt-{name}.lock"), path))
        yield


def check_no_inputs(out: Path, inputs: Iterable[Path], what: str) -> None:
    """Raise ValueError if an output folder holds inputs.

    Args:
        out: the folder.
        inputs: input files.
        what: their name in the message, in the plural.
    """
    there, out = {path.parent for path in inputs}, out.resolve()
    if any(folder.resolve() == out for folder in there):
        raise ValueError(f"--out {out} is the folder of the {what}; choose another folder for the output")


def check_own_report(path: Path | None, field: str = "checkpoint") -> None:
    """Raise FileExistsError if an existing JSON file is not one of our reports: it lacks a field that all have."""
    if path is None or not os.path.lexists(path):
        return
    report: dict = {}
    with suppress(ValueError, OSError):
        report = read_json(path)
    if field not in report and not any(isinstance(part, dict) and field in part for part in report.values()):
        check_free(path)


def check_own_film(path: Path | None) -> None:
    """Raise FileExistsError if an existing file does not say that we wrote it as a film, or labels lie beside it."""
    if path is None or not os.path.lexists(path):
        return
    if any(path.with_suffix(suffix).exists() for suffix in (".jsonl", ".meta.json")) or not _is_own_film(path):
        check_free(path)


def _is_own_film(path: Path) -> bool:
    """Whether a file ends as an mp4 with `FILM_COMMENT` does."""
    if path.is_symlink() or not path.is_file():
        return False
    with open_regular(path) as file:
        file.seek(max(0, path.stat().st_size - END_OF_FILM))
        return re.search(rb"\xa9cmt.{16}" + FILM_COMMENT.encode(), file.read(), re.DOTALL) is not None


@contextmanager
def _held(path: Path, output: Path) -> Iterator[None]:
    """Hold a lock file. The kernel (`flock`) releases the lock when the process ends, for whatever reason."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0 if _holder_runs(path) else SECONDS_AFTER_DEATH)
    except Timeout:
        kind, other = ("folder", "folder") if output.is_dir() else ("file", "name")
        raise ValueError(
            f"the {kind} {output} is being written to by {_holder(path)}; wait until that has finished, or choose "
            f"another {other}"
        ) from None
    try:
        since = datetime.now(UTC).isoformat(timespec="seconds")
        command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
        about = {"process": os.getpid(), "host": socket.gethostname(), "since": since, "command": command}
        with _errors_named(output):
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)), "w") as file:
                json.dump(about, file)
            yield
    finally:
        with suppress(OSError):  # a lock file that stays is not held by anybody
            path.unlink()  # while still locked: a process waiting for this inode then sees that it is gone
        lock.release()


@contextmanager
def _errors_named(output: Path) -> Iterator[None]:
    """Let errors of the system that name no file, such as those of writing and syncing, name the output."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno in OF_DISKS and str(output) not in str(error):
            raise OSError(error.errno, os.strerror(error.errno), str(output)) from error
        raise


def _holder(lock: Path) -> str:
    """Description of the process that holds a lock, for messages."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        about = json.loads(lock.read_text())
        return f"process {about['process']} on {about['host']} since {about['since']} ({about['command']})"
    return "another process"


def _holder_runs(lock: Path) -> bool:
    """Whether the process that a lock file names still runs, as far as can be told from this machine.

    A process that was killed can leave others (workers that load data) which hold its lock for some seconds more.
    """
    with suppress(OSError, ValueError, KeyError, TypeError):
        about = json.loads(lock.read_text())
        return about["host"] != socket.gethostname() or process_runs(int(about["process"]))
    return True
