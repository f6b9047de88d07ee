"""Order of clips as a pure function of (seed, step), so that a run resumes exactly.

A `ClipOrder` gives the global batch of a step, of which each rank takes its rows. `StepSampler` iterates over steps.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import numpy as np
from torch.utils.data.distributed import DistributedSampler


class ClipIndex(NamedTuple):
    """Row of a batch: T frames of an episode from `start` on; episode -1 is an empty row."""

    episode: int
    start: int
    mirror: bool = False


EMPTY = ClipIndex(-1, 0)


class ClipOrder(Protocol):
    """Order of clips."""

    num_steps: int  # steps in one pass over the data

    def batch(self, step: int) -> list[ClipIndex]:
        """The rows of the global batch of a step."""


class RandomClips:
    """Random clips, every start equally likely; endless.

    Args:
        lengths: number of frames of each episode.
        clip_frames: T. A shorter episode is padded.
        batch_size: rows of the global batch.
        seed: seed of the draws.
        mirror: probability that a clip is mirrored.
    """

    def __init__(self, lengths: list[int], clip_frames: int, batch_size: int, seed: int, mirror: float = 0.0) -> None:
        self.batch_size, self.seed, self.mirror = batch_size, seed, mirror
        starts = np.array([max(1, length - clip_frames + 1) for length in lengths], np.int64)
        self._ends = np.cumsum(starts)
        self._begins = self._ends - starts
        self.num_steps = max(1, sum(lengths) // (batch_size * clip_frames))

    def batch(self, step: int) -> list[ClipIndex]:
        """The rows of the global batch of a step."""
        draw = np.random.default_rng([self.seed, step])
        places = draw.integers(0, self._ends[-1], self.batch_size)
        flips = draw.random(self.batch_size) < self.mirror
        episodes = np.searchsorted(self._ends, places, side="right")
        rows = zip(episodes, places - self._begins[episodes], flips, strict=True)
        return [ClipIndex(int(episode), int(start), bool(flip)) for episode, start, flip in rows]


class TiledClips:
    """Every episode cut into consecutive clips, once, for validation. Remaining rows are empty.

    Args:
        lengths: number of frames of each episode.
        clip_frames: T. The last clip of an episode is padded.
        batch_size: rows of the global batch.
    """

    def __init__(self, lengths: list[int], clip_frames: int, batch_size: int) -> None:
        self.batch_size = batch_size
        self._items = [
            ClipIndex(episode, start)
            for episode, length in enumerate(lengths)
            for start in range(0, length, clip_frames)
        ]
        self.num_steps = -(-len(self._items) // batch_size)

    def batch(self, step: int) -> list[ClipIndex]:
        """The rows of the global batch of a step."""
        rows = self._items[step * self.batch_size : (step + 1) * self.batch_size]
        return rows + [EMPTY] * (self.batch_size - len(rows))


class LaneClips:
    """Each row plays one episode after another, in order from step to step. The last clip of an episode is padded.

    Args:
        lengths: number of frames of each episode.
        clip_frames: T.
        batch_size: rows of the global batch: the number of lanes.
        seed: seed of the order of the episodes, which differs in each pass over the data.
        mirror: probability that an episode is mirrored.
        endless: repeat passes, with each lane starting somewhere in its first episode (or all would end together);
            otherwise one pass in the given order, with empty rows for lanes without an episode.
    """

    def __init__(
        self,
        lengths: list[int],
        clip_frames: int,
        batch_size: int,
        seed: int = 0,
        mirror: float = 0.0,
        endless: bool = True,
    ) -> None:
        self.lengths, self.clip_frames, self.batch_size = lengths, clip_frames, batch_size
        self.seed, self.mirror, self.endless = seed, mirror, endless
        self._restart()
        if endless:
            self.num_steps = max(1, sum(lengths) // (batch_size * clip_frames))
        else:
            free = [0] * batch_size
            for length in lengths:
                heapq.heappush(free, heapq.heappop(free) + -(-length // clip_frames))
            self.num_steps = max(free)

    def _restart(self) -> None:
        self._step = 0
        self._taken = 0  # episodes given to lanes
        self._playing = [EMPTY] * self.batch_size
        self._until = [0] * self.batch_size  # step at which each lane is free

    def batch(self, step: int) -> list[ClipIndex]:
        """The rows of the global batch of a step; cheap for increasing steps."""
        if step < self._step:
            self._restart()
        for now in range(self._step, step + 1):
            if now and min(self._until) > now:
                continue
            for lane in range(self.batch_size):
                if self._until[lane] == now:
                    self._playing[lane], self._until[lane] = self._take(now)
        self._step = step
        return [
            item if item.episode < 0 else item._replace(start=item.start + step * self.clip_frames)
            for item in self._playing
        ]

    def _take(self, now: int) -> tuple[ClipIndex, int]:
        """The next episode, its start shifted such that `start + step * T` is the position at a step; and its end."""
        if not self.endless and self._taken >= len(self.lengths):
            return EMPTY, 2**62
        taken, count = self._taken, len(self.lengths)
        self._taken += 1
        if not self.endless:
            return ClipIndex(taken, -now * self.clip_frames), now - (-self.lengths[taken] // self.clip_frames)
        order = np.random.default_rng([self.seed, taken // count]).permutation(count)
        episode = int(order[taken % count])
        clips = -(-self.lengths[episode] // self.clip_frames)
        draw = np.random.default_rng([self.seed, taken, 1])
        skipped = int(draw.integers(clips)) if taken < self.batch_size else 0
        flip = bool(draw.random() < self.mirror)
        return ClipIndex(episode, (skipped - now) * self.clip_frames, flip), now + clips - skipped


class StepSampler(DistributedSampler[list[ClipIndex]]):
    """Iterates over the steps of an order of clips; each index is a whole batch of one rank.

    A DistributedSampler, so that Lightning does not replace it; it divides the rows itself.

    Args:
        order: order of the clips.
        num_steps: steps per epoch.
        rank: rank of this process.
        world_size: number of processes.
        next_step: returns the first step of an epoch; None: `num_steps` times the number of epochs before.
    """

    def __init__(
        self,
        order: ClipOrder,
        num_steps: int,
        rank: int = 0,
        world_size: int = 1,
        next_step: Callable[[], int] | None = None,
    ) -> None:
        super().__init__(range(0), num_replicas=world_size, rank=rank, shuffle=False)  # type: ignore[arg-type]
        self.order, self.num_steps, self.next_step = order, num_steps, next_step
        self.world_size = world_size

    def __iter__(self) -> Iterator[list[ClipIndex]]:
        first = self.epoch * self.num_steps if self.next_step is None else self.next_step()
        for step in range(first, first + self.num_steps):
            rows = self.order.batch(step)
            share = len(rows) // self.world_size
            yield rows[self.rank * share : (self.rank + 1) * share]

    def __len__(self) -> int:
        return self.num_steps
