"""What a policy just did: the steps of one iteration, from which it learns a few times before they are dropped."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from racing_vpt.types import PolicyBatch


@dataclass
class Rollout:
    """T consecutive decisions of N lanes.

    Args:
        seen: uint8 [N, T, H, W, C] or float32 [N, T, E], as `PolicyBatch.seen`.
        first: bool [N, T].
        valid: bool [N, T], false where the action was ignored.
        terminated: bool [N, T].
        rewards: float32 [N, T], that are learned from.
        values: float32 [N, T + 1], of each frame and of the one after the last.
        log_prob: float32 [N, T], of the actions.
        classes: int64 [N, T] by head.
        anchor: the clone's log-probabilities float32 [N, T, classes] by head; empty: there is none.
        memories: memory of the network before each sequence of `chunk` decisions; empty: it has none.
        chunk: decisions of a sequence.
        advantage: float32 [N, T], once the rollout is complete.
        returns: float32 [N, T], likewise.
    """

    seen: Tensor
    first: Tensor
    valid: Tensor
    terminated: Tensor
    rewards: Tensor
    values: Tensor
    log_prob: Tensor
    classes: dict[str, Tensor]
    anchor: dict[str, Tensor]
    advantage: Tensor
    returns: Tensor
    chunk: int = 1
    memories: list[Any] = field(default_factory=list)

    @staticmethod
    def empty(
        lanes: int, steps: int, seen: tuple[int, ...], heads: dict[str, int], anchored: bool, chunk: int
    ) -> Rollout:
        """A rollout to be filled, on the CPU.

        Args:
            lanes: N.
            steps: T, a multiple of `chunk`.
            seen: (H, W, C) of stacked frames, or (E,) of what frozen convolutions make of them.
            heads: classes by head.
            anchored: whether there is a clone.
            chunk: decisions of a sequence.
        """
        shape = (lanes, steps)
        first, valid, terminated = (torch.zeros(shape, dtype=torch.bool) for _ in range(3))
        rewards, log_prob, advantage, returns = (torch.zeros(shape) for _ in range(4))
        return Rollout(
            seen=torch.zeros(*shape, *seen, dtype=torch.uint8 if len(seen) == 3 else torch.float32),
            first=first, valid=valid, terminated=terminated, rewards=rewards,
            values=torch.zeros(lanes, steps + 1), log_prob=log_prob,
            classes={name: torch.zeros(shape, dtype=torch.int64) for name in heads},
            anchor={name: torch.zeros(*shape, count) for name, count in heads.items()} if anchored else {},
            advantage=advantage, returns=returns, chunk=chunk,
        )  # fmt: skip

    @property
    def num_sequences(self) -> int:
        """Sequences that can be drawn."""
        lanes, steps = self.first.shape
        return lanes * steps // self.chunk

    def batch(self, numbers: Tensor, iteration: int) -> PolicyBatch:
        """The sequences of these numbers int64 [B]; number n is sequence n % (T / chunk) of lane n // (T / chunk)."""
        per_lane = self.first.shape[1] // self.chunk

        def take(x: Tensor) -> Tensor:
            return x.unflatten(1, (per_lane, self.chunk)).flatten(0, 1)[numbers]

        memory = None
        if self.memories:
            places = [(number % per_lane, number // per_lane) for number in numbers.tolist()]
            memory = tree_map(
                lambda *parts: torch.stack([parts[place][lane] for place, lane in places]), *self.memories
            )
        return PolicyBatch(
            take(self.seen), take(self.first), take(self.valid),
            {name: take(x) for name, x in self.classes.items()}, take(self.log_prob), take(self.advantage),
            take(self.returns), {name: take(x) for name, x in self.anchor.items()}, memory, iteration,
        )  # fmt: skip
