"""Bytes that may lie on another machine: asked for again where a server fails, and kept in a folder of bounded size.

Only file systems that serve bytes are let in: `pipe:` would run a command, and some of fsspec's chains unpack,
template or log in to what a stranger names.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import fsspec
import fsspec.asyn

from racing_vpt.files import published, remove_leftovers

SYSTEMS = frozenset({"file", "memory", "http", "https", "s3", "gs", "gcs", "az", "abfs", "hf", "ftp", "sftp"})
DEFINITE = (FileNotFoundError, PermissionError, IsADirectoryError, ImportError, NotImplementedError)
KEPT = re.compile("[0-9a-f]{32}")  # names of the files of a cache
Check = Callable[[bytes], str | None]  # what is wrong with what came, or None


@dataclass(frozen=True)
class Remote:
    """How files on other machines are read.

    Args:
        tries: how often bytes are asked for before they are given up.
        seconds: that one try may take; a server that stalls is asked again.
        wait: seconds before the second try; doubled before each further one.
        cache: folder that keeps what was read, for all processes; None keeps nothing.
        cache_gib: size that the folder is kept below; what was read longest ago goes first.
    """

    tries: int = 5
    seconds: float = 30.0
    wait: float = 1.0
    cache: Path | None = None
    cache_gib: float = 8.0

    def __post_init__(self) -> None:
        if self.tries < 1 or not self.seconds > 0 or not self.wait >= 0 or not self.cache_gib > 0:
            raise ValueError(
                f"tries, seconds and cache_gib are positive and wait is not negative; given: {self.tries}, "
                f"{self.seconds}, {self.cache_gib} and {self.wait}"
            )


def is_remote(path: str) -> bool:
    """Whether a path is an address; ValueError where it names a file system that is not let in."""
    if path.startswith("pipe:"):
        raise ValueError(f"{path} would run a command; give a folder or a URL of shards")
    if "://" not in path and "::" not in path:
        return False
    system = path.split("://", 1)[0]
    if system not in SYSTEMS:
        raise ValueError(f"{path} is on a file system that is not read here: {system!r}; known are {sorted(SYSTEMS)}")
    return True


class RemoteFiles:
    """Reads ranges of remote files.

    Args:
        remote: how.
    """

    def __init__(self, remote: Remote | None = None) -> None:
        self.remote = remote or Remote()
        cache, gib = self.remote.cache, self.remote.cache_gib
        self._cache = None if cache is None else RangeCache(cache, int(gib * 2**30))

    def read(self, address: str, offset: int = 0, size: int | None = None, check: Check | None = None) -> bytes:
        """Bytes [offset, offset + size) of a file, or all of it.

        Args:
            address: URL.
            offset: of the first byte.
            size: number of bytes; None for all.
            check: looks at what came; what it says is wrong is asked for again.

        Raises:
            FileNotFoundError: there is no such file.
            ConnectionError: it could not be had; the message names the address, the bytes and the last failure.
        """
        is_remote(address)
        kept = None if self._cache is None or size is None else self._cache.get(address, offset, size)
        if kept is not None and (check is None or check(kept) is None):
            return kept
        failure = ""
        for attempt in range(self.remote.tries):
            if attempt:
                time.sleep(self.remote.wait * 2 ** (attempt - 1))
            try:
                data = self._ask(address, offset, size)
            except DEFINITE:
                raise
            except Exception as error:  # each file system fails in its own ways
                failure = f"{type(error).__name__} {error}".strip()
                continue
            failure = f"{len(data)} bytes came where {size} were asked for; does it serve ranges?"
            if size is None or len(data) == size:
                failure = (check(data) if check else None) or ""
            if not failure:
                if self._cache is not None and size is not None:
                    self._cache.put(address, offset, data)
                return data
        span = "" if size is None else f", bytes {offset} to {offset + size}"
        raise ConnectionError(f"{address}{span} could not be read: {failure}; tried {self.remote.tries} times")

    def _ask(self, address: str, offset: int, size: int | None) -> bytes:
        system, inner = fsspec.core.url_to_fs(address)
        start, end = (None, None) if size is None else (offset, offset + size)
        if not isinstance(system, fsspec.asyn.AsyncFileSystem) or not system.async_impl:
            return system.cat_file(inner, start=start, end=end)
        try:
            limit = self.remote.seconds
            return fsspec.asyn.sync(system.loop, system._cat_file, inner, start=start, end=end, timeout=limit)
        except TimeoutError:  # fsspec has a kind of its own of it
            raise TimeoutError(f"nothing came within {self.remote.seconds:g} s") from None


class RangeCache:
    """Ranges of files, each in a file of its own, in a folder that processes share.

    Args:
        folder: made where it does not exist.
        most: bytes that it may hold.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self.folder, self.most = folder, most
        folder.mkdir(parents=True, exist_ok=True)
        self._room = 0  # bytes that this process may still write before it looks at the folder again

    def get(self, address: str, offset: int, size: int) -> bytes | None:
        """The range, or None where it is not kept."""
        path = self._path(address, offset, size)
        try:
            data = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        return data if len(data) == size else None

    def put(self, address: str, offset: int, data: bytes) -> None:
        """Keep a range, and let go of those that were used longest ago where there is no room."""
        if len(data) > self.most // 4:
            return
        if self._room < len(data):
            self._make_room(len(data))
        self._room -= len(data)
        path = self._path(address, offset, len(data))
        # a full disk is no reason to stop: the bytes are there, they are only not kept
        with suppress(OSError), published(path, durable=False) as temporary:
            temporary.write_bytes(data)

    def _path(self, address: str, offset: int, size: int) -> Path:
        return self.folder / hashlib.sha256(f"{address} {offset} {size}".encode()).hexdigest()[:32]

    def _make_room(self, wanted: int) -> None:
        """Bring the folder down to three quarters of what it may hold, and allow a sixteenth before the next look."""
        remove_leftovers(self.folder)
        found = []
        for file in self.folder.iterdir():
            if not KEPT.fullmatch(file.name):  # a file of somebody else's
                continue
            try:
                about = file.stat()
                found.append((about.st_mtime_ns, about.st_size, file))
            except OSError:  # another process was quicker
                continue
        total = sum(size for _, size, _ in found)
        for _, size, file in sorted(found):
            if total + wanted <= self.most * 3 // 4:
                break
            file.unlink(missing_ok=True)
            total -= size
        self._room = max(wanted, self.most // 16)
