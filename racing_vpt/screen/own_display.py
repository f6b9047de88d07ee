"""A display of its own for a game: Xvfb, which draws in memory."""

from __future__ import annotations

import os
import subprocess
import tempfile

from racing_vpt.screen.installed import check_programs


class OwnDisplay:
    """A running Xvfb; a context manager.

    Args:
        width: pixels.
        height: pixels.

    Raises:
        ValueError: Xvfb is not installed, or does not start; the message has its own words.
    """

    def __init__(self, width: int, height: int) -> None:
        check_programs("Xvfb")
        reading, writing = os.pipe()
        words = [
            "Xvfb",
            "-displayfd",
            str(writing),
            "-screen",
            "0",
            f"{width}x{height}x24",
            "-nolisten",
            "tcp",
            "-noreset",
        ]
        with tempfile.TemporaryFile() as said:
            self.process = subprocess.Popen(
                words, pass_fds=[writing], stdout=subprocess.DEVNULL, stderr=said, start_new_session=True
            )
            os.close(writing)
            with os.fdopen(reading) as file:
                number = file.readline().strip()  # written once it accepts connections
            if not number:
                self.process.wait()
                said.seek(0)
                last = said.read().decode("utf-8", "replace").strip().rsplit("\n", 1)[-1]
                raise ValueError(f"Xvfb, the display for the game, did not start: {last}")
        self.name = f":{number}"

    def close(self) -> None:
        """End it, and with it whatever still draws on it."""
        self.process.terminate()
        self.process.wait()

    def __enter__(self) -> OwnDisplay:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
