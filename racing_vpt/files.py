"""Atomic writing of files and folders, and locks that give a folder a single writer.

All output of racing-vpt goes through here: it is written under a temporary name in the same folder (`Draft`), synced to
disk, and renamed. Temporary names contain the process and a random part and are opened exclusively, so that neither
another process nor a planted link shares one; the file that was opened is the one that is published.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import shlex
import shutil
import socket
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from io import BufferedReader
from pathlib import Path

from filelock import FileLock, Timeout

LARGEST_JSON = 1 << 28  # bytes
LONGEST_NAME = 255  # bytes of a file name, on all common file systems
TEMPORARY = ".tmp-"  # prefix of unfinished files, which readers ignore
LOCK = ".racing-vpt.lock"  # in a folder that is being written to
SECONDS_AFTER_DEATH = 15.0  # for the processes of a killed one to end
NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS)  # a file system without hard links
HOST = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]
_KINDS = {
    stat.S_IFIFO: "a FIFO", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
}  # fmt: skip
LEFTOVER = re.compile(re.escape(TEMPORARY) + r"(?P<host>[0-9a-f]{6})-(?P<process>\d+)-[0-9a-f]{8}-")


class Draft:
    """A file under a temporary name beside its final one, until `publish`.

    Args:
        path: the final name. Its folder is created if it does not exist.
        durable: sync to disk before renaming; False for a cache, where a file lost in a power cut does not matter.

    Attributes:
        temporary: path to write to; an empty file.

    Raises:
        OSError: the folder cannot be written to.
    """

    def __init__(self, path: Path, durable: bool = True) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.temporary, self.durable = path, temporary_name(path), durable
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
        # kept open, so that its inode is not reused for another file
        self._descriptor: int | None = os.open(self.temporary, flags, 0o666)

    def publish(self) -> None:
        """Sync the file and rename it to its final name; both survive a power cut.

        Raises:
            OSError: the disk is full or broken, or the file is no longer the one that was opened.
        """
        assert self._descriptor is not None, f"{self.path} was already published or discarded"
        if not os.path.samestat(os.fstat(self._descriptor), os.lstat(self.temporary)):
            raise OSError(f"{self.temporary} was replaced by another program; {self.path} is not written")
        if self.durable:
            os.fsync(self._descriptor)
        self.temporary.replace(self.path)
        self._close()
        if self.durable:
            sync_folder(self.path.parent)

    def discard(self) -> None:
        """Remove the temporary file if it still exists."""
        self.temporary.unlink(missing_ok=True)
        self._close()

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class DraftFolder:
    """A folder of files under a temporary name, until `publish`.

    Args:
        path: the final name. The parent folder is created if it does not exist.

    Attributes:
        temporary: path to write into; an empty folder.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.temporary = path, temporary_name(path)
        self.temporary.mkdir()

    def publish(self) -> None:
        """Sync the files and rename the folder to its final name; an existing folder is replaced."""
        for file in self.temporary.iterdir():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
        sync_folder(self.temporary)
        before = temporary_name(self.path)
        if self.path.is_dir():
            self.path.replace(before)
        self.temporary.replace(self.path)
        sync_folder(self.path.parent)
        shutil.rmtree(before, ignore_errors=True)

    def discard(self) -> None:
        """Remove the temporary folder if it still exists."""
        shutil.rmtree(self.temporary, ignore_errors=True)


@contextmanager
def published(path: Path, durable: bool = True) -> Iterator[Path]:
    """A temporary path to write to; it is renamed to `path` at the end of the block, or removed on an error."""
    draft = Draft(path, durable)
    try:
        yield draft.temporary
        draft.publish()
    finally:
        draft.discard()


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Within the block no other process of racing-vpt writes to the folder; leftovers of killed ones are removed.

    The lock is the kernel's (`flock`), so that it ends with the process that holds it, however that ends.

    Raises:
        ValueError: another process holds the folder; the message says which, and since when.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0 if _holds(path) else SECONDS_AFTER_DEATH)
    except Timeout:
        raise ValueError(
            f"{folder} is being written to by {_holder(path)}; wait until it has finished, or choose another folder"
        ) from None
    try:
        since = datetime.now(UTC).isoformat(timespec="seconds")
        command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
        path.write_text(
            json.dumps({"process": os.getpid(), "host": socket.gethostname(), "since": since, "command": command})
        )
        remove_leftovers(folder)
        yield
        remove_leftovers(folder)  # of worker processes that died meanwhile
    finally:
        path.unlink(missing_ok=True)  # while it is held: whoever waits for this inode sees that it is gone
        lock.release()


