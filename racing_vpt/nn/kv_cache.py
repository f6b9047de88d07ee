"""KV cache with a sliding window, for sequences without end.

A step is a frame and its action: `step_tokens` tokens. A token attends to the tokens before it in its own step and in
the `window` - 1 steps before, within its episode. The cache is a ring buffer: token n is stored at place n modulo
window * step_tokens, so that a step overwrites exactly the one that it can no longer see. Keys are rotated by their
token's number (rotary positions), of which only differences matter. Values of a layer depend on earlier tokens, so that
L layers reach back L * (window - 1) steps; training uses the same mask.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class AttentionMask:
    """Attention mask and positions for one pass of Q new tokens.

    Args:
        numbers: int64 [Q], positions: the new tokens' numbers since the beginning.
        visible: bool [1 or B, 1, Q, keys], true where a query attends to a key.
    """

    numbers: Tensor
    visible: Tensor


def visible(queries: Tensor, keys: Tensor, begins: Tensor, window: int, step_tokens: int) -> Tensor:
    """Attention mask, bool [1 or B, 1, Q, keys]: keys of the query's episode within its window.

    Args:
        queries: int64 [Q], numbers of their tokens.
        keys: int64 [keys], numbers of their tokens; negative where there is no key.
        begins: int64 [1 or B, Q or 1], number of the first token of each query's episode.
        window: steps that attention reaches back, the current one included.
        step_tokens: tokens of a step.
    """
    lowest = (queries // step_tokens - window + 1) * step_tokens
    lowest = torch.maximum(lowest, begins).clamp(min=0)  # (1 or B, Q)
    seen = (keys <= queries[:, None]) & (keys >= lowest[..., None])
    return seen.unsqueeze(1)


class KVCache:
    """Keys and values of all layers, for a batch of rows that advance together.

    Args:
        layers: number of layers.
        batch: number of rows.
        heads: key heads of a layer.
        width: width of a head.
        window: steps that are kept, the current one included.
        step_tokens: tokens of a step.
        like: tensor with the device and dtype of keys and values.
    """

    def __init__(self, layers: int, batch: int, heads: int, width: int, window: int, step_tokens: int, like: Tensor):
        self.window, self.step_tokens, self.size = window, step_tokens, window * step_tokens
        self.keys, self.values = like.new_zeros(2, layers, batch, heads, self.size, width).unbind(0)
        self.begins = torch.zeros(batch, 1, dtype=torch.int64, device=like.device)
        self.begun_apart = False  # whether episodes of the rows begin at different tokens
        self.length = 0  # tokens since the beginning
        self.places = torch.arange(self.size, device=like.device)
        self._new = 0
        self._in_place = True

    def copy(self) -> KVCache:
        """An independent copy, so that two futures can follow one past."""
        twin = object.__new__(KVCache)
        twin.__dict__ |= self.__dict__
        twin.keys, twin.values, twin.begins = self.keys.clone(), self.values.clone(), self.begins.clone()
        return twin

    def clear(self) -> None:
        """Empty the cache."""
        self.length = 0
        self.begins.zero_()
        self.begun_apart = False

    def numbers(self, length: int) -> Tensor:
        """Number of the token at each place, int64 [size], after `length` tokens; negative where there is none."""
        return length - 1 - (length - 1 - self.places) % self.size

    def extend(self, count: int, begins: Tensor | None = None) -> AttentionMask:
        """Begin a pass of `count` new tokens, before `store` is called with the keys and values of each layer.

        Args:
            count: new tokens.
            begins: int64 [B, count], number of the first token of each new token's episode; None: no new episode.
        """
        first, last = self.length, self.length + count - 1
        queries = torch.arange(first, last + 1, device=self.places.device)
        self._in_place = (
            first // self.step_tokens == last // self.step_tokens
        )  # then only tokens outside the window are overwritten
        self._new = count
        self.length += count
        keys = self.numbers(self.length) if self._in_place else torch.cat([self.numbers(first), queries])
        keys = keys[: self.length] if self._in_place else keys
        if begins is not None:
            self.begin_at(begins[:, -1:])
        apart = self.begun_apart or (begins is not None and bool((begins != 0).any()))
        since = self.begins if begins is None else begins
        seen = visible(queries, keys, since if apart else since[:1, :1] * 0, self.window, self.step_tokens)
        return AttentionMask(queries, seen)

    def begin_at(self, begins: Tensor) -> None:
        """Set the number of the first token of each row's running episode, int64 [B, 1]."""
        self.begins = begins.clone()
        self.begun_apart = bool((begins != 0).any())

    def store(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store new keys and values [B, heads, count, width]; returns all visible ones [B, heads, keys, width]."""
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


def begins_of(first: Tensor, steps: int, running: Tensor, step_tokens: int) -> Tensor:
    """Number of the first token of each frame's episode, int64 [B, T].

    Args:
        first: bool [B, T], where an episode starts.
        steps: number of steps before these.
        running: int64 [B, 1], number of the first token of the running episode.
        step_tokens: tokens of a step.
    """
    numbers = step_tokens * (steps + torch.arange(first.shape[1], device=first.device))
    return torch.where(first, numbers, running).cummax(1).values
