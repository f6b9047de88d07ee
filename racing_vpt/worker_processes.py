"""Worker processes that request tasks from their parent; used by `processes.py`.

A worker that dies is replaced and its tasks are repeated. A worker whose parent dies exits when its connection closes.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Generic, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")
Work = Callable[[Iterable[Task]], Iterator[tuple[Task, Result]]]
"""Takes tasks, possibly several at a time, and yields each with its result as it becomes ready."""
Member = tuple[BaseProcess, Connection]
MOST_DEATHS = 3  # on one task, before the task is taken to be the cause
SECONDS_TO_END = 4.0  # before a process that should end is killed
log = logging.getLogger(__name__)


@dataclass
class _Worker:
    """A slot for a worker process.

    Args:
        member: process and connection; None: empty.
        doing: its current tasks by number.
        asks: whether it is waiting for a task.
        begun: whether it was given tasks, without being told since that there are no more.
    """

    member: Member | None = None
    doing: dict[int, object] = field(default_factory=dict)
    asks: bool = False
    begun: bool = False


class Crew(Generic[Task, Result]):
    """The parent's side of a set of workers that do the same work.

    Args:
        work: takes tasks and yields each with its result; picklable.
        workers: number of processes.
    """

    def __init__(self, work: Work[Task, Result], workers: int) -> None:
        self.work = work
        self.workers = [_Worker() for _ in range(workers)]

    def results(
        self,
        tasks: Sequence[Task],
        may_begin: Callable[[int], bool] = lambda number: True,
        deadly: Callable[[RuntimeError], Result] | None = None,
    ) -> Iterator[tuple[int, Result]]:
        """Number and result of each task as it becomes ready.

        Args:
            tasks: what to do.
            may_begin: can hold tasks back by their number.
            deadly: makes a result for a task that killed its processes, of the error that it would be; None: raises it.
        """
        todo, deaths = deque(enumerate(tasks)), Counter[int | None]()
        try:
            while True:
                self._hand_out(todo, may_begin)
                if not todo and not any(worker.doing for worker in self.workers):
                    return
                waiting = {worker.member[1]: worker for worker in self.workers if worker.member is not None}
                for connection in wait(list(waiting)):
                    worker = waiting[connection]  # type: ignore[index]
                    try:
                        kind, number, result = worker.member[1].recv()  # type: ignore[index]
                    except (EOFError, OSError):
                        fatal, error = self._replace(worker, todo, deaths)
                        if error is not None and (deadly is None or None in fatal):
                            raise error from None
                        for given_up in fatal:
                            todo.remove((given_up, tasks[given_up]))  # type: ignore[index, arg-type]
                            yield given_up, deadly(error)  # type: ignore[misc, arg-type]
                        continue
                    if kind == "error":
                        raise result
                    if kind == "ask":
                        worker.asks = True
                    else:
                        del worker.doing[number]
                        yield number, result
        finally:  # after an error, or if the caller stops early: drop the running tasks
            self._bury(*(worker for worker in self.workers if worker.doing))

    def pids(self) -> list[int]:
        """Process ids of the running workers."""
        return [worker.member[0].pid or 0 for worker in self.workers if worker.member is not None]

    def close(self) -> None:
        """End the processes."""
        self._bury(*self.workers)

    def _hand_out(self, todo: deque[tuple[int, Task]], may_begin: Callable[[int], bool]) -> None:
        """Give tasks to workers that ask, and start as many workers as there are tasks left."""
        for worker in self.workers:
            if not worker.asks or worker.member is None:
                continue
            if todo and may_begin(todo[0][0]):
                answer: tuple[int, Task] | None = todo.popleft()
                assert answer is not None
                worker.doing[answer[0]] = answer[1]
            elif worker.begun and not todo:
                answer = None  # no more tasks: it finishes its current ones
            else:
                continue
            worker.asks, worker.begun = False, answer is not None
            with suppress(OSError):  # it has died, which the next recv() reports
                worker.member[1].send(answer)
        free = sum(worker.member is not None and not worker.doing for worker in self.workers)
        for worker in self.workers:
            if worker.member is None and free < len(todo):
                worker.member = employ(_serve, self.work)
                free += 1

    def _replace(
        self, worker: _Worker, todo: deque[tuple[int, Task]], deaths: Counter[int | None]
    ) -> tuple[list[int | None], RuntimeError | None]:
        """Clean up a dead worker and requeue its tasks first; returns those that did so too often, and the error."""
        numbers: list[int | None] = [*worker.doing] or [None]
        deaths.update(numbers)
        todo.extendleft(sorted(worker.doing.items(), reverse=True))  # type: ignore[arg-type]
        over = [number for number in numbers if deaths[number] >= MOST_DEATHS]
        self._bury(worker)
        if over:
            what = "before they took a task" if over == [None] else "over the same task"
            return over, RuntimeError(
                f"{MOST_DEATHS} worker processes died {what} (killed, or out of memory); give fewer --workers or "
                "smaller batches"
            )
        log.warning("a worker process died; its task is repeated in another one")
        return [], None

    @staticmethod
    def _bury(*workers: _Worker) -> None:
        dismiss(*(worker.member for worker in workers if worker.member is not None))
        for worker in workers:
            worker.member, worker.doing, worker.asks, worker.begun = None, {}, False, False


def employ(serve: Callable[..., None], *arguments: object) -> Member:
    """Start a process that runs `serve(*arguments, connection)`; returns it and our end of the connection."""
    context = multiprocessing.get_context("spawn")  # a fork would copy locks held by threads of torch and FFmpeg
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(*arguments, theirs), daemon=True)
    process.start()
    theirs.close()
    return process, ours


def dismiss(*members: Member) -> None:
    """End processes, whatever they are doing; together they have `SECONDS_TO_END`."""
    for process, connection in members:
        connection.close()
        process.terminate()
    deadline = time.monotonic() + SECONDS_TO_END
    for process, _ in members:
        process.join(max(0.0, deadline - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()


def _serve(work: Work[Task, Result], connection: Connection) -> None:
    """Main loop of a worker: process tasks, round after round, until the connection closes."""
    os.environ["OMP_NUM_THREADS"] = "1"  # for torch, which may be imported later
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process
    signal.signal(signal.SIGTERM, _leave)
    doing: dict[int, Task] = {}

    def say(kind: str, number: int | None = None, result: object = None) -> None:
        try:
            connection.send((kind, number, result))
        except OSError:
            sys.exit()  # the parent has gone

    def ask() -> tuple[int, Task] | None:
        say("ask")
        try:
            return connection.recv()
        except (EOFError, OSError):
            sys.exit()

    def more() -> Iterator[Task]:
        while (given := ask()) is not None:
            doing[given[0]] = given[1]
            yield given[1]

    while True:
        tasks = more()
        first = next(tasks, None)  # wait for a task before calling work
        try:
            for task, result in work(chain([first] if doing else [], tasks)):  # type: ignore[list-item]
                number = next(number for number, held in doing.items() if held is task or held == task)
                del doing[number]
                say("result", number, result)
        except Exception as error:
            doing.clear()
            try:
                say("error", None, error)
            except Exception:  # it cannot be pickled
                say("error", None, RuntimeError(f"{type(error).__name__}: {error}"))


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)
