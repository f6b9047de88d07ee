"""The transformer of a world model: pre-norm blocks, causal attention in a sliding window.

IRIS, Micheli et al. 2022 (arXiv:2209.00588), appendix A.2, with the blocks of minGPT. Unlike the paper, positions are
rotary (Su et al. 2021, arXiv:2104.09864), because a window over absolute positions cannot slide; those are an option.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from racing_vpt.nn.kv_cache import AttentionMask, KVCache

Positions = Literal["rotary", "absolute"]
Asked = tuple[Tensor, Tensor, Tensor]  # queries, keys and values, each [B, heads, Q, width]
BASE = 10_000.0  # of the rotary frequencies, as usual


@dataclass(frozen=True)
class WorldSize:
    """Widths and depths of a world model's transformer.

    Args:
        layers: number of blocks.
        width: D.
        heads: attention heads.
        window: steps that attention reaches back, the current one included.
        dropout: share of activations dropped in training.
    """

    layers: int = 10
    width: int = 256
    heads: int = 4
    window: int = 20
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if min(self.layers, self.heads, self.window) < 1 or self.width % (2 * self.heads):
            raise ValueError(
                f"layers, heads and window must be at least 1, and a head's width even, but {self} was given"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), but {self.dropout} was given")


WORLD_SIZES: dict[str, WorldSize] = {
    "paper": WorldSize(),
    "tiny": WorldSize(layers=3, width=128, heads=4, window=8, dropout=0.0),
}


def turns(numbers: Tensor, width: int, like: Tensor) -> Tensor:
    """Cosines and sines [2, Q, width / 2] of the rotary positions of tokens with these numbers, int64 [Q].

    Computed in float64, so that the millionth token is rotated as precisely as the first.
    """
    rates = BASE ** (-torch.arange(0, width, 2, dtype=torch.float64, device=numbers.device) / width)
    angles = numbers.double()[:, None] * rates
    return torch.stack([angles.cos(), angles.sin()]).to(like.dtype)


def turned(x: Tensor, turn: Tensor) -> Tensor:
    """X [B, heads, Q, width] with rotary positions applied: pairs of the first and second half of the width."""
    cos, sin = turn
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


class Block(nn.Module):
    """(B, Q, D) to (B, Q, D).

    Args:
        size: widths.
        number: index of the layer in the cache.
    """

    def __init__(self, size: WorldSize, number: int) -> None:
        super().__init__()
        D = size.width
        self.heads, self.number, self.dropout = size.heads, number, size.dropout
        self.attention_norm, self.mlp_norm = nn.LayerNorm(D), nn.LayerNorm(D)
        self.query_key_value, self.out = nn.Linear(D, 3 * D), nn.Linear(D, D)
        self.up, self.down = nn.Linear(D, 4 * D), nn.Linear(4 * D, D)

    def ask(self, x: Tensor, turn: Tensor | None) -> Asked:
        """Queries, keys and values [B, heads, Q, width] of x [B, Q, D], rotated by `turn`."""
        q, k, v = rearrange(self.query_key_value(self.attention_norm(x)), "b q (p h e) -> p b h q e", p=3, h=self.heads)
        if turn is not None:
            q, k = turned(q, turn), turned(k, turn)
        return q, k, v

    def attend(self, asked: Asked, mask: AttentionMask, memory: KVCache | None) -> Tensor:
        """Attention output [B, heads, Q, width] over the new and the cached tokens."""
        q, k, v = asked
        if memory is not None:
            k, v = memory.store(self.number, k, v)
        dropout = self.dropout if self.training else 0.0
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask.visible, dropout_p=dropout)

    def add(self, x: Tensor, read: Tensor) -> Tensor:
        """The rest of the block: x [B, Q, D] plus projected attention output and MLP."""
        x = x + F.dropout(self.out(rearrange(read, "b h q e -> b q (h e)")), self.dropout, self.training)
        return x + F.dropout(self.down(F.gelu(self.up(self.mlp_norm(x)))), self.dropout, self.training)

    def forward(self, x: Tensor, mask: AttentionMask, turn: Tensor | None, memory: KVCache | None) -> Tensor:
        return self.add(x, self.attend(self.ask(x, turn), mask, memory))


class Blocks(nn.Module):
    """All blocks.

    Args:
        size: widths and depths.
        positions: `rotary`, or `absolute`: learned positions within a window, which cannot slide.
        step_tokens: tokens of a step.
    """

    def __init__(self, size: WorldSize, positions: Positions, step_tokens: int) -> None:
        super().__init__()
        self.size, self.step_tokens, self.slides = size, step_tokens, positions == "rotary"
        self.width, self.window = size.width, size.window
        self.places = None if self.slides else nn.Embedding(size.window * step_tokens, size.width)
        self.blocks = nn.ModuleList(Block(size, number) for number in range(size.layers))
        self.norm = nn.LayerNorm(size.width)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile what lies before and after each attention, in place; arguments as `torch.compile`.

        Attention is not compiled: the cache grows from pass to pass, and each length would need another program. All
        layers share the compiled functions, so that compiling takes seconds.
        """
        ask: Any = torch.compile(Block.ask, *args, **kwargs)
        add: Any = torch.compile(Block.add, *args, **kwargs)
        for block in self.blocks:
            setattr(block, "ask", partial(ask, block))  # noqa: B010 - takes the place of a method
            setattr(block, "add", partial(add, block))  # noqa: B010

    def memory(self, batch: int) -> KVCache:
        """An empty cache for `batch` rows."""
        size = self.size
        return KVCache(
            layers=size.layers,
            batch=batch,
            heads=size.heads,
            width=size.width // size.heads,
            window=size.window,
            step_tokens=self.step_tokens,
            like=self.norm.weight.data,
        )

    def forward(self, x: Tensor, mask: AttentionMask, memory: KVCache | None = None) -> Tensor:
        """Features (B, Q, D) of the new tokens' embeddings (B, Q, D)."""
        turn = turns(mask.numbers, self.size.width // self.size.heads, x) if self.slides else None
        if self.places is not None:
            x = x + self.places(mask.numbers)
        x = F.dropout(x, self.size.dropout if self.training else 0.0)
        for block in self.blocks:
            x = block(x, mask, turn, memory)
        return self.norm(x)
