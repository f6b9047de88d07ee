"""Starts a game in a display, with files and choices of its own, and ends it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from string import Template

import numpy as np

from racing_vpt.games.screen import Program

LAST_LINES = 5  # of what a game said, in an error
SECONDS_TO_END = 3.0  # between asking a game to end and ending it
SETUP_SECONDS = 60.0


class GameProcess:
    """A running game. Its `$home` is a temporary folder.

    Args:
        program: how it is started.
        display: name of its display.
        values: values for `$NAME` besides `home` and `display`, such as `width`, `height` and `seed`.
        environment: further variables of its environment.

    Raises:
        ValueError: it cannot be started, its setup fails, or it names a value that is not given.
    """

    def __init__(
        self, program: Program, display: str, values: Mapping[str, str], environment: Mapping[str, str] | None = None
    ) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="racing-vpt-game-"))
        self._values = {**values, "home": str(self.home), "display": display}
        self._output = self.home / "output.txt"
        try:
            around = {**os.environ, "DISPLAY": display, "HOME": str(self.home)}
            around |= {name: self.filled(value) for name, value in program.environment.items()} | dict(
                environment or {}
            )
            if program.setup:
                self._run_setup([self.filled(word) for word in program.setup], around)
            for name, content in program.files.items():
                path = Path(self.filled(name))
                if not path.is_relative_to(self.home):
                    raise ValueError(f"screen.program.files names {name}; expected files in $home")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(self.filled(content))
            words = [self.filled(word) for word in program.command]
            with self._output.open("wb") as output:
                self.process = subprocess.Popen(
                    words, cwd=self.filled(program.folder), env=around, stdin=subprocess.DEVNULL, stdout=output,
                    stderr=subprocess.STDOUT, start_new_session=True,
                )  # fmt: skip
        except BaseException:
            shutil.rmtree(self.home, ignore_errors=True)
            raise

    def filled(self, text: str) -> str:
        """The text with the values for `$NAME`."""
        try:
            return Template(text).substitute(self._values)
        except (KeyError, ValueError) as error:
            raise ValueError(
                f"{text[:60]!r} in screen.program names a value that is not given ({error}); there are "
                f"{', '.join('$' + name for name in sorted(self._values))}, and $$ for a dollar sign"
            ) from error

    @property
    def runs(self) -> bool:
        """Whether it runs."""
        return self.process.poll() is None

    def last_words(self) -> str:
        """The last lines that it printed."""
        lines = self._output.read_text(errors="replace").strip().splitlines()[-LAST_LINES:]
        return " / ".join(line.strip() for line in lines) or "it printed nothing"

    def close(self) -> None:
        """End it, with all processes that it started, and remove its folder."""
        for kind, seconds in ((signal.SIGTERM, SECONDS_TO_END), (signal.SIGKILL, None)):
            try:
                os.killpg(self.process.pid, kind)
                self.process.wait(seconds)
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue
        self.process.wait()
        shutil.rmtree(self.home, ignore_errors=True)

    def _run_setup(self, words: list[str], around: Mapping[str, str]) -> None:
        try:
            done = subprocess.run(
                words, cwd=self.home, env=around, capture_output=True, text=True, timeout=SETUP_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ValueError(f"the game's setup {words[0]} failed: {error}") from error
        if done.returncode:
            said = (done.stderr or done.stdout).strip().rsplit("\n", 1)[-1]
            raise ValueError(f"the game's setup {words[0]} ended with status {done.returncode}: {said}")


def check_program(program: Program) -> None:
    """Raise ValueError, which says what to install, unless a game's program is there."""
    word = program.command[0]
    if "$" not in word and shutil.which(word) is None:
        raise ValueError(f"the game's program {word} is not installed" + f"; {program.install}" * bool(program.install))


def choose(program: Program, seed: int, given: Mapping[str, str]) -> dict[str, str]:
    """One value of each of a program's choices.

    Args:
        program: its choices.
        seed: the episode's.
        given: values that were asked for, which need not be among the choices.

    Raises:
        ValueError: a given name is none of the choices.
    """
    unknown = [name for name in given if name not in program.choices]
    if unknown:
        raise ValueError(f"the game has no option {unknown[0]!r}; it has: {', '.join(program.choices) or 'none'}")
    drawn = np.random.default_rng(seed)
    chosen = {name: values[int(drawn.integers(len(values)))] for name, values in program.choices.items()}
    return {**chosen, **given}
