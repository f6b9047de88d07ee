"""The names that a pickle of plain data may ask for (`plain_pickle.py`), and harmless functions that stand for them."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

CONTAINERS: dict[str, Callable[..., object]] = {
    "dict": dict, "list": list, "set": set, "frozenset": frozenset, "tuple": tuple,
}  # fmt: skip
SCALAR_TYPE = re.compile(r"[<>=|]?([biuf][1248]|[SU]\d{1,4})")


class RefusedNameError(ValueError):
    """A pickle asked for something other than plain data."""


class DtypeName:
    """Stand-in for a numpy dtype: its name only."""

    def __init__(self, name: object, *_: object) -> None:
        if not isinstance(name, str) or not SCALAR_TYPE.fullmatch(name):
            raise RefusedNameError(f"a numpy scalar of type {name!r}")
        self.name, self.order = name.lstrip("<>=|"), "="

    def set_state(self, state: object) -> None:
        """Take the byte order from what numpy keeps of a dtype."""
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in ("<", ">", "=", "|"):
            raise RefusedNameError(f"a numpy scalar whose byte order is in {state!r:.100}")
        self.order = state[1]


def _scalar(dtype: object, data: bytes | str = b"") -> object:
    if not isinstance(dtype, DtypeName):
        raise RefusedNameError(f"a numpy scalar of type {dtype!r:.100}")
    raw = data.encode("latin1") if isinstance(data, str) else bytes(data)
    return np.frombuffer(raw, dtype=np.dtype(dtype.order + dtype.name), count=1)[0].item()


def _encode(text: str, encoding: str = "latin1") -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise RefusedNameError(f"_codecs.encode to {encoding!r}")
    return text.encode("latin1")


def _dtype(*arguments: object) -> DtypeName:
    return DtypeName(*arguments)


def _container(kind: Callable[..., object]) -> Callable[..., object]:
    def function(*arguments: object) -> object:
        return kind(*arguments)

    return function


FUNCTIONS: dict[tuple[str, str], Callable[..., object]] = {  # names that a file may ask for, and what they stand for
    ("collections", "OrderedDict"): _container(dict),
    ("_codecs", "encode"): _encode,
    ("numpy", "dtype"): _dtype,
    **{(module, "scalar"): _scalar for module in ("numpy.core.multiarray", "numpy._core.multiarray")},
    **{(module, name): _container(kind) for module in ("builtins", "__builtin__") for name, kind in CONTAINERS.items()},
}
