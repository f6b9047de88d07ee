"""Parallel work: every task is done once, in order or as it comes, even if workers die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType

import pytest

from racing_vpt.processes import AHEAD, Pool, in_parallel, run_command

Named = tuple[str, int]  # a folder for marks, and a number

PARENT = """
import sys, time
from racing_vpt.processes import in_parallel
from tests.test_processes import slow
if __name__ == "__main__":
    for result in in_parallel(slow, range(1000), 2):
        print(result, flush=True)
"""


def squares(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    for number in numbers:
        if number < 0:
            raise ValueError(f"{number} is negative")
        time.sleep(0.01)
        yield number, number**2


def slow(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    for number in numbers:
        time.sleep(0.05)
        yield number, os.getpid()


def test_workers_do_every_task_once() -> None:
    assert sorted(in_parallel(squares, range(20), 2)) == [number**2 for number in range(20)]


def test_an_error_in_a_worker_is_raised_here() -> None:
    with pytest.raises(ValueError, match="-3 is negative"):
        list(in_parallel(squares, [1, 2, -3, 4], 2))


def test_one_worker_needs_no_process() -> None:
    assert list(in_parallel(lambda tasks: ((task, str(task)) for task in tasks), [1, 2], 1)) == ["1", "2"]


def die_once(folder: str, name: object) -> None:
    """Kill this process on a task's first try."""
    mark = Path(folder) / str(name)
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def two_at_a_time(tasks: Iterable[Named]) -> Iterator[tuple[Named, int]]:
    """Process tasks in pairs, the later one first; the first process with 0 or 1 and another task dies."""
    waiting = iter(tasks)
    for first in waiting:
        second = next(waiting, None)
        if second is not None:
            if first[1] < 2:
                die_once(first[0], "both")
            yield second, 10 * second[1]
        yield first, 10 * first[1]


def test_no_running_task_is_lost_when_a_worker_dies(tmp_path: Path) -> None:
    tasks = [(str(tmp_path), number) for number in range(7)]
    assert sorted(in_parallel(two_at_a_time, tasks, 2)) == [10 * number for number in range(7)]
    assert (tmp_path / "both").exists()


def dies_once(task: Named) -> int:
    if task[1] == 1:
        die_once(*task)
    return 10 * task[1]


def test_a_worker_that_dies_is_replaced_and_its_task_repeated(tmp_path: Path) -> None:
    with Pool(dies_once, 2) as pool:
        assert pool.map([(str(tmp_path), number) for number in range(4)]) == [0, 10, 20, 30]
        assert (tmp_path / "1").exists()
        there = set(pool.pids())
        assert pool.map([(str(tmp_path), 5)]) == [50]  # by a process that is still there
        assert set(pool.pids()) == there


def dies(number: int) -> int:
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_task_that_kills_its_workers_is_given_up() -> None:
    with Pool(dies, 2) as pool, pytest.raises(RuntimeError, match="3 worker processes died over the same task"):
        pool.map(range(4))
    with Pool(dies, 2) as pool:
        results = list(pool.in_order(range(4), deadly=str))
    assert "died over the same task" in str(results.pop(2))
    assert results == [0, 1, 3]


def first_last(number: int) -> int | ValueError:
    time.sleep(0.5 if number == 0 else 0)
    return ValueError("an error can be a result") if number == 3 else number


def test_results_come_in_order_with_few_computed_ahead() -> None:
    with Pool(first_last, 2) as pool:
        results = pool.in_order(range(40))
        assert next(results) == 0
        assert [next(results), next(results)] == [1, 2]
        assert isinstance(next(results), ValueError)
        assert list(results) == list(range(4, 40))
        assert next(pool.in_order(range(40))) == 0  # and is left there: what is being done is given up
        assert pool.map([7, 8]) == [7, 8]
    assert AHEAD * 2 < 40


def test_a_command_ends_with_its_parent_and_may_save_before(tmp_path: Path) -> None:
    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(143)

    script = f"trap 'echo saved > {tmp_path}/saved; exit' TERM; while :; do sleep 0.02; done"
    before = signal.signal(signal.SIGALRM, leave)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with pytest.raises(SystemExit):
            run_command(["bash", "-c", script])
    finally:
        signal.signal(signal.SIGALRM, before)
    assert (tmp_path / "saved").read_text() == "saved\n"
    assert run_command(["false"]) == 1


def test_no_worker_outlives_a_killed_parent(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    root = str(Path(__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": root}
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        workers = {int(parent.stdout.readline()) for _ in range(20)}
        parent.kill()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and any(Path(f"/proc/{pid}").exists() for pid in workers):
        time.sleep(0.05)
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]
