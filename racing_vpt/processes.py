"""Work spread over processes, with results in order or as they are ready.

A process that dies is replaced, and what it was doing is done again; none outlives its parent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Generic, TypeVar

from racing_vpt.worker_processes import Crew, Work

Task = TypeVar("Task")
Result = TypeVar("Result")
AHEAD = 4  # tasks for each process that are begun before the results ahead of them were taken


def in_parallel(work: Work[Task, Result], tasks: Sequence[Task], workers: int) -> Iterator[Result]:
    """Results of the tasks, in the order in which they are ready.

    Args:
        work: takes tasks and yields each with its result; it can be pickled.
        tasks: what is to be done; no two are equal.
        workers: processes; with one, or one task, everything happens in this process.

    Raises:
        Exception: whatever a process raised; the others are ended.
        RuntimeError: processes died over the same task again and again.
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
    """Applies a function to tasks in processes that stay from call to call; a context manager.

    Args:
        function: makes a result of a task; it can be pickled, and each process has its copy.
        workers: processes; with one everything happens in this process.
    """

    def __init__(self, function: Callable[[Task], Result], workers: int) -> None:
        if workers < 1:
            raise ValueError(f"workers must be at least 1, but {workers} was given")
        self.function, self.workers = function, workers
        self._crew: Crew[Task, Result] = Crew(partial(_one_by_one, function), workers)

    def map(self, tasks: Sequence[Task]) -> list[Result]:
        """The results in the order of the tasks; raises as `in_parallel`."""
        if self.workers == 1:
            return [self.function(task) for task in tasks]
        results = dict(self._crew.results(tasks))
        return [results[number] for number in range(len(tasks))]

    def in_order(self, tasks: Sequence[Task]) -> Iterator[Result]:
        """The results in the order of the tasks, of which a few are done ahead; raises as `in_parallel`."""
        if self.workers == 1:
            yield from map(self.function, tasks)
            return
        ready: dict[int, Result] = {}
        taken = 0

        def may_begin(number: int) -> bool:
            return number < taken + AHEAD * self.workers

        for number, result in self._crew.results(tasks, may_begin):
            ready[number] = result
            while taken in ready:
                taken += 1
                yield ready.pop(taken - 1)

    def pids(self) -> list[int]:
        """Of the processes that are there."""
        return self._crew.pids()

    def close(self) -> None:
        """End the processes."""
        self._crew.close()

    def __enter__(self) -> Pool[Task, Result]:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _one_by_one(function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[tuple[Task, Result]]:
    """The `Work` that applies a function."""
    for task in tasks:
        yield task, function(task)
