"""Ring buffer of the last steps of parallel environments: frames stored once, stacks and sums built when sampled.

A slot is one step of one lane, `row * lanes + lane`; rows are consecutive in time and overwrite the oldest. Each slot
has two small numbers: `depth`, the number of earlier frames of its episode, up to the length of a stack, and `span`,
the number of rewards in its n-step sum; a slot with span 0 cannot be sampled.
"""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from racing_vpt.types import LaneStep


class Ring:
    """The last `rows` steps of N lanes.

    Args:
        rows: steps per lane.
        lanes: N.
        frame_shape: (H, W) or (H, W, 3).
        action_shape: () for int64 indices, (A,) for float32 controls.
        stack: frames in an observation, S.
        n_step: largest number of summed rewards.
    """

    def __init__(
        self,
        rows: int,
        lanes: int,
        frame_shape: tuple[int, ...],
        action_shape: tuple[int, ...],
        stack: int,
        n_step: int,
    ) -> None:
        self.rows, self.lanes, self.stack, self.n_step = rows, lanes, stack, n_step
        self.size = rows * lanes
        self.frames = np.zeros((self.size, *frame_shape), np.uint8)
        self.actions = np.zeros((self.size, *action_shape), np.float32 if action_shape else np.int64)
        self.rewards = np.zeros(self.size, np.float32)
        self.terminated, self.truncated, self.first, self.valid = (np.zeros(self.size, bool) for _ in range(4))
        self.shown = np.full(self.size, -1, np.int16)
        self.depth, self.span = np.zeros(self.size, np.uint8), np.zeros(self.size, np.uint8)
        self.waiting = np.zeros(lanes, np.int64)  # number of newest steps of a lane without a span
        self.cut = np.ones(lanes, bool)  # whether the next step of a lane is unrelated to the previous ones
        self.steps = 0  # rows added so far
        self.count = 0  # slots that can be sampled
        self._lane = np.arange(lanes)

    @property
    def filled(self) -> int:
        """Number of filled rows."""
        return min(self.steps, self.rows)

    def add(self, step: LaneStep) -> tuple[np.ndarray, np.ndarray]:
        """Append a row.

        Returns:
            Slots that can be sampled from now on, and slots that no longer can, int64.
        """
        self._check(step)
        first = step.first | self.cut
        born = self._close(first)
        died = self._overwrite()
        begin = self.steps % self.rows * self.lanes
        here = slice(begin, begin + self.lanes)
        before = self.depth[self._slots(1)].astype(np.int64)
        self.depth[here] = np.where(first, 0, np.minimum(before + 1, self.stack - 1))
        self.first[here] = first
        for name in ("frames", "actions", "rewards", "terminated", "truncated", "valid"):
            getattr(self, name)[here] = getattr(step, name)
        self.shown[here] = -1 if step.shown is None else step.shown
        self.cut[:] = False
        self.waiting += 1
        self.steps += 1
        self.count += len(born) - len(died)
        return born, died

    def _close(self, first: np.ndarray) -> np.ndarray:
        """Set the spans of steps whose sum is completed by the next frame; returns their slots.

        Args:
            first: bool [N], whether the next frame of each lane starts an episode.
        """
        if self.steps == 0:
            return np.empty(0, np.int64)
        last = self._slots(1)
        valid, terminated = self.valid[last], self.terminated[last]
        broken = ~valid | (
            first & ~terminated
        )  # the last transition has no next frame: sums end with the one before it
        ended = broken | terminated | self.truncated[last]
        back = np.arange(1, self.n_step + 1)[:, None]
        closes = (back <= self.waiting) & (ended | (back == self.n_step))
        spans = np.where(closes, back - broken, 0)
        found = spans > 0
        slots = self._slots(back)[found]
        self.span[slots] = spans[found]
        self.waiting = np.where(ended, 0, np.minimum(self.waiting, self.n_step - 1))
        return slots

    def _overwrite(self) -> np.ndarray:
        """Clear the spans of the row to be written and of stacks that reach back to it; returns their slots."""
        ahead = np.arange(self.stack)[:, None]
        slots = self._slots(-ahead)
        lost = (self.span[slots] > 0) & ((ahead == 0) | (self.depth[slots] >= ahead))
        self.span[slots[lost]] = 0
        return slots[lost]

    def forget_episodes(self, lanes: np.ndarray) -> np.ndarray:
        """Invalidate the running episode of lanes (bool [N]); returns the slots that can no longer be sampled."""
        died = [np.empty(0, np.int64)]
        for lane in np.flatnonzero(lanes):
            if self.cut[lane]:
                continue
            slots = ((self.steps - np.arange(1, self.filled + 1)) % self.rows) * self.lanes + lane
            starts = np.flatnonzero(self.first[slots])
            slots = slots[: starts[0] + 1] if len(starts) else slots
            died.append(slots[self.span[slots] > 0])
            self.valid[slots], self.span[slots] = False, 0
            self.waiting[lane], self.cut[lane] = 0, True
        self.count -= len(gone := np.concatenate(died))
        return gone

    def draw(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """Slots int64 [count], sampled uniformly."""
        found = np.empty(0, np.int64)
        for _ in range(8):  # usually nearly all can be sampled
            tried = generator.integers(0, self.filled * self.lanes, 2 * count)
            found = np.concatenate([found, tried[self.span[tried] > 0]])
            if len(found) >= count:
                return found[:count]
        usable = np.flatnonzero(self.span)
        return np.concatenate([found, usable[generator.integers(0, len(usable), count - len(found))]])

    def stacks(self, slots: np.ndarray, out: np.ndarray) -> None:
        """Write observations of slots [B] to `out`, uint8 [B, S, ...], padded with the episode's first frame."""
        back = np.minimum(np.arange(self.stack - 1, -1, -1), self.depth[slots][:, None])
        at = (slots[:, None] - back * self.lanes) % self.size
        self.frames.take(at, axis=0, out=out, mode="clip")  # "raise" would make another copy

    def sums(self, slots: np.ndarray, discount: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """N-step returns of slots [B].

        Returns:
            Discounted sum of rewards float32 [B], discount of the following value float32 [B], and the following slots.
        """
        span = self.span[slots].astype(np.int64)
        steps = np.arange(self.n_step)
        at = (slots[:, None] + steps * self.lanes) % self.size
        factors = np.where(steps < span[:, None], discount**steps, 0.0)
        last = (slots + (span - 1) * self.lanes) % self.size
        rest = np.where(self.terminated[last], 0.0, discount**span)
        total = (self.rewards[at] * factors).sum(1)
        return total.astype(np.float32), rest.astype(np.float32), (last + self.lanes) % self.size

    def draw_segments(self, count: int, length: int, generator: np.random.Generator) -> np.ndarray:
        """Consecutive slots int64 [count, length], all starts equally likely."""
        if length > self.filled:
            raise ValueError(
                f"segments of {length} steps were asked for, but each lane has {self.filled}; collect more before, "
                "or take shorter ones"
            )
        starts = generator.integers(0, self.filled - length + 1, count) + self.steps - self.filled
        lanes = generator.integers(0, self.lanes, count)
        return (starts[:, None] + np.arange(length)) % self.rows * self.lanes + lanes[:, None]

    def _slots(self, back: int | np.ndarray) -> np.ndarray:
        """Slots of all lanes `back` rows before the one written next."""
        return (self.steps - back) % self.rows * self.lanes + self._lane

    def _check(self, step: LaneStep) -> None:
        for field in fields(step):
            value, kept = getattr(step, field.name), getattr(self, field.name)
            if value is None:
                continue
            if value.shape != (self.lanes, *kept.shape[1:]) or not np.can_cast(value.dtype, kept.dtype, "same_kind"):
                raise ValueError(
                    f"{field.name} of a step is {value.dtype} {list(value.shape)}, but this buffer takes {kept.dtype} "
                    f"{[self.lanes, *kept.shape[1:]]}"
                )
        if not np.isfinite(step.rewards).all():
            raise ValueError(f"a step has the rewards {step.rewards.tolist()}, which must be finite")
