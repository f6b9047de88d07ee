"""Fetches files of a repository on the Hub at one commit, into the cache that all of the Hub's libraries share.

The library downloads (and goes on where a connection was cut). Here every file is then compared with the hash that the
Hub lists for the commit: sha256 for large files, git's sha1 for the others. Only files that passed get a name in the
folder that is handed out, `racing-vpt/COMMIT` in the repository's folder of the cache: real files (hard links), since
readers of data refuse links that lead out of a folder.
"""

from __future__ import annotations

import glob
import hashlib
import logging
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from racing_vpt.files import give_second_name, open_regular, read_json, write_json, write_text
from racing_vpt.hub.client import (
    OutOfReach,
    api,
    cache_of,
    endpoint,
    is_offline,
    library,
    plain_errors,
    scrubbed,
    shown_endpoint,
)
from racing_vpt.hub.names import COMMIT, RepoName

log = logging.getLogger(__name__)
KEPT = "racing-vpt"  # folder of verified files in a repository's folder of the cache
SHA256 = re.compile(r"[0-9a-f]{64}")
SPARE = 1 << 26  # bytes that a download leaves free
TIMEOUT = 20.0  # seconds for an answer about a repository
_commits: dict[RepoName, RepoName] = {}  # what was found in this process, so that it stays the same in it


@dataclass(frozen=True)
class Listed:
    """A file as a commit lists it.

    Args:
        size: bytes.
        sha256: hexadecimal sha256; None for a file that git holds itself.
        blob: hexadecimal sha1 of git's object.
    """

    size: int
    sha256: str | None
    blob: str


def pin(name: RepoName) -> RepoName:
    """The repository at the commit that its revision means now, or, without the Hub, meant when it was last fetched.

    Raises:
        FileNotFoundError: there is no such repository or revision.
        OutOfReach: the Hub does not answer, or must not be asked, and the cache does not know.
    """
    if name.pinned:
        return name
    if name not in _commits:
        _commits[name] = name.at(_commit_of(name))
    return _commits[name]


def pinned_names() -> dict[str, str]:
    """Every name that this process has resolved, with the commit that it meant."""
    return {str(name): str(found) for name, found in sorted(_commits.items(), key=str)}


def fetch(name: RepoName, choose: Callable[[Mapping[str, Listed]], list[str]]) -> Path:
    """Folder with the chosen files of a repository, complete and verified.

    Args:
        name: the repository; its revision is resolved first.
        choose: which of the listed files are wanted; it may refuse the repository.

    Raises:
        FileNotFoundError: there is no such repository, revision or file.
        OutOfReach: the Hub does not answer, or must not be asked, and the cache lacks a file.
        ValueError: a file is not the listed one; it was removed.
        OSError: the disk is full, or cannot be written to.
    """
    found = pin(name)
    listed = listing(found)
    wanted = choose(listed)
    folder = cache_of(found) / KEPT / found.revision
    missing = [path for path in wanted if not (folder / path).is_file()]
    if missing:
        _check_room(found, sum(listed[path].size for path in missing))
        snapshot = _download(found, missing)
        for path in missing:
            _verify(found, path, snapshot / path, listed[path])
        for path in missing:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            give_second_name((snapshot / path).resolve(), folder / path)
        size = sum(listed[path].size for path in missing) / 2**20
        log.info(
            "%s: fetched and verified %s (%.1f MiB), commit %s", name, _counted(missing), size, found.revision[:12]
        )
    return folder


def _counted(paths: Sequence[str]) -> str:
    return paths[0] if len(paths) == 1 else f"{len(paths)} files"


def listing(name: RepoName) -> dict[str, Listed]:
    """The files of a repository at a commit, by path, as this cache, the Hub, or the library knows them."""
    kept = cache_of(name) / KEPT / f"{name.revision}.json"
    with suppress(OSError, ValueError, TypeError):
        return _inside(name, {path: Listed(*about) for path, about in read_json(kept).items()})
    if not is_offline():
        listed = list_files(name)
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_json(kept, {path: list(vars(about).values()) for path, about in listed.items()})
        return listed
    hub = library()
    try:  # what another program fetched
        files = hub.get_cached_repo_tree(
            name.repo, repo_type=name.kind, revision=name.revision, cache_dir=cache_of(name).parent
        )
    except hub.errors.CachedRepoTreeNotFoundError:
        raise OutOfReach(_not_kept(name)) from None
    return _inside(name, {file.path: Listed(file.size, None, file.blob_id) for file in files})


