"""Batches of IRIS: segments whose frames are tokens, and a cache of tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from racing_vpt.types import Batch, Segments

MOST_FRAMES = 256  # encoded at once


class TokenSegments(NamedTuple):
    """B segments of T steps as tokens int64 [B, T, K]; all else as in `Segments`.

    `ended_known` bool [B, T] is the mask of steps for which it is known whether the action ended the episode: where a
    step follows, or the end is recorded.
    """

    tokens: Tensor
    actions: Tensor
    rewards: Tensor
    first: Tensor
    valid: Tensor
    ended: Tensor
    ended_known: Tensor

    def rows(self, chosen: Tensor) -> TokenSegments:
        """The segments with these numbers, int64 [rows]."""
        return TokenSegments(*(x[chosen] for x in self))

    def batch(self, names: tuple[str, ...]) -> Batch:
        """The segments as a batch of codes; `names` are those of the controls."""
        controls = dict(zip(names, self.actions.unbind(-1), strict=True))
        frames = self.tokens.new_zeros(len(self.tokens), 0, 1, 1, 3, dtype=torch.uint8)
        return Batch(
            frames, controls, self.first, self.valid, self.valid.float(), self.rewards, codes=self.tokens.float()
        )


def token_segments(segments: list[Segments], tokens: list[Tensor]) -> TokenSegments:
    """Concatenate segments and their tokens into one batch."""
    columns: dict[str, Tensor] = {
        name: torch.cat([getattr(each, name) for each in segments])
        for name in ("actions", "rewards", "first", "valid", "terminated", "truncated")
    }
    ended, valid = columns["terminated"] | columns.pop("truncated"), columns["valid"]
    known = valid & ended
    known[:, :-1] |= valid[:, :-1] & valid[:, 1:]
    known[:, -1] = False  # of segments that were cut here only ends would be known
    return TokenSegments(torch.cat(tokens), **columns | {"ended": columns.pop("terminated")}, ended_known=known)


class TokenCache:
    """Tokens of frames that were encoded before, by frame number; valid as long as the tokenizer does not change.

    Args:
        num_tokens: K, tokens of a frame.
        most: largest number of frames; beyond it the oldest are dropped.
    """

    def __init__(self, num_tokens: int, most: int = 300_000) -> None:
        self.num_tokens, self.most = num_tokens, most
        self.known: dict[int, Tensor] = {}

    def forget(self) -> None:
        """Drop everything, because the tokenizer changed."""
        self.known.clear()

    @torch.no_grad()
    def tokens(self, frames: Tensor, index: Tensor, code: Callable[[Tensor], Tensor]) -> Tensor:
        """Tokens int64 [B, T, K] of frames uint8 [B, T, H, W, 3] with numbers int64 [B, T]."""
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
        """Contents for a checkpoint: a frame encoded in another batch might get other tokens."""
        if not self.known:
            return {"index": torch.zeros(0, dtype=torch.int64), "tokens": torch.zeros(0, self.num_tokens)}
        return {"index": torch.tensor(list(self.known)), "tokens": torch.stack(list(self.known.values()))}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Load what `state` returned."""
        self.known = dict(zip(state["index"].tolist(), state["tokens"].to(torch.int16).unbind(0), strict=True))
