"""How much memory this process may still take, and how what it frees is taken again."""

from __future__ import annotations

import ctypes
import os
import resource
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

CGROUP = Path("/sys/fs/cgroup")
KEPT = {  # of glibc's mallopt: number and value; the environment's names are for processes that are started later
    "MALLOC_MMAP_THRESHOLD_": (-3, 32 << 20),  # the most that glibc takes: smaller arrays come from the heap
    "MALLOC_TRIM_THRESHOLD_": (-1, 2**31 - 1),  # bytes free at its end before any are given back
    "MALLOC_TOP_PAD_": (-2, 64 << 20),  # taken at a time
}


def keep_freed_memory() -> None:
    """Let this process and those that it starts keep the memory of freed arrays for the next ones.

    As it comes, glibc gives each large array back and takes it anew, and the kernel then clears it page by page: half
    of the time of a small network's step on a CPU. What the user set in the environment stays. Elsewhere than on glibc
    nothing happens.
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt"):
        return
    for name, (number, value) in KEPT.items():
        if name not in os.environ:
            libc.mallopt(number, value)
            os.environ[name] = str(value)


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
