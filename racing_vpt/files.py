"""Files that appear whole or not at all: a temporary name in the same folder, fsync, rename."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

LARGEST_JSON = 1 << 28  # bytes
TEMPORARY = ".tmp-"  # files whose names start so are unfinished, and nobody reads them


@contextmanager
def published(path: Path) -> Iterator[Path]:
    """A temporary path to write to; it becomes `path` when the block ends well, and is removed when it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(TEMPORARY + path.name)
    try:
        yield temporary
        publish(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def publish(temporary: Path, path: Path) -> None:
    """Rename a finished file to its final name, once its bytes are on the disk; the name is on the disk then too."""
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut (POSIX keeps names in the folder, which is synced by itself)."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Mapping[str, object]) -> None:
    """Write a JSON object, a line for each of its fields, under its final name, whole."""
    lines = [f" {json.dumps(name)}: {json.dumps(field, allow_nan=False)}" for name, field in value.items()]
    with published(path) as temporary:
        temporary.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def read_json(path: Path) -> dict:
    """The JSON object in a file; ValueError names the file where it is none."""
    try:
        if path.stat().st_size > LARGEST_JSON:
            raise ValueError(
                f"{path} has {path.stat().st_size} bytes; a file of this kind has fewer than {LARGEST_JSON}"
            )
        value = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} should hold a JSON object, but holds a {type(value).__name__}")
    return value


def plain_name(name: object, suffix: str = "") -> bool:
    """Whether this names a file in the same folder, and nothing else."""
    if not isinstance(name, str) or not name.endswith(suffix) or name[:1] in ("", ".", "~") or "\0" in name:
        return False
    return Path(name).name == name and "\\" not in name and ":" not in name


def sha256_of(path: Path) -> str:
    """Hexadecimal sha256 of a file, or of a folder's files in the order of their names."""
    if path.is_dir():
        digest = hashlib.sha256()
        for inner in sorted(path.iterdir()):
            digest.update(f"{inner.name}:{sha256_of(inner)}\n".encode())
        return digest.hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
