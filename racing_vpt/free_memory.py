"""How much memory this process may still take, so that what does not fit is refused and not killed."""

import resource
from pathlib import Path

import torch

CGROUP = Path("/sys/fs/cgroup")


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
    device = torch.device(device)
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_bytes()
    if free is not None and needed > free:
        raise ValueError(
            f"{what} needs {needed / 2**30:.1f} GiB of free memory, but {max(0, free) / 2**30:.1f} GiB are free; "
            f"close other programs, {instead}, or take a machine with more memory"
        )
