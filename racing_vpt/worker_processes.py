"""Processes that ask their parent for tasks: what `processes.py` is made of.

One that dies is replaced, and what it was doing is done again. One whose parent died ends, because its connection has
ended.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
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
"""Takes tasks, several at a time if it likes, and yields each with its result in the order in which they are ready."""
Member = tuple[BaseProcess, Connection]
MOST_DEATHS = 3  # of processes over one task: it is the task that kills them
SECONDS_TO_END = 10.0  # for a process that was asked to; then it is killed
log = logging.getLogger(__name__)


@dataclass
class _Worker:
    """A place for a process.

    Args:
        member: the process; None: there is none.
        doing: its tasks by number.
        asks: it waits for a task.
        begun: it was given a task, and not told since that there are no more.
    """

    member: Member | None = None
    doing: dict[int, object] = field(default_factory=dict)
    asks: bool = False
    begun: bool = False


class Crew(Generic[Task, Result]):
    """Processes that do the same work, as their parent sees them.

    Args:
        work: takes tasks and yields each with its result; it can be pickled.
        workers: processes.
    """

    def __init__(self, work: Work[Task, Result], workers: int) -> None:
        self.work = work
        self.workers = [_Worker() for _ in range(workers)]

    def results(
        self, tasks: Sequence[Task], may_begin: Callable[[int], bool] = lambda number: True
    ) -> Iterator[tuple[int, Result]]:
        """The number of each task with its result, as they are ready; `may_begin` holds tasks back by their number."""
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
                        self._replace(worker, todo, deaths)
                        continue
                    if kind == "error":
                        raise result
                    if kind == "ask":
                        worker.asks = True
                    else:
                        del worker.doing[number]
                        yield number, result
        finally:  # after an error, or where the caller wants no more, nobody waits for what is being done
            for worker in self.workers:
                if worker.doing:
                    self._bury(worker)

    def pids(self) -> list[int]:
        """Of the processes that are there."""
        return [worker.member[0].pid or 0 for worker in self.workers if worker.member is not None]

    def close(self) -> None:
        """End the processes."""
        for worker in self.workers:
            self._bury(worker)

    def _hand_out(self, todo: deque[tuple[int, Task]], may_begin: Callable[[int], bool]) -> None:
        """Answer those that ask, and let as many processes be there as there are tasks left."""
        for worker in self.workers:
            if not worker.asks or worker.member is None:
                continue
            if todo and may_begin(todo[0][0]):
                answer: tuple[int, Task] | None = todo.popleft()
                assert answer is not None
                worker.doing[answer[0]] = answer[1]
            elif worker.begun and not todo:
                answer = None  # so that it finishes what it is doing
            else:
                continue
            worker.asks, worker.begun = False, answer is not None
            with suppress(OSError):  # it is dead, which is noticed when it is listened to
                worker.member[1].send(answer)
        free = sum(worker.member is not None and not worker.doing for worker in self.workers)
        for worker in self.workers:
            if worker.member is None and free < len(todo):
                worker.member = employ(_serve, self.work)
                free += 1

    def _replace(self, worker: _Worker, todo: deque[tuple[int, Task]], deaths: Counter[int | None]) -> None:
        """Bury a worker that died; its tasks come next. RuntimeError where that happened too often."""
        numbers: list[int | None] = [*worker.doing] or [None]
        deaths.update(numbers)
        todo.extendleft(sorted(worker.doing.items(), reverse=True))  # type: ignore[arg-type]
        over = [number for number in numbers if deaths[number] >= MOST_DEATHS]
        self._bury(worker)
        if over:
            what = "before they took a task" if over == [None] else "over the same task"
            raise RuntimeError(
                f"{MOST_DEATHS} worker processes died {what} (killed, or out of memory); give fewer --workers or "
                "smaller batches"
            )
        log.warning("a worker process died; another one takes its task over")

    @staticmethod
    def _bury(worker: _Worker) -> None:
        if worker.member is not None:
            dismiss(worker.member)
        worker.member, worker.doing, worker.asks, worker.begun = None, {}, False, False


def employ(serve: Callable[..., None], *arguments: object) -> Member:
    """A process that runs `serve(*arguments, connection)`, and our end of the connection, which its death ends."""
    context = multiprocessing.get_context("spawn")  # a fork would copy threads' locks of torch and FFmpeg
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(*arguments, theirs), daemon=True)
    process.start()
    theirs.close()
    return process, ours


def dismiss(member: Member) -> None:
    """End such a process, whatever it is doing."""
    process, connection = member
    connection.close()
    process.terminate()
    process.join(SECONDS_TO_END)
    if process.is_alive():
        process.kill()
        process.join()


def _serve(work: Work[Task, Result], connection: Connection) -> None:
    """Do the parent's work, round after round, until the connection ends. What all spread work runs in its process."""
    os.environ["OMP_NUM_THREADS"] = "1"  # for torch, which is not imported before it is needed
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us
    signal.signal(signal.SIGTERM, _leave)
    doing: dict[int, Task] = {}

    def say(kind: str, number: int | None = None, result: object = None) -> None:
        try:
            connection.send((kind, number, result))
        except OSError:
            sys.exit()  # nobody wants the results of an orphan

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
        first = next(tasks, None)  # so that work begins with a task at hand
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
