"""For how long a process has given no sign of life, not counting time in which it could not run.

On an overloaded machine a process waits for a core, and one that was stopped, or whose machine was suspended, does
nothing at all. By wall time all of these would look like a hang.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

PROCESSES = Path("/proc")
LOOKS = 1.0  # seconds between two looks at the process, at most
PATIENCE = 10  # multiple of the permitted silence after which it ends in any case
STOPPED, RUNNABLE = ("T", "t"), "R"  # states in /proc/PID/stat; all others mean that the process itself waits


class Silence:
    """Silence of a process.

    Counted are: the processor time that the process used while it wanted to run, the time that it slept, and none
    while it was stopped. Elsewhere than on Linux all time counts.

    Args:
        pid: id of the process.
        allowed: seconds of silence after which it counts as hanging; ten times as many by the clock in any case.
    """

    def __init__(self, pid: int, allowed: float) -> None:
        self.pid, self.allowed = pid, allowed
        self.between = min(LOOKS, allowed / 4)
        self.broken()

    def broken(self) -> None:
        """Begin anew, because the process gave a sign of life."""
        self._counted = self._by_clock = 0.0
        self._at = time.monotonic()
        self._used: float | None = None  # seconds of processor time at the last look

    def too_long(self) -> bool:
        """Whether it has lasted too long; to be called every `between` seconds."""
        now = time.monotonic()
        passed = min(now - self._at, 2 * self.between)  # if it is more, we ourselves were stopped or suspended
        state, used = _state(self.pid)
        computed = passed if used is None or self._used is None else min(passed, used - self._used)
        self._at, self._used = now, used
        self._by_clock += passed
        self._counted += 0.0 if state in STOPPED else computed if state == RUNNABLE else passed
        return self._counted >= self.allowed or self._by_clock >= PATIENCE * self.allowed


def _state(pid: int) -> tuple[str | None, float | None]:
    """State of a process, and seconds of processor time that it has used; None where unknown."""
    try:
        fields = (PROCESSES / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()
        return fields[0], (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None, None
