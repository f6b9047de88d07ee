"""Reads pickles of plain data without executing anything in them.

A pickle is a program for a machine with a stack. This is such a machine for containers, numbers, strings and numpy
scalars alone; everything else is refused by name. What a few bytes can ask for (containers that hold each other a
million times, keys that take for ever to hash) is counted while it is read: each value that is hashed or copied is
charged to `MOST_VALUES`, as often as it is met.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Iterable, Sequence

from racing_vpt.checkpoints.plain_names import FUNCTIONS, DtypeName, RefusedNameError

MOST_VALUES = 100_000  # per file; the public ones have about fifty
MOST_DEPTH = 100
HASH_COST = 20  # values that one which is hashed counts as: keys can be made to collide, and are all compared then
LITERALS = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "UNICODE", "BINUNICODE",
    "SHORT_BINUNICODE", "BINUNICODE8",
}  # fmt: skip
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
EMPTY: dict[str, Callable[[], object]] = {
    "EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": set, "EMPTY_TUPLE": tuple,
}  # fmt: skip
SHORT_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
NAMELESS = {  # opcodes that create objects without a name
    "PERSID": "a persistent id", "BINPERSID": "a persistent id", "EXT1": "a registered extension",
    "EXT2": "a registered extension", "EXT4": "a registered extension", "NEXT_BUFFER": "a buffer outside the file",
    "READONLY_BUFFER": "a buffer outside the file", "OBJ": "an object", "NEWOBJ": "an object", "NEWOBJ_EX": "an object",
}  # fmt: skip


class Reader:
    """The machine: a stack of values, the heights of it that were marked, and a memo of values by number."""

    def __init__(self) -> None:
        self.stack: list[object] = []
        self.marks: list[int] = []
        self.memo: dict[int, object] = {}
        self.room = MOST_VALUES

    def run(self, data: bytes) -> object:
        """What the program leaves; raises as `load_plain`."""
        for operation, argument, _ in pickletools.genops(data):
            name = operation.name
            if name in NAMELESS:
                raise RefusedNameError(f"{NAMELESS[name]} ({name})")
            if name in LITERALS:
                self.stack.append(argument)
            elif name in CONSTANTS:
                self.stack.append(CONSTANTS[name])
            elif name in EMPTY:
                self.stack.append(EMPTY[name]())
            elif name in SHORT_TUPLES:
                self.stack.append(tuple(self._top(SHORT_TUPLES[name])))
            elif name in ("GLOBAL", "INST"):
                module, _, attribute = str(argument).partition(" ")
                self._name(module, attribute, called=name == "INST")
            elif name in ("GET", "BINGET", "LONG_BINGET"):
                self.stack.append(self.memo[int(argument or 0)])
            elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
                if not 0 <= int(argument or 0) <= len(data):
                    raise ValueError(f"memo number {argument} in {len(data)} bytes")
                self.memo[int(argument or 0)] = self.stack[-1]
            elif name not in ("PROTO", "FRAME", "STOP"):
                OPERATIONS[name](self)
        return self._copy(self.stack[-1], MOST_DEPTH)

    def _top(self, count: int) -> list[object]:
        """Take values from the stack; those below the last mark are out of reach."""
        if len(self.stack) - count < (self.marks[-1] if self.marks else 0):
            raise ValueError("it takes more from the stack than there is")
        taken = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return taken

    def _to_mark(self) -> list[object]:
        """Take all values above the last mark."""
        height = self.marks.pop()
        taken = self.stack[height:]
        del self.stack[height:]
        return taken

    def _pop(self) -> None:
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
        else:
            self._top(1)

    def _append(self, values: Iterable[object]) -> None:
        container = self.stack[-1]
        if not isinstance(container, list):
            raise ValueError(f"it appends to a {type(container).__name__}")
        container.extend(values)

    def _set_items(self, values: Sequence[object]) -> None:
        container = self.stack[-1]
        if not isinstance(container, dict) or len(values) % 2:
            raise ValueError(f"it sets {len(values) / 2} items of a {type(container).__name__}")
        for key, value in zip(values[::2], values[1::2], strict=True):
            self._count(key, MOST_DEPTH)
            container[key] = value

    def _add(self, values: Iterable[object]) -> None:
        container = self.stack[-1]
        if not isinstance(container, set):
            raise ValueError(f"it adds to a {type(container).__name__}")
        container |= self._hashable(values)

    def _hashable(self, values: Iterable[object]) -> frozenset:
        for value in values:
            self._count(value, MOST_DEPTH)
        return frozenset(values)

    def _dict(self) -> None:
        values = self._to_mark()
        self.stack.append({})
        self._set_items(values)

    def _name(self, module: str, name: str, called: bool = False) -> None:
        function = FUNCTIONS.get((module, name))
        if function is None or called:
            raise RefusedNameError(f"{module}.{name}")
        self.stack.append(function)

    def _stack_name(self) -> None:
        module, name = self._top(2)
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError(f"it asks for a name that is a {type(name).__name__}")
        self._name(module, name)

    def _call(self) -> None:
        function, arguments = self._top(2)
        if not callable(function) or not isinstance(arguments, tuple):
            raise ValueError(f"it calls a {type(function).__name__}")
        self._count(arguments, MOST_DEPTH)
        self.stack.append(function(*arguments))

    def _build(self) -> None:
        (state,) = self._top(1)
        built = self.stack[-1]
        if isinstance(built, DtypeName):
            built.set_state(state)
        elif not isinstance(built, dict):  # an OrderedDict may have attributes, which are no data
            raise RefusedNameError(f"the state of a {type(built).__name__}")

    def _charge(self, cost: int, depth: int) -> None:
        self.room -= cost
        if self.room < 0 or depth < 0:
            raise ValueError(f"it has more than {MOST_VALUES} values or {MOST_DEPTH} levels")

    def _count(self, value: object, depth: int) -> None:
        """Charge for all that a value holds, texts by their length, before it is hashed or handed to a function."""
        self._charge(HASH_COST + (len(value) // 100 if isinstance(value, str | bytes) else 0), depth)
        if isinstance(value, dict):
            for key, each in value.items():
                self._count(key, depth - 1)
                self._count(each, depth - 1)
        elif isinstance(value, list | tuple | set | frozenset):
            for each in value:
                self._count(each, depth - 1)

    def _copy(self, value: object, depth: int) -> object:
        """A copy of plain data, in which nothing is shared; each value is charged for."""
        self._charge(1, depth)
        if value is None or isinstance(value, bool | int | float | str | bytes):
            return value
        if isinstance(value, bytearray):
            return bytes(value)
        if isinstance(value, dict | set | frozenset):
            self._charge(HASH_COST * len(value), depth)
        if isinstance(value, dict):
            return {self._copy(key, depth - 1): self._copy(each, depth - 1) for key, each in value.items()}
        for kind in (list, tuple, set, frozenset):
            if isinstance(value, kind):
                return kind(self._copy(each, depth - 1) for each in value)
        if isinstance(value, DtypeName):
            return value.name
        raise RefusedNameError(f"a {type(value).__name__} as a value")


def load_plain(data: bytes) -> object:
    """Contents of a pickle: dicts, lists, tuples, sets, numbers, strings and bytes; numpy dtypes by name.

    Raises:
        RefusedNameError: it asks for anything else; nothing was executed.
        Exception: it is damaged; any class of error is possible.
    """
    return Reader().run(data)


OPERATIONS: dict[str, Callable[[Reader], object]] = {
    "MARK": lambda reader: reader.marks.append(len(reader.stack)),
    "POP": Reader._pop,
    "POP_MARK": lambda reader: reader._to_mark().clear(),
    "DUP": lambda reader: reader.stack.append(reader.stack[-1]),
    "MEMOIZE": lambda reader: reader.memo.update({len(reader.memo): reader.stack[-1]}),
    "LIST": lambda reader: reader.stack.append(reader._to_mark()),
    "TUPLE": lambda reader: reader.stack.append(tuple(reader._to_mark())),
    "FROZENSET": lambda reader: reader.stack.append(reader._hashable(reader._to_mark())),
    "DICT": Reader._dict,
    "APPEND": lambda reader: reader._append(reader._top(1)),
    "APPENDS": lambda reader: reader._append(reader._to_mark()),
    "SETITEM": lambda reader: reader._set_items(reader._top(2)),
    "SETITEMS": lambda reader: reader._set_items(reader._to_mark()),
    "ADDITEMS": lambda reader: reader._add(reader._to_mark()),
    "STACK_GLOBAL": Reader._stack_name,
    "REDUCE": Reader._call,
    "BUILD": Reader._build,
}
