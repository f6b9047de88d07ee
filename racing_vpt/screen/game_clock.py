"""The clock of a game: the real one, or one that stands still between the steps of an environment (libfaketime)."""

from __future__ import annotations

import os
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from racing_vpt.screen.draws import Draws

FOLDERS = "/usr/lib/*/faketime", "/usr/lib/faketime", "/usr/local/lib/faketime"
LOADING_DRAW = 0.3  # seconds that a menu waits for it
START = datetime(2020, 1, 1, tzinfo=UTC)
SLOWEST_DRAW = 10.0  # seconds that a step waits for the game to draw


class RealClock:
    """Time as it is: a step takes as long as it says."""

    def __init__(self) -> None:
        self._due = time.monotonic()
        self.num_late = 0

    @property
    def environment(self) -> dict[str, str]:
        """Variables that a game needs in its environment."""
        return {}

    def restart(self) -> None:
        """Steps count from now on."""
        self._due, self.num_late = time.monotonic(), 0

    def step(self, seconds: float, draws: Draws | None) -> None:
        """Wait until the step is over; a step that was late already is counted and does not wait."""
        self._due += seconds
        late = time.monotonic() - self._due
        if late > seconds:
            self.num_late, self._due = self.num_late + 1, time.monotonic()
        time.sleep(max(0.0, -late))

    def wait(self, seconds: float, draws: Draws | None = None) -> None:
        """Let so much time of the game pass."""
        time.sleep(seconds)

    def close(self) -> None:
        """Nothing is held."""


class StepClock:
    """The game's time passes only in steps, however long the driver thinks and the game draws.

    libfaketime reads the time from a file at each of the game's calls. After the time has moved on by a step, the
    second picture that is drawn is the first that certainly shows it.

    Raises:
        ValueError: libfaketime is not installed.
    """

    def __init__(self) -> None:
        libraries = [found for folder in FOLDERS for found in Path("/").glob(f"{folder[1:]}/libfaketimeMT.so.1")]
        if not libraries:
            raise ValueError("a game's clock is stopped by libfaketime; on Debian and Ubuntu: apt-get install faketime")
        self._library, self._now, self.num_late = str(libraries[0]), 0.0, 0
        self._folder = tempfile.TemporaryDirectory(prefix="racing-vpt-clock-")
        self._path = f"{self._folder.name}/time"
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT)
        self._write()

    @property
    def environment(self) -> dict[str, str]:
        """Variables that a game needs in its environment."""
        return {
            "LD_PRELOAD": self._library,
            "FAKETIME_TIMESTAMP_FILE": self._path,
            "FAKETIME_NO_CACHE": "1",
            "TZ": "UTC",
        }

    def restart(self) -> None:
        """Nothing is to be done: no time passes by itself."""
        self.num_late = 0

    def step(self, seconds: float, draws: Draws | None) -> None:
        """Let a step pass, and wait until the game has drawn it."""
        if draws is not None:
            draws.wait(1 << 30, 0.0)  # pictures of before
        self._now += seconds
        self._write()
        if draws is not None:
            self.num_late += draws.wait(2, SLOWEST_DRAW) < 2

    def wait(self, seconds: float, draws: Draws | None = None) -> None:
        """Let so much time of the game pass, no faster than the real one; a game that loads draws nothing meanwhile."""
        if draws is not None:
            draws.wait(1 << 30, 0.0)
        self._now += seconds
        self._write()
        time.sleep(seconds)
        if draws is not None:
            draws.wait(2, LOADING_DRAW)

    def close(self) -> None:
        """Remove the file."""
        os.close(self._file)
        self._folder.cleanup()

    def _write(self) -> None:
        moment = START + timedelta(seconds=self._now)
        text = moment.strftime("%Y-%m-%d %H:%M:%S.%f") + "\n"  # always as long, so that no half of it is ever read
        os.pwrite(self._file, text.encode(), 0)


GameClock = RealClock | StepClock
