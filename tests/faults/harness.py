"""What the tests of faults share: processes that are killed, and the table of what was tried.

Within `make test` each fault is tried a few times; `make test-faults` (RACING_VPT_FAULTS=full) tries it as often as the
page says, and prints the table.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

from tests.faults.nth_call import preloaded

FULL = os.environ.get("RACING_VPT_FAULTS") == "full"
PRELOADED = ["racing_vpt.cli.stages", "racing_vpt.models.idm", "racing_vpt.models.vpt", "racing_vpt.callbacks.labels",
             "racing_vpt.callbacks.finite_guard", "racing_vpt.callbacks.stop_signals",
             "racing_vpt.callbacks.checkpoint_io", "racing_vpt.data.packing", "racing_vpt.agents.expert",
             "racing_vpt.envs", "racing_vpt.rollout", "racing_vpt.checkpoints", "tensorboard.summary.writer",
             "torch.utils.tensorboard", "decord", "attrs", "webdataset", "gymnasium.envs.box2d", "racing_vpt.envs.make",
             "racing_vpt.rollout.episodes", "racing_vpt.callbacks.environment", "tests.faults.frozen"]  # fmt: skip


def tries(full: int, short: int) -> int:
    """Number of tries of a fault: `full` in `make test-faults`, `short` in `make test`."""
    return full if FULL else short


@dataclass
class Row:
    """One line of the table: a fault, how often it was tried, and how often what must hold did."""

    fault: str
    tries: int
    survived: int


TABLE: list[Row] = []


def note(fault: str, tried: int, survived: int) -> None:
    """Add a line to the table; a control, which is meant to fail, says so in its name."""
    TABLE.append(Row(fault, tried, survived))


def fresh(work: Callable[..., None], *given: object) -> BaseProcess:
    """A process that runs `work`, forked from one that has imported everything: it starts in milliseconds."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    process = context.Process(target=work, args=given)
    with preloaded():  # matters for the first one, with which the server starts
        process.start()
    return process


def kill_while(work: Callable[..., None], *given: object, begun: Callable[[], bool], most_seconds: float = 0.5) -> None:
    """Run `work` in a fresh process and kill it (SIGKILL) at a random moment after `begun()`.

    Args:
        work: a function of a module; it never ends by itself.
        given: its arguments.
        begun: whether the process has come to what it is to be killed in.
        most_seconds: the moment is uniform in [0, most_seconds) after that.
    """
    process = fresh(work, *given)
    wait_until(begun, process)
    time.sleep(random.uniform(0, most_seconds))
    process.kill()
    process.join()


def wait_until(begun: Callable[[], bool], process: BaseProcess, seconds: float = 90) -> None:
    """Wait for an effect of a process; AssertionError if the process ends before."""
    deadline = time.monotonic() + seconds
    while not begun():
        assert process.is_alive(), f"the process ended with {process.exitcode} before it was killed"
        assert time.monotonic() < deadline, "the process did not begin"
        time.sleep(0.002)


def command(*words: str, log: Path, display: str = "") -> BaseProcess:
    """Start a `racing-vpt` command in its own session, with its output in `log`, and an X display."""
    return fresh(run_command, words, log, display)


def run_command(words: tuple[str, ...], log: Path, display: str = "") -> None:
    """In a process of the server: run a command line and exit with its status."""
    from racing_vpt.cli.main import main

    os.setsid()
    if display:  # the server of these processes was started without
        os.environ["DISPLAY"] = display
    torch.set_num_threads(1)
    multiprocessing.set_start_method("fork", force=True)  # as in a process that was started from a shell
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.stdout, sys.stderr = open(1, "w", buffering=1), open(2, "w", buffering=1)  # noqa: SIM115
    sys.exit(main(words))


def kill_session(process: BaseProcess) -> None:
    """SIGKILL a command and all its processes."""
    for number in [process.pid, *session_of(process)]:
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    process.join()


def session_of(process: BaseProcess) -> list[int]:
    """Ids of the living processes that a `command` started, itself included."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state, _, _, session = (folder / "stat").read_text().rsplit(")", 1)[1].split()[:4]
            if int(session) == process.pid and state != "Z":
                found.append(int(folder.name))
    return found


def none_left(process: BaseProcess, seconds: float = 10.0) -> bool:
    """Whether no process of a command is alive after a time."""
    deadline = time.monotonic() + seconds
    while (left := session_of(process)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not left


def table() -> str:
    """All rows as a Markdown table."""
    lines = ["| fault | tries | survived | lost |", "|---|---|---|---|"]
    lines += [f"| {row.fault} | {row.tries} | {row.survived} | {row.tries - row.survived} |" for row in TABLE]
    return "\n".join(lines)
