"""Replay buffer: the latest experience of each environment, and permanent demonstrations.

Demonstrations: DQfD, Hester et al. 2018 (arXiv:1704.03732). Unlike there, the caller gives their share of a batch, so
that it can follow a schedule, and not a bonus to their priority; importance weights are computed within each part and
divided by the largest of the batch.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from racing_vpt.free_memory import require_memory
from racing_vpt.replay.priorities import Drawn
from racing_vpt.replay.ring import Ring
from racing_vpt.types import LaneStep, Segments, Transitions


class ReplayBuffer:
    """The last `capacity` steps of N lanes, each frame stored once, and permanent demonstrations.

    At the beginning of an episode a stack repeats the first frame. Sums of n rewards end with the episode: after
    termination nothing is bootstrapped, after truncation the last frame is. The newest n steps of a running episode
    cannot be sampled yet.

    Args:
        capacity: steps of all lanes together; each lane keeps capacity // lanes.
        lanes: environments that step together, N.
        frame_shape: (H, W), or (H, W, 3).
        action_shape: () for the index of a discrete action, (A,) for continuous controls.
        stack: frames in an observation, S.
        n_step: rewards summed before bootstrapping.
        discount: gamma per decision.
        alpha: exponent of the priorities, in [0, 1]; None: uniform sampling.
        seed: seed of the sampling.

    Raises:
        ValueError: it does not fit into free memory, or a number is out of range.
    """

    def __init__(
        self,
        capacity: int,
        lanes: int,
        frame_shape: tuple[int, ...],
        action_shape: tuple[int, ...] = (),
        *,
        stack: int = 4,
        n_step: int = 1,
        discount: float = 0.99,
        alpha: float | None = None,
        seed: int = 0,
    ) -> None:
        if min(lanes, stack, n_step) < 1 or max(stack, n_step) > 255:
            raise ValueError(f"lanes, stack and n_step must be 1 to 255, but they are {lanes}, {stack} and {n_step}")
        if not 0 <= discount <= 1 or not 0 <= (alpha or 0) <= 1:
            raise ValueError(f"discount and alpha must lie in [0, 1], but {discount} and {alpha} were given")
        least = lanes * (stack + n_step + 1)
        if capacity < least:
            raise ValueError(
                f"a capacity of {capacity} steps is too little for {lanes} lanes, stacks of {stack} and {n_step}-step "
                f"returns: {least} at least"
            )
        needed = bytes_needed(capacity, frame_shape, action_shape, alpha is not None)
        what = f"a replay buffer of {capacity:,} frames of {'x'.join(map(str, frame_shape))}"
        require_memory(needed, what, instead="lower data.capacity or the model's frames")
        self.lanes, self.discount, self.seed = lanes, discount, seed
        self._options = (frame_shape, action_shape, stack, n_step)
        self.experience = Drawn(Ring(capacity // lanes, lanes, *self._options), alpha)
        self.demonstrations: Drawn | None = None
        self.imitated = np.zeros(0, bool)  # priorities of the demonstrations
        self.draws = self.changes = 0  # batches sampled; changes of priorities or episodes

    def __len__(self) -> int:
        """Number of transitions that can be sampled, without demonstrations."""
        return self.experience.ring.count

    @property
    def num_steps(self) -> int:
        """Number of steps added so far by all lanes."""
        return self.experience.ring.steps * self.lanes

    def add(self, step: LaneStep) -> None:
        """Append one step of all lanes.

        Raises:
            ValueError: shapes or types differ from the buffer's, or a reward is not finite.
        """
        self.experience.add(step)

    def forget_episodes(self, lanes: np.ndarray) -> None:
        """Discard the running episode of lanes (bool [N]) whose worker died; their next step starts another episode."""
        self.changes += 1
        self.experience.forget_episodes(lanes)

    def add_demonstrations(self, episodes: LaneStep, imitated: np.ndarray | None = None) -> None:
        """Add permanent episodes, all at once.

        Args:
            episodes: consecutive episodes: N of a `LaneStep` is time here, and `first` marks their starts. The last
                transition of an episode with an unknown end is left out.
            imitated: bool [T], false where the demonstrator was perturbed: such steps are ordinary transitions, without
                `Transitions.demonstration`. None: true everywhere.

        Raises:
            ValueError: shapes or types differ from the buffer's, or there are demonstrations already.
        """
        length = len(episodes.first)
        if self.demonstrations is not None:
            raise ValueError("there are demonstrations already; give all of them at once")
        frame_shape, action_shape, *_ = self._options
        alpha = self.experience.alpha
        needed = bytes_needed(length + 1, frame_shape, action_shape, alpha is not None)
        require_memory(needed, f"a region of {length:,} frames of demonstrations", instead="give fewer of them")
        kept = Drawn(Ring(length + 1, 1, *self._options), alpha)
        columns = {name: column for name, column in vars(episodes).items() if column is not None}
        for at in range(length):
            kept.add(LaneStep(**{name: column[at : at + 1] for name, column in columns.items()}))
        end = {name: np.zeros_like(column[:1]) for name, column in columns.items()} | {"first": np.ones(1, bool)}
        kept.add(LaneStep(**end))
        if not kept.ring.count:
            raise ValueError(f"{length} steps of demonstrations make no transition; give longer episodes")
        imitated = np.ones(length, bool) if imitated is None else imitated
        if not action_shape:
            kept.ring.shown[:length] = np.where(imitated, episodes.actions, -1)
        self.demonstrations, self.imitated = kept, np.append(imitated, False)

    def sample(
        self, batch_size: int, *, beta: float = 1.0, demonstration_share: float = 0.0, step: int | None = None
    ) -> Transitions:
        """Sample transitions; a pure function of (seed, step) and the content of the buffer.

        Args:
            batch_size: B.
            beta: exponent of the importance weights, in [0, 1].
            demonstration_share: mean share of demonstrations in a batch.
            step: number of the batch; None: counted here.

        Raises:
            ValueError: the buffer is empty.
        """
        generator = self._generator(step, 0)
        shown = math.floor(batch_size * demonstration_share + generator.random()) if demonstration_share > 0 else 0
        parts = [(self.experience, batch_size - shown), (self.demonstrations, shown)]
        shape = (batch_size, self._options[2], *self._options[0])
        observation, following = np.empty(shape, np.uint8), np.empty(shape, np.uint8)
        columns, begin = [], 0
        for part, count in parts:
            if count == 0:
                continue
            if part is None or not part.ring.count:
                missing = "demonstrations" if part is not self.experience else "transitions to learn from yet"
                raise ValueError(f"the replay buffer holds no {missing}, but {count} of a batch are to be drawn")
            slots, weight = part.draw(count, beta, generator)
            reward, discount, after = part.ring.sums(slots, self.discount)
            part.ring.stacks(slots, observation[begin : begin + count])
            part.ring.stacks(after, following[begin : begin + count])
            own = part is self.experience
            index = self._index(slots) if own else -1 - slots
            imitated = np.zeros(count, bool) if own else self.imitated[slots]
            told = part.ring.shown[slots].astype(np.int64)
            columns.append((part.ring.actions[slots], reward, discount, index, weight, imitated, told))
            begin += count
        action, reward, discount, index, weight, imitated, told = (
            np.concatenate(each) for each in zip(*columns, strict=True)
        )
        return Transitions(
            observation=torch.from_numpy(observation),
            action=torch.from_numpy(action),
            reward=torch.from_numpy(reward),
            discount=torch.from_numpy(discount),
            next_observation=torch.from_numpy(following),
            index=torch.from_numpy(index),
            weight=torch.from_numpy((weight / weight.max()).astype(np.float32)),
            demonstration=torch.from_numpy(imitated),
            shown=torch.from_numpy(told),
        )

    def sample_segments(self, batch_size: int, length: int, *, step: int | None = None) -> Segments:
        """Sample segments of `length` consecutive steps, all starts equally likely; as pure as `sample`.

        Raises:
            ValueError: no lane has that many steps.
        """
        ring = self.experience.ring
        slots = ring.draw_segments(batch_size, length, self._generator(step, 1))
        names = ("frames", "actions", "rewards", "first", "terminated", "truncated", "valid")
        drawn = {name: torch.from_numpy(getattr(ring, name)[slots]) for name in names}
        return Segments(**drawn, index=torch.from_numpy(self._index(slots)))

    def update_priorities(self, index: Tensor | np.ndarray, td_error: Tensor | np.ndarray) -> None:
        """Update priorities by the TD errors of a batch, demonstrations included.

        Args:
            index: `Transitions.index`, int64 [B]; overwritten ones are ignored.
            td_error: float [B]; its sign does not matter.

        Raises:
            ValueError: an error is not finite.
        """
        index, error = (np.asarray(torch.as_tensor(value).detach().cpu()) for value in (index, td_error))
        if not np.isfinite(error).all():
            raise ValueError(f"TD errors must be finite, but {error[~np.isfinite(error)].tolist()} were given")
        self.changes += 1
        ring = self.experience.ring
        kept = index >= (ring.steps - ring.filled) * ring.lanes
        self.experience.update(index[kept] % ring.size, error[kept].astype(np.float64))
        if self.demonstrations is not None:
            self.demonstrations.update(-1 - index[index < 0], error[index < 0].astype(np.float64))

    def _index(self, slots: np.ndarray) -> np.ndarray:
        """Unique numbers of slots, which no later step reuses."""
        ring = self.experience.ring
        newest = ring.steps * ring.lanes - 1
        return newest - (newest - slots) % ring.size

    def _generator(self, step: int | None, purpose: int) -> np.random.Generator:
        at = self.draws if step is None else step
        self.draws += step is None
        return np.random.default_rng([self.seed, at, purpose])


def bytes_needed(
    capacity: int, frame_shape: tuple[int, ...], action_shape: tuple[int, ...] = (), prioritised: bool = False
) -> int:
    """Memory of a buffer of `capacity` steps in bytes, frames included."""
    action = 4 * math.prod(action_shape) if action_shape else 8
    tree = 8.1 if prioritised else 0
    return math.ceil(capacity * (math.prod(frame_shape) + action + 4 + 4 + 2 + 2 + tree))
