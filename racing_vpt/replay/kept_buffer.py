"""A replay buffer over the life of a run: opened, saved beside the checkpoints, and restored where the run goes on."""

from __future__ import annotations

import logging
from pathlib import Path

from racing_vpt.replay.buffer import ReplayBuffer
from racing_vpt.replay.buffer_files import ReplayFiles

log = logging.getLogger(__name__)


class KeptBuffer:
    """The buffer of a data module and its saved states.

    Args:
        keep: save the buffer with each checkpoint; otherwise it is filled anew when a run goes on.
    """

    def __init__(self, keep: bool) -> None:
        self.keep = keep
        self.buffer: ReplayBuffer | None = None
        self._files: ReplayFiles | None = None
        self._restored: dict[str, object] = {}  # the state of a checkpoint, once it was read

    def open(self, buffer: ReplayBuffer, folder: Path | None) -> ReplayBuffer:
        """Take a buffer, its demonstrations in it, and restore it where a checkpoint was read.

        Args:
            buffer: an empty one.
            folder: of its saved states; None: it is not saved.

        Raises:
            FileNotFoundError: the saved buffer is gone.
            ValueError: the saved buffer has other options, or is damaged.
        """
        self.buffer = buffer
        self._files = None if folder is None else ReplayFiles(folder, buffer)
        self._resume()
        return buffer

    def state_dict(self) -> dict[str, object]:
        """How many batches were drawn, and the name of the buffer's state, which is saved now."""
        state: dict[str, object] = {"draws": 0 if self.buffer is None else self.buffer.draws}
        if self.keep and self._files is not None:
            state["buffer"] = self._files.save()
        return state

    def load_state_dict(self, state_dict: dict[str, object]) -> None:
        """Restore the buffer, now or once it is opened."""
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
