"""One recording of a window: encoded in a thread, so that the next picture is taken in time."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from racing_vpt.play.take import Take
from racing_vpt.screen.watch import Seen
from racing_vpt.types import Controls, Frame

WAITING_SECONDS = 2.0  # of frames that may wait for the encoder; then pictures are missed, and said to be


class ScreenTake:
    """Records frames until the window changes or somebody pauses.

    Args:
        take: the recording.
        begun: time of its first frame, as `time.monotonic()`.
    """

    def __init__(self, take: Take, begun: float) -> None:
        self.take, self.begun = take, begun
        self.num_frames = self.num_unchanged = 0
        self.late: list[int] = []
        self._last: Frame | None = None
        self._thread = ThreadPoolExecutor(1)
        self._waiting: deque[Future[None]] = deque()
        self._most = max(1, round(WAITING_SECONDS * take.writer.frames_per_second))

    def add(self, seen: Seen, controls: Controls) -> None:
        """Add a frame; raises what the writer raised at an earlier one, such as an OSError of the disk."""
        assert seen.frame is not None
        if seen.late:
            self.late.append(self.num_frames)
        elif self._last is not None and np.array_equal(self._last, seen.frame):
            self.num_unchanged += 1
        while self._waiting and (len(self._waiting) > self._most or self._waiting[0].done()):
            self._waiting.popleft().result()
        first, self._last = self.num_frames == 0, seen.frame
        self._waiting.append(
            self._thread.submit(
                self.take.add, seen.frame, controls, None, first, True, timestamp=max(0.0, seen.seconds - self.begun)
            )
        )
        self.num_frames += 1

    def finish(self) -> Path | None:
        """Publish what was recorded; returns the path of the video, or None if there are no frames."""
        try:
            while self._waiting:
                self._waiting.popleft().result()
            self.take.writer.meta |= self.counts()
            return self.take.close()
        except BaseException:
            self.take.abort()
            raise
        finally:
            self._thread.shutdown()

    def counts(self) -> Mapping[str, object]:
        """Fields of the meta file: frames dropped (and repeated), and pictures that the game did not change."""
        return {"dropped_frames": self.late, "unchanged_frames": self.num_unchanged}
