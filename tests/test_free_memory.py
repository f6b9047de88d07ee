"""Reuse of the memory of freed arrays."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from racing_vpt.free_memory import GLIBC

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator is told what to keep")
FAULTS = """
import resource
import numpy as np
from racing_vpt.free_memory import keep_freed_memory

{keep}

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        held = [np.ones(1_000_000) for _ in range(3)]  # 8 MB each
        del held
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
print(faults())
"""
HOLES = """
import os
import numpy as np
from racing_vpt.free_memory import give_back_memory, keep_freed_memory

keep_freed_memory()
resident = lambda: int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20
arrays = [np.ones(1_000_000) for _ in range(40)]  # 8 MB each
del arrays[::2]
before = resident()
give_back_memory()
print(before - resident())
"""
ANEW = "import os; from racing_vpt.free_memory import *; print(os.getpid()); keep_freed_memory(); print('done')"


def said(program: str, **chosen: str) -> list[str]:
    """Output of a program with only these variables set by the user."""
    environment = {name: value for name, value in os.environ.items() if name not in GLIBC} | chosen
    words = [sys.executable, "-u", "-c", program]
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout.split()


def test_memory_of_freed_arrays_is_reused_without_the_kernel() -> None:
    without, kept = (int(said(FAULTS.format(keep=keep))[0]) for keep in ("", "keep_freed_memory()"))
    assert kept < without / 20, f"{kept} page faults with memory kept, {without} without"


def test_holes_between_arrays_are_given_back_on_request() -> None:
    assert int(said(HOLES)[0]) > 100  # of 152 MiB


@pytest.mark.parametrize(("chosen", "starts"), [({}, 2), ({"MALLOC_TOP_PAD_": "0"}, 1)])
def test_a_program_restarts_once_unless_the_user_set_a_variable(chosen: dict[str, str], starts: int) -> None:
    *processes, end = said(ANEW, **chosen)
    assert (len(processes), len(set(processes)), end) == (starts, 1, "done")
