"""Atomic writing of files and folders.

All output of racing-vpt goes through here: it is written under a temporary name in the same folder (`Draft`), synced to
disk, and renamed. Temporary names contain the process and a random part and are opened exclusively, so that neither
another process nor a planted link shares one; the file that was opened is the one that is published.

Files that are only valid together, such as labels and their meta file, are published by `publish_together`. It first
writes a note that lists them, from which the next run completes what a killed process began.
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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path

LARGEST_JSON = 1 << 28  # bytes
LONGEST_NAME = 255  # bytes of a file name, on all common file systems
TEMPORARY = ".tmp-"  # prefix of unfinished files, which readers ignore
NOTE = "about-to-appear.json"  # end of the name of the note that lists files being published together
NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS)  # a file system without hard links
HOST = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]
_KINDS = {
    stat.S_IFIFO: "a FIFO", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
}  # fmt: skip
Steps = dict[str, dict[str, list]]  # what a note holds: `replaced` and `appearing`, identities of files by name
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

    def sync(self) -> None:
        """Sync the file to disk.

        Raises:
            OSError: the disk is full or broken, or the file is no longer the one that was opened.
        """
        assert self._descriptor is not None, f"{self.path} was already published or discarded"
        if not os.path.samestat(os.fstat(self._descriptor), os.lstat(self.temporary)):
            raise OSError(f"{self.temporary} was replaced by another program; {self.path} is not written")
        if self.durable:
            os.fsync(self._descriptor)

    def publish(self, replace: bool = True) -> None:
        """Sync the file and rename it to its final name; both survive a power cut.

        Args:
            replace: replace an existing file of that name; otherwise that is an error.

        Raises:
            FileExistsError: there is a file of that name, and `replace` is false.
            OSError: the disk is full or broken, or the file is no longer the one that was opened.
        """
        self.sync()
        self.rename(replace)

    def rename(self, replace: bool) -> None:
        """As `publish`, for a file that is synced already."""
        if replace:
            os.replace(self.temporary, self.path)
        else:
            _rename_to_free_name(self.temporary, self.path)
        self._close()
        if self.durable:
            sync_folder(self.path.parent)

    def discard(self) -> None:
        """Remove the temporary file, unless it was published."""
        if self._descriptor is not None:
            _unlink(self.temporary)
            self._close()

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class DraftFolder:
    """A folder of files under a temporary name, until it is published (`publish_together`).

    Args:
        path: the final name. The parent folder is created if it does not exist.

    Attributes:
        temporary: path to write into; an empty folder.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.temporary = path, temporary_name(path)
        self.temporary.mkdir()

    def sync(self) -> None:
        """Sync the files to disk."""
        for file in self.temporary.iterdir():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
        sync_folder(self.temporary)

    def rename(self, replace: bool) -> None:
        """Rename the synced folder to its final name; FileExistsError if that name is taken."""
        assert not replace, f"{self.path}: a folder is never replaced"
        _rename_to_free_name(self.temporary, self.path)
        sync_folder(self.path.parent)

    def discard(self) -> None:
        """Remove the temporary folder if it still exists."""
        shutil.rmtree(self.temporary, ignore_errors=True)


@contextmanager
def published(path: Path, durable: bool = True, replace: bool = True) -> Iterator[Path]:
    """A temporary path to write to; it is renamed to `path` at the end of the block, or removed on an error."""
    draft = Draft(path, durable)
    try:
        yield draft.temporary
        draft.publish(replace)
    finally:
        draft.discard()


def publish_together(drafts: Sequence[Draft | DraftFolder], replaced: Iterable[Path] = ()) -> None:
    """Give files of one folder their final names: all or none, even if the process is killed meanwhile.

    The next `remove_leftovers` in the folder completes what a killed process began.

    Args:
        drafts: complete drafts, in order of publication.
        replaced: files of that folder that give way, because they are known to be an earlier version. Nothing else is
            replaced. They are restored if the new ones cannot be published.

    Raises:
        FileExistsError: one of the names is taken by a file not in `replaced`; nothing was changed.
        OSError: the disk is full or broken; everything is as it was.
    """
    folder, replaced = drafts[0].path.parent, [path for path in replaced if os.path.lexists(path)]
    assert {path.parent for path in (*replaced, *(draft.path for draft in drafts))} == {folder}
    for draft in drafts:
        if draft.path not in replaced:
            check_free(draft.path)
        draft.sync()
    steps: Steps = {
        "replaced": {path.name: [temporary_name(path).name, *_identity(path)] for path in replaced},
        "appearing": {draft.path.name: [draft.temporary.name, *_identity(draft.temporary)] for draft in drafts},
    }
    note = Draft(folder / NOTE)
    try:
        note.temporary.write_text(json.dumps(steps))
        note.sync()
        sync_folder(folder)
    except BaseException:
        note.discard()
        raise
    try:
        for name, (aside, *_) in steps["replaced"].items():
            os.replace(folder / name, folder / aside)
        for draft in drafts:
            draft.rename(replace=False)
    except BaseException:
        _take_back(folder, steps)  # if even this fails, the note stays for the next run
        note.discard()
        raise
    for aside, *_ in steps["replaced"].values():
        _unlink(folder / aside)
    note.discard()
    sync_folder(folder)


