"""Reads pickles of plain data without executing anything in them.

A pickle is a program. This reader only lets it build containers, numbers, strings and numpy scalars, and refuses
everything else by name; the result is then copied into plain dicts, lists, numbers and strings, so that no object that
the file built remains.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import re
from collections import OrderedDict
from collections.abc import Callable

import numpy as np

CONTAINERS = {"dict": dict, "list": list, "set": set, "frozenset": frozenset, "tuple": tuple}
SCALAR_TYPE = re.compile(r"[<>=|]?([biuf][1248]|[SU]\d{1,4})")
MOST_VALUES = 100_000  # in a file; the public ones have about fifty
MOST_DEPTH = 100
MEMO_WRITES = ("PUT", "BINPUT", "LONG_BINPUT")
NAMELESS = {  # ways to an object that do not go through a name
    "PERSID": "a persistent id", "BINPERSID": "a persistent id", "EXT1": "a registered extension",
    "EXT2": "a registered extension", "EXT4": "a registered extension", "NEXT_BUFFER": "a buffer outside the file",
}  # fmt: skip


class RefusedNameError(ValueError):
    """A pickle asked for something other than plain data."""


class DtypeName:
    """A numpy dtype in name only."""

    def __init__(self, name: str, *_: object) -> None:
        if not isinstance(name, str) or not SCALAR_TYPE.fullmatch(name):
            raise RefusedNameError(f"a numpy scalar of type {name!r}")
        self.name, self.order = name.lstrip("<>=|"), "="

    def __setstate__(self, state: tuple) -> None:
        if state[1] not in ("<", ">", "=", "|"):
            raise RefusedNameError(f"a numpy scalar of byte order {state[1]!r}")
        self.order = state[1]


def safe_names() -> dict[tuple[str, str], object]:
    """Names that a file may ask for, and harmless stand-ins for them.

    Created for each file, because a pickle can set attributes of what it is given.
    """
    room = [MOST_VALUES]  # a call of four bytes can copy a container of any length

    def made(container: Callable[..., object]) -> Callable[..., object]:
        def make(*arguments: object) -> object:
            room[0] -= sum(len(each) for each in arguments if hasattr(each, "__len__"))  # type: ignore[arg-type]
            if room[0] < 0:
                raise ValueError(f"it copies containers of more than {MOST_VALUES} values")
            return container(*arguments)

        return make

    class Dtype(DtypeName):
        pass

    def scalar(dtype: DtypeName, data: bytes | str = b"") -> object:
        raw = data.encode("latin1") if isinstance(data, str) else bytes(data)
        return np.frombuffer(raw, dtype=np.dtype(dtype.order + dtype.name), count=1)[0].item()

    def encode(text: str, encoding: str = "latin1") -> bytes:
        if encoding not in ("latin1", "latin-1"):
            raise RefusedNameError(f"_codecs.encode to {encoding!r}")
        return text.encode("latin1")

    names: dict[tuple[str, str], object] = {
        ("collections", "OrderedDict"): made(OrderedDict), ("_codecs", "encode"): encode, ("numpy", "dtype"): Dtype,
    }  # fmt: skip
    for module in ("builtins", "__builtin__"):
        names |= {(module, name): made(container) for name, container in CONTAINERS.items()}
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        names[module, "scalar"] = scalar
    return names


class PlainUnpickler(pickle.Unpickler):
    """Builds plain data; any other name raises `RefusedNameError`."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), encoding="latin1")  # Python 2 wrote a scalar's bytes as text
        self.names = safe_names()

    def find_class(self, module: str, name: str) -> object:  # type: ignore[override]
        if (module, name) not in self.names:
            raise RefusedNameError(f"{module}.{name}")
        return self.names[module, name]


def load_plain(data: bytes) -> object:
    """What a pickle holds: dicts, lists, tuples, sets, numbers, texts and bytes; numpy's dtypes by name.

    Raises:
        RefusedNameError: it asks for anything else. Nothing of it was run.
        Exception: it is damaged, in as many ways as it has bytes.
    """
    for operation, argument, _ in pickletools.genops(data):  # walks the whole file and executes nothing
        if operation.name in NAMELESS:
            raise RefusedNameError(f"{NAMELESS[operation.name]} ({operation.name})")
        if operation.name in MEMO_WRITES and not 0 <= int(argument or 0) <= len(data):
            raise ValueError(f"memo number {argument} in {len(data)} bytes")
    return _plain(PlainUnpickler(data).load(), [MOST_VALUES], MOST_DEPTH)


def _plain(value: object, room: list[int], depth: int) -> object:
    """A copy of plain data; `room` counts the values that it may still have, for shared ones are copied each time."""
    room[0] -= 1
    if room[0] < 0 or depth < 0:
        raise ValueError(f"more than {MOST_VALUES} values or {MOST_DEPTH} levels")
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value
    if isinstance(value, bytearray):
        return bytes(value)
    if isinstance(value, dict):
        pairs = dict.items(value)  # an OrderedDict can have been given an attribute `items`
        return {_plain(key, room, depth - 1): _plain(each, room, depth - 1) for key, each in pairs}
    for kind in (list, tuple, set, frozenset):
        if isinstance(value, kind):
            return kind(_plain(each, room, depth - 1) for each in value)
    if isinstance(value, DtypeName):
        return value.name
    raise RefusedNameError(f"a {type(value).__name__} as a value")