def give_second_name(path: Path, second: Path) -> None:
    """Give a file a second name in its folder (a hard link, or a copy), replacing any file of that name.

    Raises:
        OSError: there is no room for a copy, or no permission.
    """
    temporary = temporary_name(second)
    try:
        try:
            os.link(path, temporary)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            with published(second) as copy:
                shutil.copyfile(path, copy)
            return
        temporary.replace(second)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def remove_leftovers(folder: Path, own: bool = False) -> None:
    """Remove unfinished files and folders of processes of this machine that no longer run, and nothing else.

    Args:
        folder: folder to search, without subfolders.
        own: also remove those of this process, which must no longer use them.
    """
    for path in folder.iterdir():
        found = LEFTOVER.match(path.name)
        if found is None or found["host"] != HOST or path.is_symlink():
            continue
        process = int(found["process"])
        if _runs(process) and not (own and process == os.getpid()):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def temporary_name(path: Path) -> Path:
    """An unused name beside `path`, with its suffix, by which libraries choose a format."""
    head = f"{TEMPORARY}{HOST}-{os.getpid()}-{secrets.token_hex(4)}-"
    room = LONGEST_NAME - len(head) - len(os.fsencode(path.suffix))
    stem = os.fsdecode(os.fsencode(path.stem)[:room]) if path.stem != path.name else path.name[:room]
    return path.with_name(head + stem + path.suffix)


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut: in POSIX a folder is synced separately from its files."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with published(path) as temporary:
        temporary.write_text(text)


def write_json(path: Path, value: Mapping[str, object]) -> None:
    """Write a JSON object atomically, one line per field."""
    lines = [f" {json.dumps(name)}: {json.dumps(field, allow_nan=False)}" for name, field in value.items()]
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")


def require_regular(path: Path) -> None:
    """Check that a path is a file with an end before anything opens it: a reader of a FIFO or a device waits for ever.

    Raises:
        ValueError: it is something else; the message says what.
        OSError: it cannot be looked at.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise ValueError(f"{path} is {_KINDS.get(stat.S_IFMT(mode), 'something else')}, but a file was expected")


def open_regular(path: Path) -> BufferedReader:
    """A file opened for reading bytes, never waiting for one; raises as `require_regular`."""
    require_regular(path)
    file = os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):  # somebody exchanged it in between
        file.close()
        raise ValueError(f"{path} was replaced while it was opened; a file was expected")
    return file


def refuse_link_out(path: Path, folder: Path) -> None:
    """Raise ValueError where a path in a folder, which may be a stranger's, is a link to something outside of it."""
    if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(
            f"{path} is a link to {os.readlink(path)}, outside of {folder}; if you trust it, give that itself, or a "
            f"copy: cp -rL {shlex.quote(str(folder))} COPY"
        )


def read_json(path: Path) -> dict:
    """Read a JSON object from a file; ValueError names the file if it is not one."""
    try:
        with open_regular(path) as file:
            content = file.read(LARGEST_JSON + 1)
        if len(content) > LARGEST_JSON:
            raise ValueError(f"{path} has {path.stat().st_size} bytes; a file of this kind has up to {LARGEST_JSON}")
        value = json.loads(content)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} should hold a JSON object, but holds a {type(value).__name__}")
    return value


def plain_name(name: object, suffix: str = "") -> bool:
    """Whether `name` is a file name without any path."""
    if not isinstance(name, str) or not name.endswith(suffix) or name[:1] in ("", ".", "~") or "\0" in name:
        return False
    return Path(name).name == name and "\\" not in name and ":" not in name


def sha256_of(path: Path) -> str:
    """Hexadecimal sha256 of a file, or of a folder's files in order of their names."""
    if path.is_dir():
        digest = hashlib.sha256()
        for inner in sorted(path.iterdir()):
            digest.update(f"{inner.name}:{sha256_of(inner)}\n".encode())
        return digest.hexdigest()
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _holder(lock: Path) -> str:
    """Description of the process that holds a lock, for messages."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        about = json.loads(lock.read_text())
        return f"process {about['process']} on {about['host']} since {about['since']} ({about['command']})"
    return "another process"


def _holds(lock: Path) -> bool:
    """Whether the process that a lock file names still runs, as far as can be told from this machine.

    A process that was killed can leave others (workers that load data) which hold its lock for some seconds more.
    """
    with suppress(OSError, ValueError, KeyError, TypeError):
        about = json.loads(lock.read_text())
        return about["host"] != socket.gethostname() or _runs(int(about["process"]))
    return True


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