def check_free(path: Path) -> None:
    """Raise FileExistsError if the name is taken."""
    if os.path.lexists(path):
        raise FileExistsError(
            f"{path} is there already, and no record of racing-vpt lists it as its own: it is not replaced; move it "
            "away, or choose another folder"
        )


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
        os.replace(temporary, second)
    finally:
        _unlink(temporary)
    sync_folder(path.parent)


def remove_leftovers(folder: Path, own: bool = False) -> None:
    """Remove unfinished files and folders of processes of this machine that no longer run, and nothing else.

    Files that such a process was publishing together are published first.

    Args:
        folder: folder to search, without subfolders.
        own: also remove those of this process, which must no longer use them.
    """
    leftovers = [path for path in folder.iterdir() if _is_leftover(path, own)]
    for path in leftovers:
        if path.name.endswith(NOTE):
            _finish(path)
    for path in leftovers:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            _unlink(path)


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
    write_text(path, json_text(value))


def json_text(value: Mapping[str, object]) -> str:
    """A JSON object as text, one line per field."""
    lines = [f" {json.dumps(name)}: {json.dumps(field, allow_nan=False)}" for name, field in value.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def require_regular(path: Path) -> None:
    """Check that a path is a regular file before opening it: reading a FIFO or a device can block forever.

    Raises:
        ValueError: it is not; the message says what it is.
        OSError: it cannot be accessed.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise ValueError(f"{path} is {_KINDS.get(stat.S_IFMT(mode), 'something else')}, but a file was expected")


def open_regular(path: Path) -> BufferedReader:
    """Open a file for reading bytes, without blocking; raises as `require_regular`."""
    require_regular(path)
    file = os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):  # it was exchanged in between
        file.close()
        raise ValueError(f"{path} was replaced while it was opened; a file was expected")
    return file


def refuse_link_out(path: Path, folder: Path) -> None:
    """Raise ValueError if a path in an untrusted folder is a link to something outside of it."""
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


def process_runs(process: int) -> bool:
    """Whether a process of this machine runs."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _is_leftover(path: Path, own: bool) -> bool:
    """Whether a process of this machine left the file unfinished and has ended; with `own`, this process too."""
    found = LEFTOVER.match(path.name)
    if found is None or found["host"] != HOST or path.is_symlink():
        return False
    process = int(found["process"])
    return not process_runs(process) or (own and process == os.getpid())


def _identity(path: Path) -> list[int]:
    """Identity of a file, to recognise another file of the same name: inode, size and time of the last change."""
    about = os.lstat(path)
    return [about.st_ino, about.st_size, about.st_mtime_ns]


def _is(path: Path, identity: Sequence[int]) -> bool:
    with suppress(OSError):
        return _identity(path) == list(identity)
    return False


def _rename_to_free_name(temporary: Path, path: Path) -> None:
    """Rename without replacing; FileExistsError if the name is taken."""
    if not temporary.is_dir():
        try:
            os.link(temporary, path, follow_symlinks=False)
        except FileExistsError:
            pass  # said below
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
        else:
            os.unlink(temporary)
            return
    check_free(path)
    os.replace(temporary, path)


def _unlink(path: Path) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


def _finish(note: Path) -> None:
    """Complete a joint publication of a killed process; if that is not possible, undo it."""
    folder = note.parent
    try:
        steps = read_json(note)
        replaced, appearing = (
            {name: (temporary, identity) for name, (temporary, *identity) in steps[part].items()}
            for part in ("replaced", "appearing")
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return  # killed before the note was written: nothing was published
    temporaries = [str(temporary) for temporary, _ in (*replaced.values(), *appearing.values())]
    names = (*replaced, *appearing, *(temporary.removeprefix(".") for temporary in temporaries))
    if not all(plain_name(name) for name in names):
        return
    try:
        for name, (aside, identity) in replaced.items():
            if _is(folder / name, identity):
                os.replace(folder / name, folder / aside)
        for name, (temporary, identity) in appearing.items():
            if _is(folder / name, identity):
                continue
            if not _is(folder / temporary, identity):
                raise FileNotFoundError(f"{folder / temporary} is gone")
            _rename_to_free_name(folder / temporary, folder / name)
        for aside, _ in replaced.values():
            _unlink(folder / aside)
        sync_folder(folder)
    except OSError:
        _take_back(folder, steps)


def _take_back(folder: Path, steps: Steps) -> None:
    """Remove the files published so far, and restore those that they were to replace."""
    for name, (_, *identity) in steps["appearing"].items():
        path = folder / name
        if _is(path, identity):
            shutil.rmtree(path) if path.is_dir() else os.unlink(path)
    for name, (aside, *identity) in steps["replaced"].items():
        if _is(folder / aside, identity) and not os.path.lexists(folder / name):
            os.replace(folder / aside, folder / name)
