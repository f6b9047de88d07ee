"""One thread per free core, at the start and while other programs come and go, and short spinning."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import pytest

from racing_vpt import free_cores
from racing_vpt.free_cores import SPINS, CoreWatch, chose_threads, num_cores, share_cores, threads_for


class Machine:
    """Four cores of which programs use some, this process and its child among them; only sleeping advances the clock.

    Args:
        folder: folder for what the kernel would say.
        busy: number of cores that other programs use.
        own: the same of this process, and of its child.
    """

    def __init__(self, folder: Path, busy: float, own: float = 0.0) -> None:
        self.statistics, self.processes = folder / "stat", folder
        self.busy, self.own, self.now, self.idle, self.used = busy, own, 100.0, 1000.0, 0.0
        self.write()

    def write(self) -> None:
        rows = [f"cpu{core} 1 1 1 {int(self.idle)} 0 0 0 0 0 0" for core in range(8)]
        self.statistics.write_text("\n".join(["cpu 0 0 0 0 0", *rows, "intr 5"]))
        for process, child in ((os.getpid(), "1 "), (1, "")):
            (self.processes / f"{process}/task/{process}").mkdir(parents=True, exist_ok=True)
            (self.processes / f"{process}/stat").write_text(f"1 (a b) S {'0 ' * 10}{int(self.used)} 0 0 0 20")
            (self.processes / f"{process}/task/{process}/children").write_text(child)

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.idle += seconds * 100 * (1 - (self.busy + 2 * self.own) / 4)
        self.used += seconds * 100 * self.own
        self.write()

    def monotonic(self) -> float:
        return self.now


def machine(monkeypatch: pytest.MonkeyPatch, folder: Path, busy: float, own: float = 0.0) -> Machine:
    """Simulate four of eight cores, of which other programs use `busy`."""
    pretended = Machine(folder, busy, own)
    monkeypatch.setattr(free_cores, "STATISTICS", pretended.statistics)
    monkeypatch.setattr(free_cores, "PROCESSES", pretended.processes)
    monkeypatch.setattr(free_cores, "CGROUP", folder)
    monkeypatch.setattr(free_cores, "time", pretended)
    monkeypatch.setattr(free_cores.os, "sched_getaffinity", lambda process: {0, 2, 4, 6})
    monkeypatch.setattr(free_cores.os, "times", lambda: (0.0, 0.0, 0.0, 0.0, 0.0))  # nor does this process compute
    return pretended


@pytest.mark.parametrize(("busy", "threads"), [(0.0, 4), (0.4, 4), (1.0, 3), (2.2, 2), (4.0, 1)])
def test_there_are_as_many_threads_as_cores_are_free(
    busy: float, threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    machine(monkeypatch, tmp_path, busy)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    environment: dict[str, str] = {}
    with caplog.at_level(logging.WARNING):
        share_cores(environment)
    assert environment.pop("GOMP_SPINCOUNT") == SPINS
    assert chose_threads(environment)
    environment.pop("RACING_VPT_CHOSE_THREADS")
    assert environment == ({} if threads == 4 else {"OMP_NUM_THREADS": str(threads)})
    assert ("of 4 cores are free" in caplog.text) == (threads < 4)


def test_what_the_user_set_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, tmp_path, 4.0)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    threads = {"OMP_NUM_THREADS": "3"}
    for given in ({**threads, "GOMP_SPINCOUNT": "7"}, {**threads, "OMP_WAIT_POLICY": "active"}, {"LOCAL_RANK": "1"}):
        environment = dict(given)
        share_cores(environment)
        assert environment == given
        assert not chose_threads(environment)
    assert not chose_threads({"RACING_VPT_CHOSE_THREADS": "1"})  # of the process that started this one


@pytest.mark.parametrize(
    ("busy", "own", "threads"), [(0.0, 1.9, 4), (0.3, 0.5, 4), (0.7, 1.5, 3), (2.0, 0.9, 2), (4.0, 0.0, 1)]
)
def test_threads_follow_what_other_programs_use(
    busy: float, own: float, threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretended = machine(monkeypatch, tmp_path, 0.0, own)
    watch = CoreWatch()
    pretended.sleep(0.5)
    assert watch.threads() is None  # too early
    pretended.sleep(1)
    assert watch.threads() == 4
    pretended.busy = busy
    pretended.sleep(2)
    assert watch.threads() == threads
    pretended.statistics.unlink()
    pretended.now += 2
    assert watch.threads() is None


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
