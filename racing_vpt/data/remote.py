"""Reads ranges of remote files, with retries and a cache folder of bounded size.

Only file systems that serve bytes are allowed: `pipe:` would run a command, chained ones unpack archives or log in.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from racing_vpt.files import published, remove_leftovers

if TYPE_CHECKING:  # it takes a quarter of a second to load, and most data is local
    from fsspec.implementations.http import HTTPFileSystem

SYSTEMS = frozenset({"file", "memory", "http", "https", "s3", "gs", "gcs", "az", "abfs", "hf", "ftp", "sftp"})
DEFINITE = (FileNotFoundError, PermissionError, IsADirectoryError, ImportError, NotImplementedError)
LARGEST_WHOLE = 1 << 28  # bytes of a file that is read without a size: a manifest
KEPT = re.compile(r"[0-9a-f]{32}\.range")  # names of the files of a cache
OURS = b"racing-vpt range\n"  # first bytes of the files of a cache; files without them belong to somebody else
PIECE = 4 << 20  # bytes of a large file that are read at a time
Check = Callable[[bytes], str | None]  # returns the fault of the bytes, or None


@dataclass(frozen=True)
class Remote:
    """Options of reading remote files.

    Args:
        tries: maximum number of requests.
        seconds: timeout of a request in seconds.
        wait: seconds before the second request; doubled before each further one.
        cache: cache folder, shared by all processes; None: no cache.
        cache_gib: maximum size of the cache in GiB; the least recently used ranges are removed first.
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


AT_A_TERMINAL = Remote(tries=2, seconds=20.0)  # for verbs that somebody waits for: an answer within a minute


def is_remote(path: str) -> bool:
    """Whether a path is a URL; ValueError for a file system that is not allowed."""
    if path.startswith("pipe:"):
        raise ValueError(f"{path} would run a command; give a folder or a URL of shards")
    if "://" not in path and "::" not in path:
        return False
    system = path.split("://", 1)[0]
    if system not in SYSTEMS:
        raise ValueError(f"{path}: unsupported file system {system!r}; supported are {sorted(SYSTEMS)}")
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
            offset: offset of the first byte.
            size: number of bytes; None for all.
            check: checks the bytes; those with a fault are requested again.

        Raises:
            FileNotFoundError: there is no such file.
            ConnectionError: all requests failed; the message names the URL, the bytes and the last failure.
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
            except Exception as error:  # each file system raises its own errors
                failure = f"{type(error).__name__} {error}".strip()
                continue
            failure = f"{len(data)} bytes came, but {size} were requested; does the server support ranges?"
            if size is None or len(data) == size:
                failure = (check(data) if check else None) or ""
            if not failure:
                if self._cache is not None and size is not None:
                    self._cache.put(address, offset, data)
                return data
        span = "" if size is None else f", bytes {offset} to {offset + size}"
        raise ConnectionError(f"{address}{span} could not be read: {failure}; tried {self.remote.tries} times")

    def read_whole(self, address: str, size: int) -> bytes:
        """A file of `size` bytes, piece by piece, so that each has the time of one try; raises as `read`."""
        spans = ((at, min(PIECE, size - at)) for at in range(0, size, PIECE))
        return b"".join(self.read(address, at, length) for at, length in spans)

    def _ask(self, address: str, offset: int, size: int | None) -> bytes:
        import fsspec.asyn
        from fsspec.implementations.http import HTTPFileSystem

        system, inner = fsspec.core.url_to_fs(address)
        start, end = (None, None) if size is None else (offset, offset + size)
        if not isinstance(system, fsspec.asyn.AsyncFileSystem) or not system.async_impl:
            return _within(self.remote.seconds, lambda: system.cat_file(inner, start=start, end=end))
        try:
            limit = self.remote.seconds
            if isinstance(system, HTTPFileSystem):  # which would take whatever a server sends
                return fsspec.asyn.sync(system.loop, _get, system, inner, offset, size, timeout=limit)
            return fsspec.asyn.sync(system.loop, system._cat_file, inner, start=start, end=end, timeout=limit)
        except TimeoutError:  # fsspec has its own class of it
            raise TimeoutError(f"nothing came within {self.remote.seconds:g} s") from None


