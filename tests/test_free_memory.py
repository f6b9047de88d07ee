"""How memory is counted, and kept."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from racing_vpt.free_memory import KEPT

PROGRAM = """
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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator is told what to keep")
def test_freed_arrays_are_taken_again_without_the_kernel() -> None:
    clean = {name: value for name, value in os.environ.items() if name not in KEPT}
    counts = []
    for keep in ("", "keep_freed_memory()"):
        words = [sys.executable, "-c", PROGRAM.format(keep=keep)]
        counts.append(int(subprocess.run(words, env=clean, capture_output=True, text=True, check=True).stdout))
    without, kept = counts
    assert kept < without / 20, f"{kept} page faults with memory kept, {without} without"


def test_what_the_user_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    from racing_vpt.free_memory import keep_freed_memory

    for name in KEPT:
        monkeypatch.setenv(name, "65536")
    keep_freed_memory()
    assert {os.environ[name] for name in KEPT} == {"65536"}
