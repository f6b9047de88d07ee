"""A process that releases keys and ends games when the one that pressed and started them is gone, for whatever reason.

A key pressed by XTest stays down when the program that pressed it is killed, and the car of a person would drive on.
Lines on its standard input say what is to be undone: `+38` a keycode that is about to be pressed, `-38` one that was
released, `kill 1234` a process group. When the input ends or the parent changes, everything that is left is undone.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from contextlib import suppress

from Xlib import X
from Xlib.display import Display
from Xlib.ext import xtest

from racing_vpt.screen.display import GONE, open_display


class Watchdog:
    """The process, as its parent holds it.

    Args:
        display: name of the display on which keys are pressed.
    """

    def __init__(self, display: str) -> None:
        words = [sys.executable, "-m", "racing_vpt.screen.watchdog", display]
        # A session of its own: a Ctrl-C in the terminal is for the parent, and the watchdog stays to clean up after it.
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, start_new_session=True
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            raise ValueError(f"the watchdog over the keys of {display} did not start")

    def tell(self, line: str) -> None:
        """Say what is to be undone, or need no longer be.

        Raises:
            ValueError: the watchdog is gone; nothing must be pressed without it.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
        except (BrokenPipeError, ValueError) as error:
            raise ValueError("the watchdog that releases keys was ended; no key is pressed without it") from error

    def close(self) -> None:
        """Let it undo what is left, and end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def watch(display: Display) -> None:
    """Read what is to be undone until the input ends or the parent is gone; then undo it."""
    parent, held, groups, rest = os.getppid(), set[int](), set[int](), b""
    print("ready", flush=True)
    while os.getppid() == parent:
        if not select.select([0], [], [], 0.5)[0]:
            continue
        given = os.read(0, 4096)
        if not given:
            break
        *lines, rest = (rest + given).split(b"\n")
        for line in lines:
            if line.startswith(b"kill "):
                groups.add(int(line[5:]))
            elif line.startswith(b"done "):
                groups.discard(int(line[5:]))
            else:
                (held.add if line[:1] == b"+" else held.discard)(int(line[1:]))
    with suppress(*GONE):
        for code in held:
            xtest.fake_input(display, X.KeyRelease, code)
        display.sync()
    for group in groups:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGCONT)
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    watch(open_display(sys.argv[1]))
