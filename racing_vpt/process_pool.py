"""Processes that stay from task to task. One that dies is replaced, and what it was doing is done again."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Generic, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")
Member = tuple[BaseProcess, Connection]
MOST_DEATHS = 3  # of workers over one task: it is the task that kills them
log = logging.getLogger(__name__)


class Pool(Generic[Task, Result]):
    """Does tasks of one kind in processes of its own.

    Args:
        work: makes a result of a task; it can be pickled, and is once for each process.
        workers: processes; with one everything happens in this process.
    """

    def __init__(self, work: Callable[[Task], Result], workers: int) -> None:
        if workers < 1:
            raise ValueError(f"workers counts processes from 1, but {workers} was given")
        self.work, self.workers = work, workers
        self._members: list[Member | None] = [None] * workers

    def map(self, tasks: Sequence[Task]) -> list[Result]:
        """The results in the order of the tasks.

        Raises:
            Exception: whatever a worker raised.
            RuntimeError: workers died over the same task again and again.
        """
        if self.workers == 1:
            return [self.work(task) for task in tasks]
        results: dict[int, Result] = {}
        todo, doing, deaths = list(range(len(tasks)))[::-1], dict[int, int](), dict[int, int]()
        while len(results) < len(tasks):
            for slot in range(self.workers):
                if todo and slot not in doing:
                    doing[slot] = todo.pop()
                    with suppress(OSError):  # it is dead, which is noticed below
                        self._member(slot)[1].send(tasks[doing[slot]])
            waiting = {self._member(slot)[1]: slot for slot in doing}
            ready = wait(list(waiting))
            for connection, slot in waiting.items():
                if connection not in ready:
                    continue
                task = doing.pop(slot)
                try:
                    result = connection.recv()
                except (EOFError, OSError):
                    deaths[task] = deaths.get(task, 0) + 1
                    self._bury(slot)
                    if deaths[task] >= MOST_DEATHS:
                        raise RuntimeError(
                            f"{MOST_DEATHS} worker processes died over the same task (killed, or out of memory); give "
                            "fewer --workers or smaller batches"
                        ) from None
                    log.warning("a worker process died; another one takes its task over")
                    todo.append(task)
                    continue
                if isinstance(result, BaseException):
                    raise result
                results[task] = result
        return [results[number] for number in range(len(tasks))]

    def pids(self) -> list[int]:
        """Of the processes that are there."""
        return [member[0].pid or 0 for member in self._members if member is not None]

    def close(self) -> None:
        """End the processes."""
        for slot in range(self.workers):
            self._bury(slot)

    def _member(self, slot: int) -> Member:
        member = self._members[slot]
        if member is None:
            self._members[slot] = member = employ(_serve, self.work)
        return member

    def _bury(self, slot: int) -> None:
        member, self._members[slot] = self._members[slot], None
        if member is not None:
            dismiss(member)


def employ(serve: Callable[..., None], *arguments: object) -> Member:
    """A process that runs `serve(*arguments, connection)`, and our end of the connection, which its death ends."""
    context = multiprocessing.get_context("spawn")  # a fork would copy threads' locks of torch
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(*arguments, theirs), daemon=True)
    process.start()
    theirs.close()
    return process, ours


def dismiss(member: Member) -> None:
    """End such a process, whatever it is doing."""
    member[1].close()
    member[0].terminate()
    member[0].join()


def _serve(work: Callable[[Task], Result], connection: Connection) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us
    import torch

    torch.set_num_threads(1)
    while True:
        try:
            task = connection.recv()
        except (EOFError, OSError):
            return  # nobody wants the results of an orphan
        try:
            connection.send(work(task))
        except Exception as error:
            connection.send(error)
