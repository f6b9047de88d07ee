"""Names that a file of torch may ask for, and the stand-ins that are built instead: tensors in name and size only."""

from __future__ import annotations

import io
import math
from collections import OrderedDict
from dataclasses import dataclass

from racing_vpt.checkpoints.plain_names import RefusedNameError

KEYS = (type(None), bool, int, str, bytes)
LARGEST_KEY = 1 << 60  # of a number; larger ones can be made to have one hash
LONGEST_KEY = 16  # scalars of a key that is a tuple
ITEM_BYTES = {
    "float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "complex64": 8, "complex128": 16, "complex32": 4,
    "int64": 8, "int32": 4, "int16": 2, "int8": 1, "uint8": 1, "uint16": 2, "uint32": 4, "uint64": 8, "bool": 1,
    "float8_e4m3fn": 1, "float8_e5m2": 1, "float8_e4m3fnuz": 1, "float8_e5m2fnuz": 1,
}  # fmt: skip
STORAGES = {
    "DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
    "ComplexFloatStorage": "complex64", "ComplexDoubleStorage": "complex128", "LongStorage": "int64",
    "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8", "ByteStorage": "uint8",
    "BoolStorage": "bool", "UntypedStorage": "uint8",
}  # fmt: skip


@dataclass(frozen=True)
class StorageType:
    """Bytes of one number of a storage, or of a dtype."""

    item_bytes: int


@dataclass(frozen=True)
class Storage:
    """Numbers in the file: the name of their record, and how many there should be."""

    key: str
    item_bytes: int
    count: int


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in name only."""

    num_bytes: int


def _tensor(storage: Storage, offset: int, size: tuple, stride: tuple, *_: object) -> StoredTensor:
    return _of_dtype(storage, offset, size, stride, StorageType(storage.item_bytes))


def _tensor_v3(
    storage: Storage,
    offset: int,
    size: tuple,
    stride: tuple,
    grad: object,
    hooks: object,
    dtype: StorageType,
    *_: object,
) -> StoredTensor:
    return _of_dtype(storage, offset, size, stride, dtype)


def _of_dtype(storage: Storage, offset: int, size: tuple, stride: tuple, dtype: StorageType) -> StoredTensor:
    if len(size) != len(stride) or not all(map(counts, (offset, *size, *stride))):
        raise ValueError(f"a tensor is described as {str((storage, offset, size, stride))[:120]}")
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if all(size) and (last + 1) * dtype.item_bytes > storage.count * storage.item_bytes:
        raise ValueError(f"a tensor {size} has more numbers than its storage, which has {storage.count}")
    return StoredTensor(math.prod(size) * dtype.item_bytes)


def _same(tensor: StoredTensor, *_: object) -> StoredTensor:
    if not isinstance(tensor, StoredTensor):
        raise ValueError(f"a parameter of a {type(tensor).__name__}")
    return tensor


def _subclass(call: object, kind: object, arguments: tuple, *_: object) -> StoredTensor:
    if call not in (_tensor, _tensor_v3, _same) or not callable(call):
        raise RefusedNameError(f"a tensor made by {str(call)[:80]}")
    return call(*arguments)


def _ordered(*pairs: object) -> OrderedDict:
    if pairs not in ((), ([],)):
        raise ValueError("a dictionary that is made of pairs")
    return OrderedDict()


def _set_of(values: list | tuple = ()) -> set:
    return {plain_key(value) for value in values}


def _encoded(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise RefusedNameError(f"_codecs.encode to {encoding!r}")
    return text.encode("latin1")


def _bytearray(data: bytes | str = b"", encoding: str = "latin1") -> bytes:
    return _encoded(data, encoding) if isinstance(data, str) else bytes(io.BytesIO(data).getvalue())


CALLS = {
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_tensor_v3"): _tensor_v3,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _same,
    ("torch._utils", "_rebuild_parameter_with_state"): _same,
    ("torch._tensor", "_rebuild_from_type_v2"): _subclass,
    ("torch.nn.parameter", "Parameter"): _same,
    ("collections", "OrderedDict"): _ordered,
    ("builtins", "set"): _set_of,
    ("__builtin__", "set"): _set_of,
    ("builtins", "bytearray"): _bytearray,
    ("__builtin__", "bytearray"): _bytearray,
    ("builtins", "complex"): complex,
    ("__builtin__", "complex"): complex,
    ("_codecs", "encode"): _encoded,
    ("torch", "Size"): tuple,
    ("torch", "device"): str,
}
KINDS = {("torch", "Tensor")}  # named, and never called


def counts(number: object) -> bool:
    return type(number) is int and 0 <= number < 2**53


def _hashes_at_once(part: object) -> bool:
    return isinstance(part, KEYS) and not (isinstance(part, int) and abs(part) >= LARGEST_KEY)


def plain_key(key: object) -> object:
    """A key, if it can be hashed at once."""
    parts = key if isinstance(key, tuple) else (key,)
    if len(parts) > LONGEST_KEY or not all(map(_hashes_at_once, parts)):
        raise ValueError(f"a key is a {type(key).__name__} of more than {LONGEST_KEY} plain values")
    return key
