"""Reads files of torch (`.ckpt`, `.weights`): every byte as it was written, and sizes checked before memory is taken.

torch verifies no checksums of the zip files that it reads, unpacks what is compressed to any size, and trusts the sizes
that a file gives (`torch_pickle.py`).
"""

from __future__ import annotations

import errno
import io
import pickle
import zipfile
from pathlib import Path
from typing import BinaryIO

import torch

from racing_vpt.checkpoints.plain_names import RefusedNameError
from racing_vpt.checkpoints.torch_names import Storage
from racing_vpt.checkpoints.torch_pickle import describe

ZIP = b"PK\x03\x04"  # first bytes of a file of torch
MAGIC = 0x1950A86A20F9469CFC6C  # first number of a file of torch before 1.6
DAMAGED = "half a download or a stopped save?"


class _NoTorchFileError(ValueError):
    """Neither the zip file nor the pickles that torch writes."""


def load_tensors(path: Path) -> dict:
    """A dict that torch saved; of tensors and plain data, nothing else.

    Raises:
        ValueError: it is damaged, holds anything else, or asks for more memory than its size explains; names the file.
        OSError: it cannot be opened.
    """
    with path.open("rb") as file:  # what was checked is what is read, whatever has the name by then
        _described(file, path)
        file.seek(0)
        try:
            loaded = torch.load(file, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            reason = " ".join(str(error).split())[-300:]
            raise ValueError(
                f"{path} is refused: {reason}; only tensors and plain data are read from a checkpoint"
            ) from error
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, MemoryError) or "memory" in str(error):
                gib = path.stat().st_size / 2**30
                raise ValueError(
                    f"{path} needs {gib:.1f} GiB of free memory to read, more than this machine has"
                ) from error
            raise ValueError(f"{path} is not a complete torch file ({_shortly(error)}); {DAMAGED}") from error
        except Exception as error:  # torn files raise EOFError, OSError, ValueError and more
            raise ValueError(f"{path} is not a complete torch file ({_shortly(error)}); {DAMAGED}") from error
    assert isinstance(loaded, dict), "its description is one"
    return loaded


def describe_file(path: Path) -> dict:
    """The dict in a file of torch with stand-ins for its tensors, which are not read; errors as of `load_tensors`."""
    with path.open("rb") as file:
        return _described(file, path)


def _described(file: BinaryIO, path: Path) -> dict:
    """The dict that a file describes, once its checksums and sizes are known to be right."""
    size = path.stat().st_size
    start = file.read(16)
    file.seek(0)
    try:
        value = _describe_zip(file, size) if start.startswith(ZIP) else _describe_old(file, size)
    except RefusedNameError as error:
        raise ValueError(
            f"{path} is refused: it asks for {error}; only tensors and plain data are read from a checkpoint"
        ) from error
    except _NoTorchFileError as error:
        raise ValueError(f"{path} is not a torch file (it starts with {start!r}); {DAMAGED}") from error
    except Exception as error:  # in as many ways as it has bytes
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # which is a place before the file's beginning
            raise
        raise ValueError(f"{path} is not a complete torch file ({_shortly(error)}); {DAMAGED}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} holds a {type(value).__name__}, expected a dict of tensors by name")
    return value


def _describe_zip(file: BinaryIO, size: int) -> object:
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        packed = [member.filename for member in members if member.compress_type != zipfile.ZIP_STORED]
        if packed:
            raise ValueError(f"{packed[0]} is compressed, as torch never writes it")
        if sum(member.file_size for member in members) > size or any(
            member.file_size != member.compress_size for member in members
        ):
            raise ValueError("its parts are larger than the file")
        sizes = {member.filename: member.file_size for member in members}
        pickles = [name for name in sizes if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(sizes) != len(members) or len(pickles) != 1:
            raise ValueError(f"it has {len(pickles)} descriptions (data.pkl), and should have one")
        torn = archive.testzip()
        if torn is not None:
            raise ValueError(f"the checksum of {torn} is wrong; its bytes are not those that were written")
        value, storages = describe(io.BytesIO(archive.read(pickles[0])), size)
    root = pickles[0].removesuffix("data.pkl")
    for storage in storages.values():
        found = sizes.get(f"{root}data/{storage.key}")
        if found != storage.count * storage.item_bytes:
            raise ValueError(f"storage {storage.key} should have {storage.count} numbers, but has {found} bytes")
    return value


def _describe_old(file: BinaryIO, size: int) -> object:
    """Of torch before 1.6: pickles after each other, the last with the keys of the storages that follow."""
    try:
        magic, _ = describe(file, size)
    except Exception as error:  # in as many ways as it has bytes
        raise _NoTorchFileError from error
    if magic != MAGIC:
        raise _NoTorchFileError
    for _ in ("version", "machine"):
        describe(file, size)
    value, storages = describe(file, size)
    describe(file, size)
    _check_total(storages, size)
    return value


def _check_total(storages: dict[str, Storage], size: int) -> None:
    if sum(storage.count * storage.item_bytes for storage in storages.values()) > size:
        raise ValueError("its storages are larger than the file")


def _shortly(error: Exception) -> str:
    return str(error).split(". ")[0].strip()[:300] or type(error).__name__
