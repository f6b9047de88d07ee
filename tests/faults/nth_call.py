"""Commands whose n-th call on their output fails, once: `open`, `write`, `fsync`, `rename`, `unlink`, `link`, `mkdir`.

`nth_call.c` is preloaded into the server that the harness forks commands from, where it does nothing until a command is
told which of its calls fails. It sees Python's calls and those of FFmpeg, torch and libstdc++.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

PRELOAD = "LD_PRELOAD"


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Args:
        status: its exit status.
        said: what it printed, stdout and stderr.
        calls: the calls that it made on its output, such as `rename a.jsonl`, in order.
    """

    status: int
    said: str
    calls: list[str]


@cache
def library() -> Path | None:
    """The compiled `nth_call.c`, or None where there is no C compiler."""
    target = Path(mkdtemp()) / "nth_call.so"
    try:
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-O1", "-o", target, Path(__file__).with_suffix(".c")],
            check=True, capture_output=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return None
    return target


@contextmanager
def preloaded() -> Iterator[None]:
    """Within the block, processes that are started from a file have the library in them."""
    before, found = os.environ.get(PRELOAD), library()
    if found is not None:
        os.environ[PRELOAD] = str(found)
    try:
        yield
    finally:
        os.environ.pop(PRELOAD, None)
        if before is not None:
            os.environ[PRELOAD] = before


def run_failing(words: tuple[str, ...], log: Path, folder: Path, at: int, number: int) -> None:
    """In a process of the server: run a command whose call number `at` (0: none) on `folder` fails with `number`."""
    from tests.faults.harness import run_command

    counter = ctypes.CDLL(str(library_in_this_process()))
    counter.call_counted.restype = ctypes.c_char_p
    assert counter.fail_call(os.fsencode(folder), at, number) == 0
    try:
        run_command(words, log)
    finally:
        count = counter.calls_counted()
        calls = [os.fsdecode(counter.call_counted(which)) for which in range(1, count + 1)]
        log.with_suffix(".calls").write_text(json.dumps(calls))


def library_in_this_process() -> Path:
    """Where the preloaded library was loaded from."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        if line.endswith("/nth_call.so"):
            return Path(line.split(maxsplit=5)[5])
    raise RuntimeError("the server was started without the library")


def ended(words: list[str], out: Path, log: Path, at: int = 0, number: int = 0) -> Ended:
    """Run a command, in a process of its own, whose call number `at` on the folder `out` fails with `number`."""
    from tests.faults.harness import fresh

    log.unlink(missing_ok=True)
    process = fresh(run_failing, tuple(words), log, out, at, number)
    process.join(120)
    hangs = process.is_alive()
    if hangs:
        process.kill()
        process.join()
    calls = json.loads(log.with_suffix(".calls").read_text()) if not hangs else []
    return Ended(-1 if hangs else process.exitcode or 0, log.read_text() if log.exists() else "", calls)
