"""Environments in worker processes that step while the network learns.

All lanes take one decision together: `act` sends the actions and returns at once, `collect` waits for the results.
A process that dies or hangs is replaced, and its lanes begin new episodes.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait

import numpy as np

from racing_vpt.rollout.lanes import LaneSpec, LaneStates, lanes_in, serve_lanes, shared_memory
from racing_vpt.worker_processes import MOST_DEATHS, Member, dismiss, employ

SECONDS = 600.0  # limit for a decision before a process counts as hung; starting takes minutes on busy cores
log = logging.getLogger(__name__)


class Actors:
    """N lanes spread over worker processes.

    Args:
        lane_spec: settings of every lane.
        lanes: number of lanes N.
        workers: number of processes; the lanes are divided evenly.
        episodes: int64 [N], episodes already begun by each lane of a resumed run.
        running: actions [T, ...] so far of each lane's unfinished episode in a resumed run; they are replayed. None, or
            None for a lane: it begins a new episode.
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
            raise ValueError(f"workers must be 1 to {lanes}, the number of lanes, but {workers} was given")
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
        """Begin an episode in each lane, or continue the unfinished one."""
        for slot in range(len(self.members)):
            self._employ(slot)
        now, _ = self.collect()
        self.running = [None] * self.num_lanes  # a process that replaces a dead one begins new episodes
        return now

    def act(self, actions: np.ndarray) -> None:
        """Send actions, int64 [N] or float32 [N, A]; returns while the processes step."""
        self.now.actions[:] = actions
        for member in self.members:
            assert member is not None, "call start() first"
            with suppress(OSError):  # it is dead, which `collect` notices
                member[1].send_bytes(b"")

    def collect(self) -> tuple[LaneStates, np.ndarray]:
        """Results of the last actions, and bool [N]: lanes whose process died, which are at the start of a new episode.

        Raises:
            Exception: an error raised in a worker process.
            RuntimeError: a process died repeatedly.
        """
        broken = np.zeros(self.num_lanes, bool)
        waited_for: Sequence[int] = range(len(self.members))
        while waited_for := self._await(waited_for):
            for slot in waited_for:
                broken[self.shares[slot]] = True
                self._employ(slot)
        return self.now.copy(), broken

    def pids(self) -> list[int]:
        """Process ids of the running workers."""
        return [member[0].pid or 0 for member in self.members if member is not None]

    def close(self) -> None:
        """End the processes."""
        members, self.members = self.members, [None] * len(self.members)
        dismiss(*filter(None, members))

    def _employ(self, slot: int) -> None:
        share = self.shares[slot]
        running = [self.running[row] for row in share]
        self.members[slot] = employ(serve_lanes, self.lane_spec, self.memory, share, running)

    def _await(self, slots: Sequence[int]) -> list[int]:
        """Wait for these processes; returns the numbers of those that died, after cleaning up."""
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
        log.warning("the process of lanes %s died and is replaced; its current episodes are dropped", self.shares[slot])
