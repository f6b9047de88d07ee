"""The transformer of a world model: norm before each part, causal attention in a sliding window.

IRIS, Micheli et al. 2022 (arXiv:2209.00588), appendix A.2, whose blocks are those of minGPT. Positions are ours: rotary
(Su et al. 2021, arXiv:2104.09864), because a window over absolute positions cannot slide; those stay an option.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from racing_vpt.nn.sliding_memory import Look, SlidingMemory

Positions = Literal["rotary", "absolute"]
Asked = tuple[Tensor, Tensor, Tensor]  # queries, keys and values, each [B, heads, Q, width]
BASE = 10_000.0  # of the slowest turn, the usual one


@dataclass(frozen=True)
class WorldSize:
    """Widths and depths of a world model's transformer.

    Args:
        layers: blocks.
        width: D.
        heads: of the attention.
        window: steps that attention reaches back to, the running one included.
        dropout: share of numbers that are dropped in training.
    """

    layers: int = 10
    width: int = 256
    heads: int = 4
    window: int = 20
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if min(self.layers, self.heads, self.window) < 1 or self.width % (2 * self.heads):
            raise ValueError(
                f"layers, heads and window count from 1, and each head's width is even, but a size of {self} was given"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is a share in [0, 1), but {self.dropout} was given")


WORLD_SIZES: dict[str, WorldSize] = {
    "paper": WorldSize(),
    "tiny": WorldSize(layers=3, width=128, heads=4, window=8, dropout=0.0),
}


def turns(numbers: Tensor, width: int, like: Tensor) -> Tensor:
    """Cosines and sines [2, Q, width / 2] by which tokens of these numbers int64 [Q] are turned.

    In float64, so that the millionth token is turned as precisely as the first.
    """
    rates = BASE ** (-torch.arange(0, width, 2, dtype=torch.float64, device=numbers.device) / width)
    angles = numbers.double()[:, None] * rates
    return torch.stack([angles.cos(), angles.sin()]).to(like.dtype)


def turned(x: Tensor, turn: Tensor) -> Tensor:
    """Pairs of numbers of x [B, heads, Q, width] turned, those of the first half with those of the second."""
    cos, sin = turn
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


class Block(nn.Module):
    """(B, Q, D) to (B, Q, D).

    Args:
        size: widths.
        number: of the layer, from 0, in the memory.
    """

    def __init__(self, size: WorldSize, number: int) -> None:
        super().__init__()
        D = size.width
        self.heads, self.number, self.dropout = size.heads, number, size.dropout
        self.attention_norm, self.mlp_norm = nn.LayerNorm(D), nn.LayerNorm(D)
        self.query_key_value, self.out = nn.Linear(D, 3 * D), nn.Linear(D, D)
        self.up, self.down = nn.Linear(D, 4 * D), nn.Linear(4 * D, D)

    def ask(self, x: Tensor, turn: Tensor | None) -> Asked:
        """Queries, keys and values [B, heads, Q, width] of x [B, Q, D], whose tokens are turned by `turn`."""
        q, k, v = rearrange(self.query_key_value(self.attention_norm(x)), "b q (p h e) -> p b h q e", p=3, h=self.heads)
        if turn is not None:
            q, k = turned(q, turn), turned(k, turn)
        return q, k, v

    def attend(self, asked: Asked, look: Look, memory: SlidingMemory | None) -> Tensor:
        """What is read [B, heads, Q, width] of these tokens and of those remembered."""
        q, k, v = asked
        if memory is not None:
            k, v = memory.store(self.number, k, v)
        dropout = self.dropout if self.training else 0.0
        return F.scaled_dot_product_attention(q, k, v, attn_mask=look.visible, dropout_p=dropout)

    def add(self, x: Tensor, read: Tensor) -> Tensor:
        """X [B, Q, D] and what follows from what was read."""
        x = x + F.dropout(self.out(rearrange(read, "b h q e -> b q (h e)")), self.dropout, self.training)
        return x + F.dropout(self.down(F.gelu(self.up(self.mlp_norm(x)))), self.dropout, self.training)

    def forward(self, x: Tensor, look: Look, turn: Tensor | None, memory: SlidingMemory | None) -> Tensor:
        return self.add(x, self.attend(self.ask(x, turn), look, memory))


class Blocks(nn.Module):
    """All blocks.

    Args:
        size: widths and depths.
        positions: `rotary`, or `absolute`: learnt ones of the tokens of a window, which cannot slide.
        step_tokens: tokens in a step.
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

        Attention stays as it is: what is remembered becomes longer from pass to pass, and each length would be another
        program. Layers share theirs, so that it is there within seconds.
        """
        parts = {name: torch.compile(getattr(Block, name), *args, **kwargs) for name in ("ask", "add")}
        for block in self.blocks:
            vars(block).update({name: partial(part, block) for name, part in parts.items()})

    def memory(self, batch: int) -> SlidingMemory:
        """An empty memory for `batch` rows."""
        size = self.size
        return SlidingMemory(
            size.layers,
            batch,
            size.heads,
            size.width // size.heads,
            size.window,
            self.step_tokens,
            self.norm.weight.data,
        )

    def forward(self, x: Tensor, look: Look, memory: SlidingMemory | None = None) -> Tensor:
        """Features (B, Q, D) of the new tokens' embeddings (B, Q, D)."""
        turn = turns(look.numbers, self.size.width // self.size.heads, x) if self.slides else None
        if self.places is not None:
            x = x + self.places(look.numbers)
        x = F.dropout(x, self.size.dropout if self.training else 0.0)
        for block in self.blocks:
            x = block(x, look, turn, memory)
        return self.norm(x)
