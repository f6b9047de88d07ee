"""Replay buffer of a run: opened, saved with the checkpoints, and restored when the run is resumed."""

from __future__ import annotations

import logging
from pathlib import Path

from racing_vpt.replay.buffer import ReplayBuffer
from racing_vpt.replay.buffer_files import ReplayFiles

log = logging.getLogger(__name__)


class KeptBuffer:
    """The buffer of a data module and its saved states.

    Args:
        keep: save the buffer with each checkpoint; otherwise a resumed run starts with an empty one.
    """

    def __init__(self, keep: bool) -> None:
        self.keep = keep
        self.buffer: ReplayBuffer | None = None
        self._files: ReplayFiles | None = None
        self._restored: dict[str, object] = {}  # state from a checkpoint, after it was loaded

    def open(self, buffer: ReplayBuffer, folder: Path | None) -> ReplayBuffer:
        """Take a buffer that contains only demonstrations, and restore it if a checkpoint was loaded.

        Args:
            buffer: the buffer.
            folder: folder of its saved states; None: it is not saved.

        Raises:
            FileNotFoundError: the saved buffer does not exist.
            ValueError: the saved buffer has other options, or is damaged.
        """
        self.buffer = buffer
        self._files = None if folder is None else ReplayFiles(folder, buffer)
        self._resume()
        return buffer

    def state_dict(self) -> dict[str, object]:
        """Save the buffer; number of sampled batches, and the name of the saved state."""
        state: dict[str, object] = {"draws": 0 if self.buffer is None else self.buffer.draws}
        if self.keep and self._files is not None:
            state["buffer"] = self._files.save()
        return state

    def load_state_dict(self, state_dict: dict[str, object]) -> None:
        """Restore the buffer, now or when it is opened."""
        self._restored = state_dict
        if self.buffer is not None:
            self._resume()

    def _resume(self) -> None:
        if not self._restored:
            return
        assert self.buffer is not None, "restored before it was opened"
        name, self.buffer.draws = self._restored.get("buffer"), int(str(self._restored["draws"]))
        if self.keep and isinstance(name, str) and self._files is not None:
            self._files.load(name)
        else:
            log.info("the replay buffer was not kept, or is not wanted: it is filled anew before learning goes on")
