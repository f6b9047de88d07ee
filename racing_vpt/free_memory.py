"""Free memory of this process, and allocator settings that reuse freed memory."""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

CGROUP = Path("/sys/fs/cgroup")
GLIBC = {  # environment variables that glibc's allocator reads at start
    "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0",  # no cache of small blocks, which fragments the heap
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),  # the maximum: smaller arrays come from the heap
    "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1),  # free bytes at the heap's end before they are returned
    "MALLOC_TOP_PAD_": str(64 << 20),  # bytes requested at a time
}


def keep_freed_memory() -> None:
    """Restart this program once with glibc settings that keep the memory of freed arrays for later ones.

    By default glibc returns large arrays to the kernel, which clears every page when they are allocated again; and
    PyTorch's aligned allocations fragment the heap, so that the memory of a long training grows without limit (glibc
    bug 14581, before 2.38). Nothing happens if the user has set any of these variables, or without glibc.
    """
    try:
        glibc = (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, ValueError):  # not available on this platform
        glibc = False
    if glibc and not any(name in os.environ for name in GLIBC):
        os.execve(sys.executable, sys.orig_argv, {**os.environ, **GLIBC})


def give_back_memory() -> None:
    """Return free memory within the heap to the kernel, which `keep_freed_memory` keeps otherwise.

    Without it the heap of a DQN grew by 0.1 to 0.2 GB per minute.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)


def free_bytes() -> int | None:
    """Free memory: the least of what machine, container and process limit leave; None if unknown.

    Elsewhere than on Linux only the process limit is considered.
    """
    found = []
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        lines = (line.split() for line in meminfo.read_text().splitlines())
        found += [int(words[1]) * 1024 for words in lines if words[0] == "MemAvailable:"]
    limit, used = CGROUP / "memory.max", CGROUP / "memory.current"
    if limit.is_file() and used.is_file() and limit.read_text().strip() != "max":
        found.append(int(limit.read_text()) - int(used.read_text()))
    address_space = resource.getrlimit(resource.RLIMIT_AS)[0]
    status = Path("/proc/self/statm")
    if address_space != resource.RLIM_INFINITY and status.is_file():
        found.append(address_space - int(status.read_text().split()[0]) * resource.getpagesize())
    return min(found) if found else None


def require_memory(
    needed: float, what: str, device: torch.device | str = "cpu", instead: str = "take a smaller network"
) -> None:
    """Raise ValueError if fewer than `needed` bytes are free.

    Args:
        needed: number of bytes.
        what: subject of "needs" in the message.
        device: device whose memory is checked.
        instead: advice in the message: what would need less.
    """
    import torch

    device = torch.device(device)
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_bytes()
    if free is not None and needed > free:
        raise ValueError(
            f"{what} needs {needed / 2**30:.1f} GiB of free memory, but {max(0, free) / 2**30:.1f} GiB are free; "
            f"close other programs, {instead}, or take a machine with more memory"
        )
