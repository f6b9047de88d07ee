"""Progress over episodes and frames, also before the first episode has ended."""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from tqdm import tqdm

from racing_vpt.rollout.frame_count import FrameCount

REDRAW_SECONDS, LINE_SECONDS = 0.5, 30.0  # on a terminal, and where output goes to a file


class EpisodeProgress:
    """`0 of 2 episodes, 340 frames, 120 frames/s, at most 00:14 left`, redrawn by a thread while processes drive.

    Args:
        title: text before the progress.
        seeds: seeds of the episodes.
        longest: length of the longest possible episode in frames; None: unknown.
    """

    def __init__(self, title: str, seeds: Sequence[int], longest: int | None) -> None:
        self.title, self.seeds, self.longest = title, seeds, longest
        self.done = self.done_frames = 0
        self.note = ""

    def __enter__(self) -> EpisodeProgress:
        self.folder = tempfile.TemporaryDirectory(prefix="racing-vpt-")
        self.file = Path(self.folder.name) / "frames"
        self.count = FrameCount(self.file, self.seeds)
        self.began: tuple[float, int] | None = None  # when the first frames were seen, and how many
        self.pause = REDRAW_SECONDS if sys.stderr.isatty() else LINE_SECONDS
        self.bar = tqdm(bar_format="{desc}", desc=self.line())
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._redraw, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.ended.set()
        self.thread.join()
        self.bar.set_description_str(self.line())
        self.bar.close()
        self.folder.cleanup()

    def episode(self, text: str, frames: int, note: str) -> None:
        """Report the end of an episode.

        Args:
            text: line about it; empty: none.
            frames: its length in frames.
            note: text behind the progress from now on.
        """
        self.done, self.done_frames, self.note = self.done + 1, self.done_frames + frames, note
        if text:
            self.bar.write(text)

    def line(self) -> str:
        """Current text of the bar."""
        frames, now = self.count.total(), time.monotonic()
        if frames and self.began is None:
            self.began = now, frames
        parts = [f"{self.title}: {self.done} of {len(self.seeds)} episodes"]
        parts.append(f"{frames:,} frames" if frames else "starting")
        rate = (frames - self.began[1]) / max(now - self.began[0], 1e-9) if self.began else 0.0
        if rate > 0:
            parts.append(f"{rate:.0f} frames/s")
        if rate > 0 and self.longest is not None and self.done < len(self.seeds):
            most = self.done_frames + (len(self.seeds) - self.done) * self.longest
            parts.append(f"at most {tqdm.format_interval((most - frames) / rate)} left")
        return ", ".join(parts + [self.note] * bool(self.note))

    def _redraw(self) -> None:
        while not self.ended.wait(self.pause):
            self.bar.set_description_str(self.line())


def longest_episode(env: str, max_frames: int | None) -> int | None:
    """Length of an environment's longest episode in frames, if known."""
    import gymnasium

    limit = gymnasium.spec(env).max_episode_steps if env in gymnasium.registry else None
    limits = [number for number in (limit, max_frames) if number is not None]
    return min(limits) if limits else None