def _within(seconds: float, read: Callable[[], bytes]) -> bytes:
    """What `read` returns; TimeoutError where it takes longer, as file systems without a limit of their own may."""
    outcome: Future[bytes] = Future()

    def work() -> None:
        try:
            outcome.set_result(read())
        except Exception as error:  # raised where the result is waited for
            outcome.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    try:
        return outcome.result(seconds)
    except TimeoutError:
        raise TimeoutError(f"nothing came within {seconds:g} s") from None


async def _get(system: HTTPFileSystem, url: str, offset: int, size: int | None) -> bytes:
    """Bytes [offset, offset + size) by HTTP, or all; of an answer that is longer, one byte more, and no further."""
    session, most = await system.set_session(), LARGEST_WHOLE if size is None else size
    asked = {} if size is None else {"Range": f"bytes={offset}-{offset + size - 1}"}
    options = {**system.kwargs, "headers": {**system.kwargs.get("headers", {}), **asked}}
    content = bytearray()
    async with session.get(system.encode_url(url), **options) as answer:
        system._raise_not_found_for_status(answer, url)
        async for part in answer.content.iter_chunked(1 << 18):
            content += part[: most + 1 - len(content)]
            if len(content) > most:
                break
    if size is None and len(content) > most:
        raise ValueError(f"it sends more than {most} bytes, which no manifest has")
    return bytes(content)


class RangeCache:
    """Cache of ranges, one file each, in a folder shared by processes; other files there are left alone.

    Args:
        folder: the folder; created if it does not exist.
        most: maximum size in bytes.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self.folder, self.most = folder, most
        folder.mkdir(parents=True, exist_ok=True)
        self._room = 0  # bytes that this process may write before it checks the folder's size again

    def get(self, address: str, offset: int, size: int) -> bytes | None:
        """The range, or None if it is not cached."""
        path = self._path(address, offset, size)
        try:
            data = path.read_bytes()
            if not data.startswith(OURS) or len(data) != len(OURS) + size:
                return None
            os.utime(path)
        except OSError:
            return None
        return data[len(OURS) :]

    def put(self, address: str, offset: int, data: bytes) -> None:
        """Store a range, removing the least recently used ones if there is no room."""
        content = OURS + data
        if len(content) > self.most // 4:
            return
        if self._room < len(content):
            self._make_room(len(content))
        self._room -= len(content)
        path = self._path(address, offset, len(data))
        if os.path.lexists(path) and not _is_ours(path):
            return
        # a full disk only means that the range is not cached
        with suppress(OSError), published(path, durable=False) as temporary:
            temporary.write_bytes(content)

    def _path(self, address: str, offset: int, size: int) -> Path:
        digest = hashlib.sha256(f"{address} {offset} {size}".encode()).hexdigest()[:32]
        return self.folder / f"{digest}.range"

    def _make_room(self, wanted: int) -> None:
        """Shrink the folder to three quarters of its limit, and allow a sixteenth before the next check."""
        remove_leftovers(self.folder)
        found = []
        for file in self.folder.iterdir():
            if not KEPT.fullmatch(file.name) or not _is_ours(file):
                continue
            with suppress(OSError):  # where another process was quicker
                about = file.stat()
                found.append((about.st_mtime_ns, about.st_size, file))
        total = sum(size for _, size, _ in found)
        for _, size, file in sorted(found):
            if total + wanted <= self.most * 3 // 4:
                break
            file.unlink(missing_ok=True)
            total -= size
        self._room = max(wanted, self.most // 16)


def _is_ours(path: Path) -> bool:
    """Whether a file is a range of a cache: a plain file that begins as these do."""
    with suppress(OSError):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                return file.read(len(OURS)) == OURS
    return False
