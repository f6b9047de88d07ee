"""Environments that step in processes of their own while the learner learns.

All lanes take one decision together: `act` hands the actions over and returns at once, `collect` waits for what came of
them. A process that dies or hangs is replaced, and its lanes begin new episodes.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait

import numpy as np

from racing_vpt.rollout.lanes import LaneSpec, LaneStates, lanes_in, serve_lanes, shared_memory
from racing_vpt.worker_processes import MOST_DEATHS, Member, dismiss, employ

SECONDS = 600.0  # for a decision, then a process is believed to hang; to start takes minutes where cores are busy
log = logging.getLogger(__name__)


class Actors:
    """N lanes in some processes.

    Args:
        lane_spec: what is done in each lane.
        lanes: N.
        workers: processes, which share the lanes out evenly.
        episodes: int64 [N], episodes that the lanes have begun before (in the run that is continued).
        running: what was done so far, [T, ...], in the episode that each lane was in, so that it goes on with it: it is
            driven once more. None, or None for a lane: it begins a new one.
    """

    def __init__(
        self,
        lane_spec: LaneSpec,
        lanes: int,
        workers: int,
        episodes: np.ndarray | None = None,
        running: Sequence[np.ndarray | None] | None = None,
    ) -> None:
        if not 1 <= workers <= lanes:
            raise ValueError(f"workers share lanes out, so expected 1 to {lanes} of them, but {workers} was given")
        self.lane_spec, self.num_lanes = lane_spec, lanes
        self.shares = [list(map(int, share)) for share in np.array_split(np.arange(lanes), workers)]
        self.memory = shared_memory(lanes, lane_spec)
        self.now = lanes_in(self.memory, lane_spec)
        if episodes is not None:
            self.now.episodes[:] = episodes
        self.running: list[np.ndarray | None] = [None] * lanes if running is None else list(running)
        self.members: list[Member | None] = [None] * workers
        self.deaths = [0] * workers

    def start(self) -> LaneStates:
        """Begin an episode in each lane, or go on with the one that was running."""
        for slot in range(len(self.members)):
            self._employ(slot)
        now, _ = self.collect()
        self.running = [None] * self.num_lanes  # who takes a dead process' place begins anew
        return now

    def act(self, actions: np.ndarray) -> None:
        """Hand actions int64 [N], or float32 [N, A], over; the processes go on by themselves."""
        self.now.actions[:] = actions
        for member in self.members:
            assert member is not None, "start() comes first"
            with suppress(OSError):  # it is dead, which `collect` notices
                member[1].send_bytes(b"")

    def collect(self) -> tuple[LaneStates, np.ndarray]:
        """What came of the actions, and whose process died, bool [N]: those lanes see a new episode's first frame.

        Raises:
            Exception: whatever went wrong in a process.
            RuntimeError: one died again and again.
        """
        broken = np.zeros(self.num_lanes, bool)
        waited_for: Sequence[int] = range(len(self.members))
        while waited_for := self._await(waited_for):
            for slot in waited_for:
                broken[self.shares[slot]] = True
                self._employ(slot)
        return self.now.copy(), broken

    def pids(self) -> list[int]:
        """Of the processes that are there."""
        return [member[0].pid or 0 for member in self.members if member is not None]

    def close(self) -> None:
        """End the processes."""
        for slot, member in enumerate(self.members):
            self.members[slot] = None
            if member is not None:
                dismiss(member)

    def _employ(self, slot: int) -> None:
        share = self.shares[slot]
        running = [self.running[row] for row in share]
        self.members[slot] = employ(serve_lanes, self.lane_spec, self.memory, share, running)

    def _await(self, slots: Sequence[int]) -> list[int]:
        """Wait for these processes; those that died are buried, and their numbers returned."""
        waiting = {member[1]: slot for slot in slots if (member := self.members[slot]) is not None}
        died = []
        while waiting:
            ready = wait(list(waiting), SECONDS)
            for connection in ready or list(waiting):
                assert isinstance(connection, Connection)
                slot = waiting.pop(connection)
                try:
                    said = connection.recv() if ready else EOFError()
                except (EOFError, OSError):
                    said = EOFError()
                if isinstance(said, EOFError):
                    died.append(slot)
                    self._bury(slot)
                elif isinstance(said, BaseException):
                    raise said
                else:
                    self.deaths[slot] = 0
        return died

    def _bury(self, slot: int) -> None:
        member, self.members[slot] = self.members[slot], None
        assert member is not None
        dismiss(member)
        self.deaths[slot] += 1
        if self.deaths[slot] >= MOST_DEATHS:
            raise RuntimeError(
                f"the process of lanes {self.shares[slot]} died {MOST_DEATHS} times before it took a step (killed, or "
                "out of memory); give fewer lanes, or a smaller replay buffer"
            )
        log.warning("the process of lanes %s died; another one takes its place, and nothing is learnt from the "
                    "episodes that it was in", self.shares[slot])  # fmt: skip
