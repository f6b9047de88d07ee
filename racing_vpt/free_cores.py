"""Numbers of usable and free cores, and one OpenMP thread per free core.

OpenMP's threads wait for each other after each parallel section. By default they spin for milliseconds, occupying the
core that the slowest one needs if other programs are running: beside one busy process labelling fell from 1,272 to 42
frames/s. Here they spin less and then sleep, and their number is that of the free cores, at the start (`share_cores`)
and later (`CoreWatch`), which matters more: beside a busy process two threads label 370 frames/s, one thread 955.
"""

from __future__ import annotations

import logging
import math
import os
import sys
import time
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
STATISTICS = Path("/proc/stat")
PROCESSES = Path("/proc")
SECONDS = 0.2  # of measuring; the kernel counts in hundredths
BETWEEN_LOOKS = 1.0  # seconds over which `CoreWatch` measures at least
SPINS = "100000"  # of a waiting thread of GNU's OpenMP, some 2 ms; default 300,000; 10,000 cost a tenth on idle cores
SPIN_VARIABLES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
THREADS_VARIABLE = "OMP_NUM_THREADS"
CHOSEN_VARIABLE = "RACING_VPT_CHOSE_THREADS"  # id of the process whose number of threads we chose, not the user
ROUNDING = 0.5  # a core of which half is free gets a thread
ROUNDING_BESIDE = 0.35  # beside our own threads other programs get less of a core than they want, so more counts
log = logging.getLogger(__name__)


def num_cores() -> int:
    """Number of cores that this process may use: those that it is bound to, or fewer if a container has a quota."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(bound, _quota())))


def free_cores(seconds: float = SECONDS) -> float:
    """Number of cores that no other process used during the measurement, 0 to `num_cores()`.

    Elsewhere than on Linux it is computed from the mean load of the last minute.
    """
    cores = num_cores()
    before, own = _idle_seconds(), sum(os.times()[:2])
    if before is None:
        return max(0.0, cores - os.getloadavg()[0]) if hasattr(os, "getloadavg") else float(cores)
    begun = time.monotonic()
    time.sleep(seconds)
    after, took = _idle_seconds() or before, time.monotonic() - begun
    return min(float(cores), (after - before + sum(os.times()[:2]) - own) / took)


def threads_for(free: float, rounding: float = ROUNDING) -> int:
    """Number of threads for a number of free cores; at least one."""
    return max(1, min(num_cores(), math.floor(free + rounding)))


def share_cores(environment: MutableMapping[str, str] | None = None) -> None:
    """Set OpenMP to one thread per free core and short spinning, and log if cores are shared.

    Must be called before torch is imported, when OpenMP reads its variables. Variables set by the user are kept;
    processes of a distributed training get their number of threads from their launcher.
    """
    environment = os.environ if environment is None else environment
    if "torch" in sys.modules or "LOCAL_RANK" in environment:
        return
    if not any(name in environment for name in SPIN_VARIABLES):
        environment["GOMP_SPINCOUNT"] = SPINS
    if THREADS_VARIABLE in environment:
        return
    environment[CHOSEN_VARIABLE] = str(os.getpid())
    free = free_cores()
    threads = threads_for(free)
    if threads < num_cores():
        environment[THREADS_VARIABLE] = str(threads)
        log.warning(
            "other programs use the processor: %.1f of %d cores are free, so this run computes with %d thread%s; "
            "%s=%d takes all",
            free, num_cores(), threads, "s" * (threads > 1), THREADS_VARIABLE, num_cores(),
        )  # fmt: skip


def chose_threads(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether `share_cores` chose the number of threads of this process, which may then change."""
    return environment.get(CHOSEN_VARIABLE) == str(os.getpid())


class CoreWatch:
    """Measures how many cores other programs leave free, without sleeping: from one look to the next."""

    def __init__(self) -> None:
        self._note()

    def threads(self) -> int | None:
        """Number of threads for the cores free since the last measurement; None if it is too recent, or unknown."""
        took, idle, used = time.monotonic() - self._at, self._idle, self._used
        if took < BETWEEN_LOOKS:
            return None
        self._note()
        if idle is None or self._idle is None:
            return None
        return threads_for((self._idle - idle + self._used - used) / took, ROUNDING_BESIDE)

    def _note(self) -> None:
        self._at, self._idle, self._used = time.monotonic(), _idle_seconds(), _used_seconds(os.getpid())


def _used_seconds(process: int) -> float:
    """Processor time of a process and its descendants, those that ended included, in seconds."""
    folder, used = PROCESSES / str(process), 0.0
    with suppress(OSError, ValueError, IndexError):  # it ends just now
        used = sum(int(ticks) for ticks in (folder / "stat").read_text().rsplit(")", 1)[1].split()[11:15])
        used /= os.sysconf("SC_CLK_TCK")
        for children in (folder / "task").glob("*/children"):
            used += sum(_used_seconds(int(child)) for child in children.read_text().split())
    return used


def _idle_seconds() -> float | None:
    """Total idle time of this process' cores since the machine started, in seconds; None if unknown."""
    mine = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    try:
        rows = [line.split() for line in STATISTICS.read_text().splitlines() if line.startswith("cpu")]
        ticks = sum(int(row[4]) + int(row[5]) for row in rows if row[0][3:] and int(row[0][3:]) in mine)
    except (OSError, ValueError, IndexError):
        return None
    return ticks / os.sysconf("SC_CLK_TCK") if ticks else None


def _quota() -> float:
    """Number of cores that the container may use, from control groups version 2 or 1."""
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
