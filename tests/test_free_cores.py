"""One thread per free core, and short spinning."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

from racing_vpt import free_cores
from racing_vpt.free_cores import SPINS, num_cores, share_cores, threads_for


class Machine:
    """Four cores with a given idle time, and a clock that only sleeping advances."""

    def __init__(self, folder: Path, busy: float) -> None:
        self.statistics, self.busy, self.now = folder / "stat", busy, 100.0
        self.write()

    def write(self) -> None:
        idle = 1000 + int(self.now * 100 * (1 - self.busy / 4))
        rows = [f"cpu{core} 1 1 1 {idle} 0 0 0 0 0 0" for core in range(8)]
        self.statistics.write_text("\n".join(["cpu 0 0 0 0 0", *rows, "intr 5"]))

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.write()

    def monotonic(self) -> float:
        return self.now


def machine(monkeypatch: pytest.MonkeyPatch, folder: Path, busy: float) -> None:
    """Simulate four of eight cores, of which other programs use `busy`."""
    pretended = Machine(folder, busy)
    monkeypatch.setattr(free_cores, "STATISTICS", pretended.statistics)
    monkeypatch.setattr(free_cores, "CGROUP", folder)
    monkeypatch.setattr(free_cores, "time", pretended)
    monkeypatch.setattr(free_cores.os, "sched_getaffinity", lambda process: {0, 2, 4, 6})
    monkeypatch.setattr(free_cores.os, "times", lambda: (0.0, 0.0, 0.0, 0.0, 0.0))  # nor does this process compute
    monkeypatch.delitem(sys.modules, "torch", raising=False)


@pytest.mark.parametrize(("busy", "threads"), [(0.0, 4), (0.4, 4), (1.0, 3), (2.2, 2), (4.0, 1)])
def test_there_are_as_many_threads_as_cores_are_free(
    busy: float, threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    machine(monkeypatch, tmp_path, busy)
    environment: dict[str, str] = {}
    with caplog.at_level(logging.WARNING):
        share_cores(environment)
    assert environment.pop("GOMP_SPINCOUNT") == SPINS
    assert environment == ({} if threads == 4 else {"OMP_NUM_THREADS": str(threads)})
    assert ("of 4 cores are free" in caplog.text) == (threads < 4)


def test_what_the_user_set_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, tmp_path, 4.0)
    threads = {"OMP_NUM_THREADS": "3"}
    for given in ({**threads, "GOMP_SPINCOUNT": "7"}, {**threads, "OMP_WAIT_POLICY": "active"}, {"LOCAL_RANK": "1"}):
        environment = dict(given)
        share_cores(environment)
        assert environment == given


def test_a_container_has_no_more_threads_than_its_quota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, tmp_path, 0.0)
    assert num_cores() == 4
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert num_cores() == 4
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert (num_cores(), threads_for(4.0)) == (2, 2)


def test_the_load_of_the_last_minute_counts_if_idle_times_are_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, tmp_path, 0.0)
    monkeypatch.setattr(free_cores, "STATISTICS", tmp_path / "nowhere")
    monkeypatch.setattr(free_cores.os, "getloadavg", lambda: (2.6, 0.0, 0.0))
    assert threads_for(free_cores.free_cores()) == 1
