"""How many cores this process may use, how many of them are free, and threads for as many.

OpenMP's threads meet after each parallel piece of work. As they come, they spin while they wait for the slowest, for
milliseconds, on the very core that it needs where other programs run too: beside one busy process labelling fell from
1,272 to 42 frames a second. So they spin for a short time and then sleep, and there are as many as cores are free.
"""

from __future__ import annotations

import logging
import math
import os
import sys
import time
from collections.abc import MutableMapping
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
STATISTICS = Path("/proc/stat")
SECONDS = 0.2  # of watching; the kernel counts in hundredths
SPINS = "10000"  # of a waiting thread of GNU's OpenMP, below a millisecond; its own default is 300,000
SPIN_VARIABLES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
THREADS_VARIABLE = "OMP_NUM_THREADS"
log = logging.getLogger(__name__)


def num_cores() -> int:
    """Cores that this process may use: those that it is bound to, or fewer where a container has a quota."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(bound, _quota())))


def free_cores(seconds: float = SECONDS) -> float:
    """Cores that nothing but this process used while it was watched, 0 to `num_cores()`.

    Linux tells; elsewhere the mean load of the last minute has to do.
    """
    cores = num_cores()
    before, own = _idle_seconds(), sum(os.times()[:2])
    if before is None:
        return max(0.0, cores - os.getloadavg()[0]) if hasattr(os, "getloadavg") else float(cores)
    begun = time.monotonic()
    time.sleep(seconds)
    after, took = _idle_seconds() or before, time.monotonic() - begun
    return min(float(cores), (after - before + sum(os.times()[:2]) - own) / took)


def threads_for(free: float) -> int:
    """Threads that fit into so many free cores; one at least."""
    return max(1, min(num_cores(), math.floor(free + 0.5)))


def share_cores(environment: MutableMapping[str, str] | None = None) -> None:
    """Let OpenMP have a thread for each free core and wait without spinning long, and say where cores are shared.

    Called before torch is imported, as that is when OpenMP reads its variables. What the user set stays; processes of a
    distributed training get their threads from whoever started them.
    """
    environment = os.environ if environment is None else environment
    if "torch" in sys.modules or "LOCAL_RANK" in environment:
        return
    if not any(name in environment for name in SPIN_VARIABLES):
        environment["GOMP_SPINCOUNT"] = SPINS
    if THREADS_VARIABLE in environment:
        return
    free = free_cores()
    threads = threads_for(free)
    if threads < num_cores():
        environment[THREADS_VARIABLE] = str(threads)
        log.warning(
            "other programs use the processor: %.1f of %d cores are free, so this run computes with %d thread%s; "
            "%s=%d takes all",
            free, num_cores(), threads, "s" * (threads > 1), THREADS_VARIABLE, num_cores(),
        )  # fmt: skip


def _idle_seconds() -> float | None:
    """Seconds that the cores of this process were idle since the machine started; None: not known."""
    mine = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    try:
        rows = [line.split() for line in STATISTICS.read_text().splitlines() if line.startswith("cpu")]
        ticks = sum(int(row[4]) + int(row[5]) for row in rows if row[0][3:] and int(row[0][3:]) in mine)
    except (OSError, ValueError, IndexError):
        return None
    return ticks / os.sysconf("SC_CLK_TCK") if ticks else None


def _quota() -> float:
    """Cores that the container may use, by the second or the first version of control groups."""
    try:
        limit, period = (CGROUP / "cpu.max").read_text().split()
        return math.inf if limit == "max" else int(limit) / int(period)
    except (OSError, ValueError):
        pass
    try:
        limit, period = ((CGROUP / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return int(limit) / int(period) if int(limit) > 0 else math.inf
    except (OSError, ValueError):
        return math.inf
