"""What a file of torch promises: its pickle built with stand-ins, so that its sizes are known before memory is taken.

`torch.load(weights_only=True)` executes nothing, but it takes what memory a file asks for: it reads past the end of a
storage that is shorter than promised, makes a `bytearray` of any length, and hashes a key of nested tuples for ever.
Here the same operations run on stand-ins, keys are scalars, and what is built is bounded by the size of the file.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, ClassVar

from racing_vpt.checkpoints.plain_names import RefusedNameError
from racing_vpt.checkpoints.torch_names import (
    CALLS,
    ITEM_BYTES,
    KINDS,
    STORAGES,
    Storage,
    StorageType,
    StoredTensor,
    counts,
    plain_key,
)

DEEPEST = 100  # levels of containers
SPARE_BYTES = 1 << 24  # tensors that are shared or expanded may have so much more than the file holds
SPARE_VALUES = 10_000
OPERATIONS = (  # those of torch's own reader
    "GLOBAL", "NEWOBJ", "REDUCE", "BUILD", "APPEND", "APPENDS", "SETITEM", "SETITEMS", "MARK", "TUPLE", "TUPLE1",
    "TUPLE2", "TUPLE3", "NONE", "NEWFALSE", "NEWTRUE", "EMPTY_TUPLE", "EMPTY_LIST", "EMPTY_DICT", "BININT", "BININT1",
    "BININT2", "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING", "BINPERSID", "BINGET", "LONG_BINGET", "BINPUT",
    "LONG_BINPUT", "LONG1", "PROTO", "STOP",
)  # fmt: skip


def describe(file: BinaryIO, size: int) -> tuple[object, dict[str, Storage]]:
    """What a pickle of torch builds, with stand-ins for tensors, and the storages that it reads, by key.

    Args:
        file: at the beginning of the pickle; afterwards it is behind it.
        size: bytes of the whole file, which bounds what may be built.

    Raises:
        RefusedNameError: it asks for anything but tensors and plain data. Nothing of it was run.
        Exception: it is damaged, in as many ways as it has bytes.
    """
    reader = StandInUnpickler(file)
    value = reader.load()
    check_extent(value, size)
    return value, reader.storages


def check_extent(value: object, size: int) -> None:
    """ValueError where a structure has more values, levels or bytes of tensors than a file of this size can hold."""
    room, room_bytes = size + SPARE_VALUES, 4 * size + SPARE_BYTES
    waiting = [(value, 0)]
    while waiting:
        one, depth = waiting.pop()
        inner = one.values() if isinstance(one, Mapping) else one if isinstance(one, list | tuple | set) else ()
        room -= len(inner)
        room_bytes -= one.num_bytes if isinstance(one, StoredTensor) else 0
        if room < 0 or depth > DEEPEST:
            raise ValueError(f"it holds itself, or has more values than bytes, or more than {DEEPEST} levels")
        if room_bytes < 0:
            raise ValueError("its tensors are much larger than the file: they were expanded, which is never saved")
        waiting += [(each, depth + 1) for each in inner]


_Python: Any = pickle._Unpickler  # type: ignore[attr-defined]  # the one of C lets no operation be replaced


class StandInUnpickler(_Python):
    """Builds plain data and stand-ins of tensors."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, encoding="bytes")
        self.storages: dict[str, Storage] = {}

    dispatch: ClassVar[dict[int, Callable]] = {
        getattr(pickle, name)[0]: _Python.dispatch[getattr(pickle, name)[0]] for name in OPERATIONS
    }

    def load(self) -> object:
        try:
            return super().load()
        except KeyError as error:  # an operation or a memo number that is not there
            raise ValueError(f"damaged: {error!r}") from error

    def find_class(self, module: str, name: str) -> object:
        if module == "torch" and name in ITEM_BYTES:
            return StorageType(ITEM_BYTES[name])
        if "Storage" in name and name in STORAGES:
            return StorageType(ITEM_BYTES[STORAGES[name]])
        if (module, name) not in CALLS and (module, name) not in KINDS:
            raise RefusedNameError(f"{module}.{name}")
        return CALLS.get((module, name), name)

    def persistent_load(self, saved: object) -> Storage:
        if not isinstance(saved, tuple) or len(saved) not in (5, 6) or saved[0] not in ("storage", b"storage"):
            raise RefusedNameError(f"a persistent id {str(saved)[:80]}")
        _, kind, key, _, count, *view = saved
        key = key.decode() if isinstance(key, bytes) else key
        if (
            not isinstance(kind, StorageType)
            or not isinstance(key, str)
            or not counts(count)
            or view not in ([], [None])
        ):
            raise ValueError(f"a storage is described as {str(saved)[:80]}")
        storage = Storage(key, kind.item_bytes, count)
        before = self.storages.setdefault(key, storage)
        if before.item_bytes * before.count < storage.item_bytes * storage.count:
            raise ValueError(f"storage {key} has {before.count} numbers and {count}")
        return storage

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set([key, value])

    def load_setitems(self) -> None:
        self._set(self.pop_mark())

    def _set(self, items: list) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict):
            raise ValueError(f"items of a {type(target).__name__}")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[plain_key(key)] = value

    def load_append(self) -> None:
        value = self.stack.pop()
        self._extend([value])

    def load_appends(self) -> None:
        self._extend(self.pop_mark())

    def _extend(self, values: list) -> None:
        if type(self.stack[-1]) is not list:
            raise ValueError(f"values after a {type(self.stack[-1]).__name__}")
        self.stack[-1].extend(values)

    def load_reduce(self) -> None:
        arguments, call = self.stack.pop(), self.stack[-1]
        if call not in CALLS.values() or not isinstance(arguments, tuple):
            raise RefusedNameError(f"a call of {str(call)[:80]}")
        self.stack[-1] = call(*arguments)

    def load_newobj(self) -> None:
        self.load_reduce()

    def load_build(self) -> None:
        state, built = self.stack.pop(), self.stack[-1]
        metadata = isinstance(built, OrderedDict) and isinstance(state, dict) and state.keys() == {"_metadata"}
        if not metadata and not (isinstance(built, StoredTensor) and state in ({}, None)):
            raise RefusedNameError(f"attributes of a {type(built).__name__}")

    dispatch |= {
        pickle.SETITEM[0]: load_setitem, pickle.SETITEMS[0]: load_setitems, pickle.APPEND[0]: load_append,
        pickle.APPENDS[0]: load_appends, pickle.REDUCE[0]: load_reduce, pickle.NEWOBJ[0]: load_newobj,
        pickle.BUILD[0]: load_build,
    }  # fmt: skip
