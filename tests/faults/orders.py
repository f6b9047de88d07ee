"""Two processes in every order of their publishing steps.

Each process stops before every system call with which `racing_vpt.files` and `racing_vpt.outputs` publish, and goes on
when it is told to. No order is left to chance and nobody sleeps: `every_order` tries all that there are, one after the
other, in processes that live through all of them.
"""

from __future__ import annotations

import multiprocessing
import os
import random
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from racing_vpt import files, outputs

STEPS = ("open", "link", "replace", "unlink", "fsync", "mkdir")
Work = Callable[[Path, str], None]
"""What a process does in a folder; it is told its own name."""


class Stopping:
    """The module `os`, but each call that publishes waits for a word first."""

    def __init__(self, pipe: Connection) -> None:
        self.pipe = pipe

    def __getattr__(self, name: str) -> object:
        return self.stopping(name, getattr(os, name)) if name in STEPS else getattr(os, name)

    def stopping(self, name: str, call: Callable[..., object]) -> Callable[..., object]:
        """The call, after it was allowed."""

        def stopped(*given: object, **named: object) -> object:
            if name != "open" or int(str(given[1])) & os.O_CREAT:  # files are read in any order
                self.stop(name)
            return call(*given, **named)

        return stopped

    def stop(self, name: str) -> None:
        """Say which step is next, and wait until it may be taken."""
        self.pipe.send((False, name))
        self.pipe.recv()


class Stepped:
    """A process that takes one publishing step at a time.

    Args:
        name: of the process, `a` or `b`.
        work: what it does, each time that it is begun.

    Attributes:
        ended: whether it has ended.
        at: the step before which it stands, or what it said at its end.
    """

    def __init__(self, name: str, work: Work) -> None:
        context = multiprocessing.get_context("fork")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_obey, args=(theirs, work, name), daemon=True)
        self.process.start()
        theirs.close()

    def begin(self, folder: Path) -> None:
        """Let it come to its first step."""
        self.pipe.send(folder)
        self.ended, self.at = self.pipe.recv()

    def step(self) -> None:
        """Let it take the step before which it stands, and come to the next; `at` says where it is or how it ended."""
        self.pipe.send(None)
        self.ended, self.at = self.pipe.recv()

    def close(self) -> None:
        """SIGKILL where it stands."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _obey(pipe: Connection, work: Work, name: str) -> None:
    stopping = Stopping(pipe)
    files.os = outputs.os = stopping  # type: ignore[assignment]

    class Lock(outputs.FileLock):  # type: ignore[misc]
        def acquire(self, *given: object, **named: object) -> object:
            stopping.stop("lock")
            return super().acquire(*given, **named)  # type: ignore[arg-type]

        def release(self, *given: object, **named: object) -> None:
            if self.is_locked:  # it is called again when the object goes
                stopping.stop("release")
            super().release(*given, **named)  # type: ignore[arg-type]

    outputs.FileLock = Lock  # type: ignore[misc]
    while True:
        folder = pipe.recv()
        try:
            work(folder, name)
            said = "done"
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
        pipe.send((True, said))


def every_order(
    work: Work, fresh_folder: Callable[[], Path], at_random: int | None = None
) -> Iterator[tuple[Path, str, dict[str, str]]]:
    """Let two processes do the same work in one folder, in each order of their steps.

    Args:
        work: what each of them does.
        fresh_folder: makes a folder for each order.
        at_random: so many orders, drawn at random; None: all that there are.

    Yields:
        The folder when both have ended, the order (such as `aab`), and what each said at its end.
    """
    both = {name: Stepped(name, work) for name in "ab"}
    draw = random.Random(0)
    pending = [""] * (at_random or 1)
    try:
        for process in both.values():  # once alone: what is remembered outside of the folder takes no steps later
            process.begin(fresh_folder())
            while not process.ended:
                process.step()
        while pending:
            prefix, order, folder = pending.pop(), "", fresh_folder()
            for process in both.values():
                process.begin(folder)
            while alive := [name for name in "ab" if not both[name].ended]:
                if at_random:
                    chosen = draw.choice(alive)
                elif len(order) < len(prefix):
                    chosen = prefix[len(order)]
                    assert chosen in alive, f"{order}: the same order took other steps before"
                else:
                    chosen = alive[0]
                    pending += [f"{order}b"] * (len(alive) == 2)
                both[chosen].step()
                order += chosen
            yield folder, order, {name: str(process.at) for name, process in both.items()}
    finally:
        for process in both.values():
            process.close()


def killed_at_every_step(
    work: Work, fresh_folder: Callable[[], Path], again: Callable[[Path], None], stride: int = 1
) -> Iterator[tuple[Path, str]]:
    """Kill a process before each of its steps in turn, and do the work once more.

    Args:
        work: what the process does.
        fresh_folder: makes a folder for each kill.
        again: does the work once more.
        stride: steps from one kill to the next.

    Yields:
        The folder after that, and the step before which it was killed.
    """
    count, ended = 0, False
    while not ended:
        process, folder = Stepped("a", work), fresh_folder()
        try:
            process.begin(folder)
            for _ in range(count):
                if not process.ended:
                    process.step()
            ended, at = process.ended, f"{count}: {process.at}"
        finally:
            process.close()
        again(folder)
        yield folder, at
        count += stride
