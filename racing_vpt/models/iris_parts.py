"""What the parts of IRIS are trained by and when, and what they share of a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from racing_vpt.models.module import Schedule, decay_groups
from racing_vpt.types import Batch, PartRequest, Segments

MOST_FRAMES = 256  # that are coded in one piece


@dataclass(frozen=True)
class Training:
    """How a part is trained. The numbers are the paper's (arXiv:2209.00588, table 5) where a config says no others.

    Args:
        steps: updates in an epoch; 0: the part stays as it is.
        start_epoch: epoch, from 0, in which it begins to learn.
        end_epoch: epoch from which on it stays as it is; -1: it learns to the end.
        batch_size: segments in a batch.
        lr: learning rate of AdamW.
        weight_decay: of matrices and kernels.
        clip: largest norm of the gradient.
        schedule: how the learning rate falls after the warm-up, over the epochs of the run.
        warmup_steps: updates over which it rises from 0.
    """

    steps: int = 200
    start_epoch: int = 0
    end_epoch: int = -1
    batch_size: int = 64
    lr: float = 1e-4
    weight_decay: float = 0.0
    clip: float = 10.0
    schedule: Schedule = "constant"
    warmup_steps: int = 0

    def __post_init__(self) -> None:
        if min(self.steps, self.start_epoch, self.warmup_steps) < 0 or self.batch_size < 1:
            raise ValueError(
                f"steps, start_epoch and warmup_steps count from 0 and batch_size from 1, but {self} was given"
            )
        if self.lr <= 0 or self.weight_decay < 0 or self.clip <= 0:
            raise ValueError(f"lr and clip are above 0 and weight_decay not below, but {self} was given")

    def learns(self, epoch: int) -> bool:
        """Whether the part learns in an epoch."""
        return self.steps > 0 and self.start_epoch <= epoch and (self.end_epoch < 0 or epoch < self.end_epoch)

    def total(self, epochs: int | None) -> float:
        """Updates in a run of so many epochs; None or -1: without end."""
        ends = [epoch for epoch in (epochs, self.end_epoch) if epoch is not None and epoch >= 0]
        return max(1, min(ends) - self.start_epoch) * self.steps if ends else float("inf")

    def optimizer(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """AdamW; without weight decay it is Adam."""
        return torch.optim.AdamW(decay_groups(list(parameters)), lr=self.lr, weight_decay=self.weight_decay)


TRAIN_TOKENIZER = Training(200, 5, batch_size=256)  # the paper's epochs and batches
TRAIN_WORLD = Training(200, 25, weight_decay=0.01)
TRAIN_AGENT = Training(200, 50)


@dataclass(frozen=True)
class Plan:
    """Which part learns at which update: in each epoch one after the other.

    Args:
        trainings: of the parts, in their order; the last one is the actor's.
        world_frames: of a segment that the world model learns from.
        burn_in: true frames before a dream.
        horizon: steps of a dream.
        imitate_updates: first updates of the actor, in which it imitates segments as long as a dream.
    """

    trainings: dict[str, Training]
    world_frames: int
    burn_in: int
    horizon: int
    imitate_updates: int

    @property
    def updates_per_epoch(self) -> int:
        """Those of parts that do not learn yet included."""
        return max(1, sum(training.steps for training in self.trainings.values()))

    def wanted(self, step: int) -> PartRequest:
        """What the update of this number, from 0, is to learn from."""
        epoch, place = divmod(step, self.updates_per_epoch)
        lengths = {"tokenizer": 1, "world": self.world_frames, "agent": self.burn_in + 1}
        for part, training in self.trainings.items():
            if place < training.steps:
                done = (epoch - training.start_epoch) * training.steps + place  # updates of this part
                imitates = part == "agent" and done < self.imitate_updates
                frames = lengths[part] + (self.horizon if imitates else 0)
                return PartRequest(part, training.batch_size * training.learns(epoch), frames)
            place -= training.steps
        return PartRequest("agent", 0, 1)


class Joined(NamedTuple):
    """B segments of T steps as tokens int64 [B, T, K]; all else as in `Segments`.

    `ended_known` bool [B, T] says where it is known whether the action ended the episode: where something follows, or
    the end is told.
    """

    tokens: Tensor
    actions: Tensor
    rewards: Tensor
    first: Tensor
    valid: Tensor
    ended: Tensor
    ended_known: Tensor

    def rows(self, chosen: Tensor) -> Joined:
        """Those of these numbers, int64 [rows]."""
        return Joined(*(x[chosen] for x in self))

    def batch(self, names: tuple[str, ...]) -> Batch:
        """The same as a batch of codes."""
        controls = dict(zip(names, self.actions.unbind(-1), strict=True))
        frames = self.tokens.new_zeros(len(self.tokens), 0, 1, 1, 3, dtype=torch.uint8)
        return Batch(
            frames, controls, self.first, self.valid, self.valid.float(), self.rewards, codes=self.tokens.float()
        )


def joined(segments: list[Segments], tokens: list[Tensor]) -> Joined:
    """Segments with their tokens as one batch."""
    columns: dict[str, Tensor] = {
        name: torch.cat([getattr(each, name) for each in segments])
        for name in ("actions", "rewards", "first", "valid", "terminated", "truncated")
    }
    told, valid = columns["terminated"] | columns.pop("truncated"), columns["valid"]
    known = valid & told
    known[:, :-1] |= valid[:, :-1] & valid[:, 1:]
    known[:, -1] = False  # of a segment that was cut here only ends would be known
    return Joined(torch.cat(tokens), **columns | {"ended": columns.pop("terminated")}, ended_known=known)


class TokenMemo:
    """Tokens of frames that were coded already, by the frames' numbers, as long as the tokenizer stays the same.

    Args:
        num_tokens: K, of a frame.
        most: frames that are remembered; then the oldest are forgotten.
    """

    def __init__(self, num_tokens: int, most: int = 300_000) -> None:
        self.num_tokens, self.most = num_tokens, most
        self.known: dict[int, Tensor] = {}

    def forget(self) -> None:
        """The tokenizer is another one now."""
        self.known.clear()

    @torch.no_grad()
    def tokens(self, frames: Tensor, index: Tensor, code: Callable[[Tensor], Tensor]) -> Tensor:
        """Tokens int64 [B, T, K] of frames uint8 [B, T, H, W, 3] with the numbers int64 [B, T]."""
        numbers, flat = index.flatten().tolist(), frames.flatten(0, 1)
        new = {number: place for place, number in enumerate(numbers) if number not in self.known}
        if new:
            places = torch.tensor(list(new.values()), device=frames.device)
            coded = torch.cat([code(flat[some]) for some in places.split(MOST_FRAMES)])
            self.known |= dict(zip(new, coded.to(torch.int16).cpu().unbind(0), strict=True))
        found = torch.stack([self.known[number] for number in numbers]).to(frames.device)
        if len(self.known) > self.most:
            for number in list(self.known)[: len(self.known) - self.most]:
                del self.known[number]
        return found.long().view(*index.shape, self.num_tokens)

    def state(self) -> dict[str, Tensor]:
        """All of it, for a checkpoint: a frame that is coded in other company might get other tokens."""
        if not self.known:
            return {"index": torch.zeros(0, dtype=torch.int64), "tokens": torch.zeros(0, self.num_tokens)}
        return {"index": torch.tensor(list(self.known)), "tokens": torch.stack(list(self.known.values()))}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Become what `state` gave."""
        self.known = dict(zip(state["index"].tolist(), state["tokens"].to(torch.int16).unbind(0), strict=True))
