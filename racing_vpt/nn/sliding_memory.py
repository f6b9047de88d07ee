"""Keys and values of the last steps, in place: attention that slides over an endless episode and never starts over.

A step is a frame and its action: `step_tokens` tokens. A token sees those before it in its own step and in the `window`
- 1 steps before, of its own episode. The memory is a ring: token n lies at place n modulo window * step_tokens, so that
a step overwrites just the one that it can no longer see. Keys are turned by their token's number (rotary positions), of
which only differences matter. A layer's values hold what was seen before them, so L layers together reach back L *
(window - 1) steps; training with the same mask makes that the same there.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Look:
    """Who sees whom in one pass of Q new tokens.

    Args:
        numbers: int64 [Q], the new tokens' numbers since the beginning.
        visible: bool [1 or B, 1, Q, keys].
    """

    numbers: Tensor
    visible: Tensor


def visible(queries: Tensor, keys: Tensor, begins: Tensor, window: int, step_tokens: int) -> Tensor:
    """Which keys each query sees, bool [1 or B, 1, Q, keys].

    Args:
        queries: int64 [Q], their tokens' numbers.
        keys: int64 [keys], negative where there is none.
        begins: int64 [1 or B, Q or 1], number of the token that each query's episode begins with.
        window: steps.
        step_tokens: tokens in a step.
    """
    lowest = (queries // step_tokens - window + 1) * step_tokens
    lowest = torch.maximum(lowest, begins).clamp(min=0)  # (1 or B, Q)
    seen = (keys <= queries[:, None]) & (keys >= lowest[..., None])
    return seen.unsqueeze(1)


class SlidingMemory:
    """Of all layers, for a batch of rows that go on together.

    Args:
        layers: number of layers.
        batch: rows.
        heads: key heads of a layer.
        width: of a head.
        window: steps that are remembered, the running one included.
        step_tokens: tokens in a step.
        like: device and type of keys and values.
    """

    def __init__(self, layers: int, batch: int, heads: int, width: int, window: int, step_tokens: int, like: Tensor):
        self.window, self.step_tokens, self.size = window, step_tokens, window * step_tokens
        self.keys, self.values = like.new_zeros(2, layers, batch, heads, self.size, width).unbind(0)
        self.begins = torch.zeros(batch, 1, dtype=torch.int64, device=like.device)
        self.begun_apart = False  # whether rows begin at different tokens
        self.length = 0  # tokens since the beginning
        self.places = torch.arange(self.size, device=like.device)
        self._new = 0
        self._in_place = True

    def copy(self) -> SlidingMemory:
        """Another one that holds the same, so that two futures can follow one past."""
        twin = object.__new__(SlidingMemory)
        twin.__dict__ |= self.__dict__
        twin.keys, twin.values, twin.begins = self.keys.clone(), self.values.clone(), self.begins.clone()
        return twin

    def clear(self) -> None:
        """Forget everything."""
        self.length = 0
        self.begins.zero_()
        self.begun_apart = False

    def numbers(self, length: int) -> Tensor:
        """Number of the token at each place int64 [size] after `length` tokens; negative where there is none."""
        return length - 1 - (length - 1 - self.places) % self.size

    def extend(self, count: int, begins: Tensor | None = None) -> Look:
        """Begin a pass of `count` new tokens; `store` then takes each layer's keys and values.

        Args:
            count: new tokens.
            begins: int64 [B, count], number of the token that the episode of each begins with; None: as before.
        """
        first, last = self.length, self.length + count - 1
        queries = torch.arange(first, last + 1, device=self.places.device)
        self._in_place = first // self.step_tokens == last // self.step_tokens  # what is overwritten is out of sight
        self._new = count
        self.length += count
        keys = self.numbers(self.length) if self._in_place else torch.cat([self.numbers(first), queries])
        keys = keys[: self.length] if self._in_place else keys
        if begins is not None:
            self.begin_at(begins[:, -1:])
        apart = self.begun_apart or (begins is not None and bool((begins != 0).any()))
        since = self.begins if begins is None else begins
        seen = visible(queries, keys, since if apart else since[:1, :1] * 0, self.window, self.step_tokens)
        return Look(queries, seen)

    def begin_at(self, begins: Tensor) -> None:
        """From now on each row's episode begins with the token of this number, int64 [B, 1]."""
        self.begins = begins.clone()
        self.begun_apart = bool((begins != 0).any())

    def store(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Take new tokens' keys and values [B, heads, count, width]; all that the pass sees [B, heads, keys, width]."""
        seen = []
        for ring, new in (
            (self.keys[layer], keys.to(self.keys.dtype)),
            (self.values[layer], values.to(self.keys.dtype)),
        ):
            begin = (self.length - self._new) % self.size
            if self._in_place:
                ring[:, :, begin : begin + self._new] = new
                seen.append(ring[:, :, : self.length])
                continue
            seen.append(torch.cat([ring, new], 2))
            kept = new[:, :, -self.size :]
            places = torch.arange(self.length - kept.shape[2], self.length, device=new.device) % self.size
            ring[:, :, places] = kept
        return seen[0], seen[1]
