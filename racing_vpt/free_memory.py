"""How much memory this process may still take, and how what it frees is taken again."""

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
GLIBC = {  # what its allocator reads when a process starts
    "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0",  # no crumbs kept apart, which would keep pieces from being joined
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),  # the most that it takes: smaller arrays come from the heap
    "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1),  # bytes free at the heap's end before any are given back
    "MALLOC_TOP_PAD_": str(64 << 20),  # taken at a time
}


def keep_freed_memory() -> None:
    """Start this program anew, once, so that it and its processes keep the memory of freed arrays for the next ones.

    As glibc comes, it gives large arrays back and takes them anew, and the kernel clears them page by page; and of
    arrays that PyTorch wants aligned it leaves crumbs, which small things then fill, so that the memory of a long
    training grows and grows (glibc's bug 14581, before 2.38). Where the user set any of this, it is left alone;
    elsewhere than on glibc nothing happens.
    """
    try:
        glibc = (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, ValueError):  # no such question here
        glibc = False
    if glibc and not any(name in os.environ for name in GLIBC):
        os.execve(sys.executable, sys.orig_argv, {**os.environ, **GLIBC})


def give_back_memory() -> None:
    """Return what is free between the arrays of this process to the machine, now that `keep_freed_memory` keeps it.

    A DQN's heap grew by 0.1 to 0.2 GB a minute otherwise.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)


def free_bytes() -> int | None:
    """Memory of the machine, the container and the process limit that is left, the least of them; None: not known.

    Linux tells; elsewhere only the process limit is looked at.
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
    """Raise ValueError where less than `needed` bytes are free.

    Args:
        needed: bytes.
        what: for the message, as the subject of "needs".
        device: whose memory.
        instead: what would need less.
    """
    import torch

    device = torch.device(device)
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_bytes()
    if free is not None and needed > free:
        raise ValueError(
            f"{what} needs {needed / 2**30:.1f} GiB of free memory, but {max(0, free) / 2**30:.1f} GiB are free; "
            f"close other programs, {instead}, or take a machine with more memory"
        )
