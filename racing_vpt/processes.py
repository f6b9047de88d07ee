"""Parallel work in processes, with results in order or as they become ready.

A process that dies is replaced and its tasks are repeated; no process outlives its parent.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Generic, TypeVar

from racing_vpt.worker_processes import Crew, Work

Task = TypeVar("Task")
Result = TypeVar("Result")
SECONDS_TO_SAVE = 9.0  # before a command that was asked to end is killed
AHEAD = 4  # tasks per process that may run ahead of the results taken


def run_command(words: Sequence[str]) -> int:
    """Run a command to its end; returns its exit status.

    What ends this process, such as a signal, ends the command too, which has some seconds to save what it did.
    """
    process = subprocess.Popen(words)
    try:
        return process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(SECONDS_TO_SAVE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def in_parallel(work: Work[Task, Result], tasks: Sequence[Task], workers: int) -> Iterator[Result]:
    """Results of the tasks, in the order in which they become ready.

    Args:
        work: takes tasks and yields each with its result; picklable.
        tasks: the tasks, all different.
        workers: number of processes; with one, or one task, the work is done in this process.

    Raises:
        Exception: an error raised in a process; the others are ended.
        RuntimeError: processes died repeatedly on the same task.
    """
    workers = min(workers, len(tasks))
    if workers <= 1:
        for _, result in work(tasks):
            yield result
        return
    crew = Crew(work, workers)
    try:
        for _, result in crew.results(tasks):
            yield result
    finally:
        crew.close()


class Pool(Generic[Task, Result]):
    """Applies a function to tasks in processes that are reused between calls; a context manager.

    Args:
        function: maps a task to its result; picklable, copied to each process.
        workers: number of processes; with one the work is done in this process.
    """

    def __init__(self, function: Callable[[Task], Result], workers: int) -> None:
        if workers < 1:
            raise ValueError(f"workers must be at least 1, but {workers} was given")
        self.function, self.workers = function, workers
        self._crew: Crew[Task, Result] = Crew(partial(_one_by_one, function), workers)

    def map(self, tasks: Sequence[Task]) -> list[Result]:
        """Results in the order of the tasks; raises as `in_parallel`."""
        if self.workers == 1:
            return [self.function(task) for task in tasks]
        results = dict(self._crew.results(tasks))
        return [results[number] for number in range(len(tasks))]

    def in_order(
        self, tasks: Sequence[Task], deadly: Callable[[RuntimeError], Result] | None = None
    ) -> Iterator[Result]:
        """Iterate over results in the order of the tasks, computing a few ahead; raises as `in_parallel`.

        Args:
            tasks: what to do.
            deadly: makes a result for a task that killed its processes, of the error that it would be; None: raises it.
        """
        if self.workers == 1:
            yield from map(self.function, tasks)
            return
        ready: dict[int, Result] = {}
        taken = 0

        def may_begin(number: int) -> bool:
            return number < taken + AHEAD * self.workers

        for number, result in self._crew.results(tasks, may_begin, deadly):
            ready[number] = result
            while taken in ready:
                taken += 1
                yield ready.pop(taken - 1)

    def pids(self) -> list[int]:
        """Process ids of the running workers."""
        return self._crew.pids()

    def close(self) -> None:
        """End the processes."""
        self._crew.close()

    def __enter__(self) -> Pool[Task, Result]:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _one_by_one(function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[tuple[Task, Result]]:
    """`Work` that applies a function to each task."""
    for task in tasks:
        yield task, function(task)
