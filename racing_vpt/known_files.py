"""What was found out about a file by reading all of it, remembered so that it is read for that once.

A file is recognised by device, inode, size and times of change, as git does; a change of any of them forgets it. Facts
are kept in this process and in the user's cache folder, which is used only if nobody else can write to it.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from contextlib import suppress
from pathlib import Path

from racing_vpt.files import published, sha256_of

MOST_FACTS = 4096  # files in the cache folder, of about a hundred bytes
SETTLED = 0.02  # seconds; a change within a tick of the file system's clock would not be seen
Fact = str | float | list[float]

_facts: dict[str, dict[str, Fact]] = {}  # of this process and those forked from it, by identity


def identity_of(path: Path) -> str:
    """What tells this very content apart, without reading it; of a folder, of all files in it."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name if file is not path else ''} {_identity(os.stat(file))}\n".encode())
    return digest.hexdigest()[:32]


def known_sha256(path: Path) -> str:
    """`sha256_of` a file or a folder's files, computed or remembered.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not a regular file.
    """
    identity = identity_of(path)
    known = recall(identity, "sha256")
    if isinstance(known, str):
        return known
    digest = sha256_of(path)
    remember(identity, "sha256", digest)
    return digest


def recall(identity: str, name: str) -> Fact | None:
    """A fact about a file, or None if it is not known."""
    if identity not in _facts:
        _facts[identity] = {}
        folder = cache_folder()
        if folder is not None:
            with suppress(OSError, ValueError):
                kept = json.loads((folder / identity).read_text())
                _facts[identity] = kept if isinstance(kept, dict) else {}
    return _facts[identity].get(name)


def remember(identity: str, name: str, fact: Fact) -> None:
    """Keep a fact about a file.

    Args:
        identity: `identity_of` the file before it was read, so that a change meanwhile is not overlooked.
        name: which fact.
        fact: a plain value.
    """
    recall(identity, name)
    _facts[identity][name] = fact
    folder = cache_folder()
    if folder is None:
        return
    with suppress(OSError):  # a full or read-only disk: it is computed again
        with published(folder / identity, durable=False) as temporary:
            temporary.write_text(json.dumps(_facts[identity]))
        if not int(identity[:2], 16):  # now and then
            _forget_the_oldest(folder)


def settle(path: Path) -> None:
    """Wait until a file that was just written is older than a tick of the file system's clock."""
    age = time.time() - os.stat(path).st_mtime
    if 0 <= age < SETTLED:
        time.sleep(SETTLED - age)


def cache_folder() -> Path | None:
    """The user's folder of facts, created if it does not exist; None if others can write there, or we cannot."""
    try:
        above = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = above / "racing-vpt" / "known-files"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = os.lstat(folder)
    except (OSError, RuntimeError):  # no home
        return None
    ours = stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid() and not about.st_mode & 0o022
    return folder if ours and os.access(folder, os.W_OK) else None


def _identity(about: os.stat_result) -> str:
    return f"{about.st_dev} {about.st_ino} {about.st_size} {about.st_mtime_ns} {about.st_ctime_ns}"


def _forget_the_oldest(folder: Path) -> None:
    files = sorted(folder.iterdir(), key=lambda file: file.stat().st_mtime_ns)
    for file in files[: max(0, len(files) - MOST_FACTS)]:
        file.unlink(missing_ok=True)
