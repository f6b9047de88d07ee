"""Work spread over processes: tasks are taken one by one, results come as they are ready, and nobody stays behind."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing.queues import Queue
from types import FrameType
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")
Work = Callable[[Iterable[Task]], Iterator[Result]]
POLL_SECONDS = 1.0


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_parallel(work: Work[Task, Result], tasks: Sequence[Task], workers: int) -> Iterator[Result]:
    """Results of `work` on the tasks, in the order in which they are ready.

    Args:
        work: takes an iterable of tasks and yields a result for each; it and its bound arguments can be pickled.
        tasks: what is to be done.
        workers: processes; with one, or one task, everything happens in this process.

    Raises:
        Exception: whatever a worker raised; the others are stopped.
        RuntimeError: where a worker was killed.
    """
    workers = min(workers, len(tasks))
    if workers <= 1:
        yield from work(tasks)
        return
    context = multiprocessing.get_context("spawn")  # a fork would copy threads' locks of torch and FFmpeg
    todo: Queue[Task | None] = context.Queue()
    done: Queue[Result | BaseException | None] = context.Queue()
    for task in tasks:
        todo.put(task)
    for _ in range(workers):
        todo.put(None)
    processes = [context.Process(target=_serve, args=(work, todo, done), daemon=True) for _ in range(workers)]
    try:
        for process in processes:
            process.start()
        working = workers
        while working:
            try:
                result = done.get(timeout=POLL_SECONDS)
            except queue.Empty:
                codes = [process.exitcode for process in processes if process.exitcode]
                if codes:
                    raise RuntimeError(
                        f"a worker process ended with status {codes[0]} (killed, or out of memory)"
                    ) from None
                continue
            if isinstance(result, BaseException):
                raise result
            if result is None:
                working -= 1
            else:
                yield result
    except BaseException:  # an error, an interruption, or a caller who wants no more
        for process in processes:
            if process.is_alive():
                process.terminate()
        raise
    finally:
        for process in processes:
            if process.pid is not None:
                process.join()
        todo.cancel_join_thread()


def _serve(work: Work[Task, Result], todo: Queue[Task | None], done: Queue[Result | BaseException | None]) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"  # for torch, which is not imported before it is needed
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us
    signal.signal(signal.SIGTERM, _leave)
    parent = os.getppid()

    def tasks() -> Iterator[Task]:
        while os.getppid() == parent:  # nobody wants the results of an orphan
            task = todo.get()
            if task is None:
                return
            yield task

    try:
        for result in work(tasks()):
            done.put(result)
        done.put(None)
    except Exception as error:
        done.put(error)


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)
