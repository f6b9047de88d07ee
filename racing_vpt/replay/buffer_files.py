"""Replay buffer on disk: plain .npy files, and one JSON file per saved state that lists them.

Frames are stored in chunks of rows; a save writes only chunks that changed since the last one. Files of a saved state
are never changed; the JSON file is written last. The two newest states are kept, because the newest training checkpoint
may be lost in a crash and the previous one needed.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
from pathlib import Path

import numpy as np

from racing_vpt.files import plain_name, published, read_json, write_json
from racing_vpt.replay.buffer import ReplayBuffer
from racing_vpt.replay.priorities import Drawn
from racing_vpt.replay.ring import Ring

FORMAT = 1
CHUNK_BYTES = 1 << 25  # rows of frames in a file
KEPT = 2  # saved states
ENDS = ("terminated", "truncated", "first", "valid")
COLUMNS = ("actions", "shown", "rewards", *ENDS, "depth", "span", "waiting", "cut")
OWN = re.compile(r"replay-\d{8}\.json|[a-z]+(_priorities)?\d*-\d{8}\.npy")  # names of the files of states
log = logging.getLogger(__name__)


class ReplayFiles:
    """Saved states of one buffer in one folder.

    Args:
        folder: created if missing; other files in it are kept.
        buffer: the buffer that is saved and loaded.
    """

    def __init__(self, folder: Path, buffer: ReplayBuffer) -> None:
        self.folder, self.buffer = folder, buffer
        ring = buffer.experience.ring
        self.chunk_rows = max(1, CHUNK_BYTES // (ring.frames[0].nbytes * ring.lanes))
        self._states: list[dict] = []  # saved states of this run, newest last
        self._saved: list[object] = []  # detects changes since the newest

    def save(self) -> str:
        """Save the buffer's state; returns its name, which is the last one's if nothing changed.

        Raises:
            OSError: the disk is full; earlier states are untouched.
        """
        buffer, ring = self.buffer, self.buffer.experience.ring
        now: list[object] = [ring.steps, buffer.draws, buffer.changes]
        if self._states and self._saved == now:
            return str(self._states[-1]["name"])
        name = f"{self._next():08d}"
        steps_before, chunks = 0, {}
        if self._states:
            steps_before, chunks = self._states[-1]["steps"], dict(self._states[-1]["chunks"])
        rows = np.arange(max(steps_before, ring.steps - ring.rows), ring.steps) % ring.rows
        dirty = np.unique(rows // self.chunk_rows)
        columns = self._columns()
        self._check_room(sum(column.nbytes for column in columns.values()) + len(dirty) * CHUNK_BYTES)
        files = {}
        for column, values in columns.items():
            files[column] = self._write(f"{column}-{name}.npy", values)
        for chunk in dirty.tolist():
            chunks[str(chunk)] = self._write(f"frames{chunk}-{name}.npy", ring.frames[self._slots(chunk)])
        state = {
            "format": FORMAT,
            "name": name,
            "shape": _shape(ring),
            "steps": ring.steps,
            "count": ring.count,
            "draws": buffer.draws,
            "alpha": buffer.experience.alpha,
            "highest": {part: drawn.highest for part, drawn in self._drawn().items()},
            "slots": {part: drawn.ring.size for part, drawn in self._drawn().items()},
            "columns": files,
            "chunks": chunks,
        }
        write_json(self.folder / f"replay-{name}.json", state)
        self._states, self._saved = [*self._states[1 - KEPT :], state], now
        self._tidy()
        return name

    def load(self, name: str) -> None:
        """Restore a saved state; demonstrations must have been added before.

        Raises:
            FileNotFoundError: the state does not exist.
            ValueError: it belongs to another buffer, or is damaged.
        """
        file = self.folder / f"replay-{name}.json"
        if not file.is_file():
            raise FileNotFoundError(
                f"there is no saved replay buffer {file}; give --data.keep_buffer false to fill a new one"
            )
        state, ring = read_json(file), self.buffer.experience.ring
        if state.get("format") != FORMAT or state.get("shape") != json.loads(json.dumps(_shape(ring))):
            raise ValueError(
                f"{file} holds a buffer of {state.get('shape')}, but {_shape(ring)} is asked for; take the options "
                "that the run began with, or give --data.keep_buffer false to fill a new one"
            )
        for chunk, path in state["chunks"].items():
            slots = self._slots(int(chunk))
            ring.frames[slots] = self._read(path, ring.frames[slots])
        targets = self._columns()
        for column in COLUMNS:
            if column not in state["columns"]:  # earlier states lack `shown`
                continue
            targets[column][:] = self._read(state["columns"][column], targets[column])
        ring.steps, ring.count, self.buffer.draws = state["steps"], state["count"], state["draws"]
        for part, drawn in self._drawn().items():
            if drawn.tree is None:
                continue
            if state["alpha"] == drawn.alpha and state["slots"].get(part) == drawn.ring.size:
                drawn.tree.fill(self._read(state["columns"][f"{part}_priorities"], drawn.tree.leaves))
                drawn.highest = state["highest"][part]
            else:
                log.warning("the priorities of %s in %s are of another alpha or data; all become alike", part, file)
                drawn.tree.fill((drawn.ring.span > 0).astype(np.float64))
        self._states, self._saved = [state], [ring.steps, self.buffer.draws, self.buffer.changes]

    def _drawn(self) -> dict[str, Drawn]:
        parts = {"experience": self.buffer.experience, "demonstrations": self.buffer.demonstrations}
        return {name: drawn for name, drawn in parts.items() if drawn is not None}

    def _columns(self) -> dict[str, np.ndarray]:
        ring = self.buffer.experience.ring
        columns = {name: getattr(ring, name) for name in COLUMNS}
        trees = {f"{name}_priorities": drawn.tree for name, drawn in self._drawn().items()}
        return columns | {name: tree.leaves for name, tree in trees.items() if tree is not None}

    def _slots(self, chunk: int) -> slice:
        ring = self.buffer.experience.ring
        return slice(chunk * self.chunk_rows * ring.lanes, (chunk + 1) * self.chunk_rows * ring.lanes)

    def _write(self, name: str, values: np.ndarray) -> str:
        with published(self.folder / name) as temporary, temporary.open("wb") as file:
            np.save(file, values, allow_pickle=False)
        return name

    def _read(self, name: str, like: np.ndarray) -> np.ndarray:
        """The memory-mapped array of a file; ValueError if its shape or type is unexpected."""
        if not plain_name(name, ".npy"):
            raise ValueError(f"a saved state in {self.folder} names {str(name)[:80]!r}; its files lie beside it")
        path = self.folder / name
        try:
            values = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError, OSError) as error:
            raise ValueError(
                f"{path} cannot be read: {error}; give --data.keep_buffer false to fill a new buffer"
            ) from error
        if values.shape != like.shape or values.dtype != like.dtype:
            raise ValueError(
                f"{path} holds {values.dtype} {list(values.shape)} where {like.dtype} {list(like.shape)} should be; "
                "give --data.keep_buffer false to fill a new buffer"
            )
        return values

    def _check_room(self, needed: int) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            raise OSError(
                f"saving the replay buffer needs {needed / 2**20:.0f} MiB, but {self.folder} has {free / 2**20:.0f} "
                "MiB free; make room, or give --data.keep_buffer false"
            )

    def _next(self) -> int:
        names = [path.stem.removeprefix("replay-") for path in self.folder.glob("replay-*.json")]
        return 1 + max((int(name) for name in names if name.isdecimal()), default=0)

    def _tidy(self) -> None:
        """Remove files that no kept state lists."""
        named = {f"replay-{state['name']}.json" for state in self._states}
        for state in self._states:
            named |= {*state["columns"].values(), *state["chunks"].values()}
        for path in self.folder.iterdir():
            if OWN.fullmatch(path.name) and path.name not in named:
                path.unlink()


def _shape(ring: Ring) -> list[object]:
    """Properties that a saved state must share with this ring."""
    actions = [str(ring.actions.dtype), *ring.actions.shape[1:]]
    return [ring.rows, ring.lanes, ring.stack, ring.n_step, list(ring.frames.shape[1:]), actions]