def list_files(name: RepoName) -> dict[str, Listed]:
    """The files of a repository at a commit, by path, as the Hub lists them."""
    listed = {}
    with plain_errors(name):
        for file in api().list_repo_tree(name.repo, repo_type=name.kind, revision=name.revision, recursive=True):
            if hasattr(file, "tree_id"):  # a folder
                continue
            lfs = file.lfs
            size, sha256 = (file.size, None) if lfs is None else (lfs.size, lfs.sha256)
            listed[file.path] = Listed(size, sha256, file.blob_id)
    return _inside(name, listed)


def _inside(name: RepoName, listed: dict[str, Listed]) -> dict[str, Listed]:
    """The files, if none of their names leaves the folder."""
    for path in listed:
        if path.startswith("/") or ".." in PurePosixPath(path).parts or "\\" in path:
            raise ValueError(f"{name} lists a file {path!r}, whose name leaves the folder; it is not read")
    return listed


def _commit_of(name: RepoName) -> str:
    known = cache_of(name) / "refs" / name.revision
    kept = known.read_text().strip() if known.is_file() else ""
    kept = kept if COMMIT.fullmatch(kept) else ""
    if is_offline():
        if kept:
            return kept
        raise OutOfReach(_not_kept(name))
    try:
        with plain_errors(name):
            info = api().repo_info(name.repo, repo_type=name.kind, revision=name.revision, timeout=TIMEOUT)
    except OutOfReach as error:
        if not kept:
            raise OutOfReach(f"{error}; {name} is not in the cache") from None
        log.warning("%s; %s is taken from the cache: commit %s", error, name, kept[:12])
        return kept
    if not isinstance(info.sha, str) or not COMMIT.fullmatch(info.sha):
        raise ValueError(f"{shown_endpoint()} names {scrubbed(info.sha)!r} as the commit of {name}; 40 digits expected")
    if kept != info.sha:
        known.parent.mkdir(parents=True, exist_ok=True)
        write_text(known, info.sha)
    return info.sha


def _download(name: RepoName, paths: list[str]) -> Path:
    """Folder of the cache with these files, not yet verified."""
    try:
        with plain_errors(name):
            folder = library().snapshot_download(
                name.repo,
                repo_type=name.kind,
                revision=name.revision,
                cache_dir=cache_of(name).parent,
                endpoint=endpoint(),
                library_name="racing-vpt",
                local_files_only=is_offline(),
                allow_patterns=[glob.escape(path) for path in paths],
                etag_timeout=TIMEOUT,
            )
    except OutOfReach:
        if is_offline():
            raise OutOfReach(_not_kept(name)) from None
        raise
    return Path(folder)


def _not_kept(name: RepoName) -> str:
    cache = cache_of(name).parent
    return f"HF_HUB_OFFLINE is set, and the cache ({cache}) lacks {name} or parts of it: fetch it once without that"


def _check_room(name: RepoName, needed: int) -> None:
    """Raise OSError if the disk of the cache has no room for `needed` bytes."""
    cache = cache_of(name)
    there = next(folder for folder in (cache, *cache.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    if needed + SPARE > free:
        raise OSError(
            f"{name} needs {needed / 2**20:.0f} MiB, but the disk of {there} has {free / 2**20:.0f} MiB free; make "
            "room, or name another folder in HF_HUB_CACHE"
        )


def _verify(name: RepoName, path: str, file: Path, listed: Listed) -> None:
    """Raise ValueError and remove the file if it is not the listed one."""
    if not file.is_file():
        raise OutOfReach(f"{name}: {path} did not arrive; try again")
    size, blob = file.stat().st_size, file.resolve()
    sha256 = listed.sha256 or (blob.name if SHA256.fullmatch(blob.name) else None)  # the library's name of a large file
    digest = hashlib.sha256() if sha256 else hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    with open_regular(file) as opened:
        while block := opened.read(1 << 20):
            digest.update(block)
    found, expected = digest.hexdigest(), sha256 or listed.blob
    if found == expected and size == listed.size:
        return
    for remove in (file, blob):
        with suppress(OSError):
            remove.unlink()
    kind = "sha256" if sha256 else "git's sha1"
    raise ValueError(
        f"{name}: {path} has {size} bytes and {kind} {found}, but the Hub lists {listed.size} bytes and {expected}: it "
        "was changed on the way or on the server, and is removed; try again, or ask the owner to upload it again"
    )
