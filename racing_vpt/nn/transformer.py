"""VPT's residual transformer, with OpenAI's parameter names and numerics.

VPT, Baker et al. 2022 (arXiv:2206.11795), appendix D.1. Differences from a usual transformer, needed for public
checkpoints: the attention adds its result to its *normalised* input (only the MLP has a true residual); logits are
scaled by 1/e for head width e; a relative-position bias is computed from the query's input. Ours: an episode may
start at any frame of a chunk (OpenAI's code looks only at the chunk's first frame), and, off by default, relative
positions for attention that is not causal.
"""

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from racing_vpt.nn.impala import FanInInitReLULayer, fan_in_, normed_linear
from racing_vpt.nn.sizes import NetSize

NBASIS = 10  # coefficients per head for the relative-position bias
MASKED = -1e9  # finite, so that a row with all keys masked does not become NaN

BlockState = tuple[Tensor, tuple[Tensor, Tensor]]
"""Memory of a block: mask of keys of the running episode, bool (B, M), and keys and values, float32 (B, M, D)."""

NetState = list[BlockState]


def scaled_linear(inputs: int, outputs: int, *, scale: float = 1.0, bias: bool = True) -> nn.Linear:
    """Linear layer whose outputs' weights have norm `scale`, with a zero bias."""
    linear = nn.Linear(inputs, outputs, bias=bias)
    fan_in_(linear, scale)
    return linear


def place_bands(bands: Tensor) -> Tensor:
    """(..., T, N) to (..., T, T + N - 1): row i is shifted i places to the right, zeros elsewhere.

    The rows are padded to one more than the new width and read back at the new width, so nothing is gathered.
    """
    T, N = bands.shape[-2:]
    width = T + N - 1
    padded = F.pad(bands, (0, width + 1 - N)).flatten(-2)  # (..., T * (width + 1))
    return padded[..., : T * width].unflatten(-1, (T, width))


@dataclass(frozen=True)
class Mask:
    """Attention mask for all blocks of one forward pass.

    Args:
        bias: additive mask float32 (B, 1, T, M + T), 0 where a query sees a key, else `MASKED`; None: no mask.
        state: bool (B, M): which of the last M keys belong to the episode that runs at the chunk's end.
    """

    bias: Tensor | None
    state: Tensor


def clipped_causal_mask(first: Tensor, state: Tensor) -> Mask:
    """Causal mask: each query sees the last M keys of its own episode, itself included.

    Args:
        first: bool (B, T), True where an episode starts.
        state: bool (B, M), which keys of the memory belong to the episode that ran before this chunk.
    """
    (B, T), M = first.shape, state.shape[1]
    episode = first.long().cumsum(1)  # (B, T), 0 while the memory's episode goes on
    steps = torch.arange(M + T, device=first.device)
    behind = (steps[:T, None] + M) - steps[None]  # (T, M + T) frames from key back to query
    band = (behind >= 0) & (behind < M)
    remembered = state[:, None] & (episode == 0)[:, :, None]  # (B, T, M)
    current = episode[:, :, None] == episode[:, None]  # (B, T, T)
    visible = band & torch.cat([remembered, current], dim=2)
    bias = torch.zeros(B, 1, T, M + T, device=first.device).masked_fill_(~visible[:, None], MASKED)
    kept = torch.cat([remembered[:, -1], current[:, -1]], dim=1)[:, T:]  # (B, M)
    return Mask(bias, kept)


def validity_mask(valid: Tensor | None, state: Tensor) -> Mask:
    """Mask under which all frames see all valid ones; `valid` is bool (B, T), None for all."""
    if valid is None:
        return Mask(None, state)
    bias = torch.zeros(valid.shape, device=valid.device).masked_fill_(~valid, MASKED)
    return Mask(rearrange(bias, "b t -> b 1 1 t"), state)


class SelfAttention(nn.Module):
    """X to X + R(X) for normalized X. Logits and softmax are float32 under autocast too."""

    def __init__(self, size: NetSize, *, causal: bool, scale: float) -> None:
        super().__init__()
        width = size.hidsize
        self.heads = size.attention_heads
        self.memory = size.memory if causal else 0
        self.window = 0 if causal else size.relative_window
        self.q_layer = scaled_linear(width, width)
        self.k_layer = scaled_linear(width, width, bias=False)
        self.v_layer = scaled_linear(width, width, bias=False)
        self.proj_layer = scaled_linear(width, width, scale=scale)
        self.r_layer = scaled_linear(width, NBASIS * self.heads)
        self.b_nd = nn.Parameter(torch.randn(NBASIS, self.memory) * 0.1)
        if self.window:
            self.b_relative = nn.Parameter(torch.randn(NBASIS, 2 * self.window + 1) * 0.1)
        elif not self.memory:  # OpenAI's IDM has these parameters, but does not use them
            self.r_layer.requires_grad_(False)
            self.b_nd.requires_grad_(False)

    def relative_bias(self, x: Tensor) -> Tensor | None:
        """(B, T, D) to float32 (B, heads, T, keys), None where the net has no positions."""
        if not self.memory and not self.window:
            return None
        coefficients = rearrange(self.r_layer(x).float(), "b t (h n) -> b h t n", n=NBASIS)
        if self.memory:  # b_nd[:, d] is for the key d frames back; query i's oldest key is number i + 1 of M + T
            return F.pad(place_bands(coefficients @ self.b_nd.float().flip(1)), (1, 0))
        bands = place_bands(coefficients @ self.b_relative.float())  # from W frames back to W frames ahead
        return bands[..., self.window : self.window + x.shape[1]]

    def forward(self, x: Tensor, mask: Mask, memory: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        q, k, v = self.q_layer(x).float(), self.k_layer(x).float(), self.v_layer(x).float()
        k, v = torch.cat([memory[0], k], dim=1), torch.cat([memory[1], v], dim=1)  # (B, M + T, D)
        with torch.autocast(x.device.type, enabled=False):
            bias = self.relative_bias_or_mask(x, mask)
            q_heads, k_heads, v_heads = (rearrange(y, "b t (h e) -> b h t e", h=self.heads) for y in (q, k, v))
            scale = 1 / q_heads.shape[-1]
            read = F.scaled_dot_product_attention(q_heads, k_heads, v_heads, attn_mask=bias, scale=scale)
        read = rearrange(read, "b h t e -> b t (h e)")
        keep = k.shape[1] - self.memory
        return x + self.proj_layer(read), (k[:, keep:], v[:, keep:])

    def relative_bias_or_mask(self, x: Tensor, mask: Mask) -> Tensor | None:
        """Additive bias of the logits: float32, broadcasts to (B, heads, T, keys)."""
        relative = self.relative_bias(x.float())
        if relative is None or mask.bias is None:
            return mask.bias if relative is None else relative
        return relative + mask.bias


class MaskedAttention(nn.Module):
    """Wraps the attention under OpenAI's name `orc_block`."""

    def __init__(self, size: NetSize, *, causal: bool, scale: float) -> None:
        super().__init__()
        self.orc_block = SelfAttention(size, causal=causal, scale=scale)

    def forward(self, x: Tensor, mask: Mask, memory: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        return self.orc_block(x, mask, memory)


class ResidualRecurrentBlock(nn.Module):
    """Norm, attention (added to the normalised input), MLP with a residual: (B, T, D) to (B, T, D)."""

    def __init__(self, size: NetSize, *, causal: bool) -> None:
        super().__init__()
        scale = (2 * size.n_recurrence_layers) ** -0.5
        self.pre_r_ln = nn.LayerNorm(size.hidsize)
        self.r = MaskedAttention(size, causal=causal, scale=scale)
        self.mlp0 = normed_linear(size.hidsize, size.hidsize * size.pointwise_ratio)
        down = nn.Linear(size.hidsize * size.pointwise_ratio, size.hidsize)
        self.mlp1 = FanInInitReLULayer(down, scale=scale, relu=False)

    def forward(self, x: Tensor, mask: Mask, state: BlockState) -> tuple[Tensor, BlockState]:
        x, memory = self.r(self.pre_r_ln(x), mask, state[1])
        return x + self.mlp1(self.mlp0(x)), (mask.state, memory)


class ResidualRecurrentBlocks(nn.Module):
    """All blocks and their memories.

    Args:
        size: widths and depths.
        causal: a query sees the last `size.memory` frames of its episode; otherwise every frame of the chunk.

    Raises:
        ValueError: a causal net without memory, or one with memory that is not causal.
    """

    def __init__(self, size: NetSize, *, causal: bool) -> None:
        super().__init__()
        if causal != (size.memory > 0):
            raise ValueError(
                f"a {'causal' if causal else 'non-causal'} net was given attention_memory_size "
                f"{size.attention_memory_size} and timesteps {size.timesteps}; a causal net (a policy) needs more "
                "memory than timesteps, any other (an IDM) exactly as much"
            )
        self.causal = causal
        self.size = size
        self.blocks = nn.ModuleList(
            ResidualRecurrentBlock(size, causal=causal) for _ in range(size.n_recurrence_layers)
        )

    def initial_state(self, batch_size: int, device: torch.device | str) -> NetState:
        """Empty memory of each block."""
        M, D = self.size.memory, self.size.hidsize
        known = torch.zeros(batch_size, M, dtype=torch.bool, device=device)
        empty = torch.zeros(batch_size, M, D, device=device)
        return [(known, (empty, empty)) for _ in self.blocks]

    def forward(
        self, x: Tensor, first: Tensor, state: NetState, valid: Tensor | None, recompute: bool = False
    ) -> tuple[Tensor, NetState]:
        if not self.blocks:  # without attention a network only sees the frames that it is given
            return x, state
        mask = clipped_causal_mask(first, state[0][0]) if self.causal else validity_mask(valid, state[0][0])
        after = []
        for block, block_state in zip(self.blocks, state, strict=True):
            if recompute:  # activation checkpointing
                x, block_state = checkpoint(block, x, mask, block_state, use_reentrant=False)
            else:
                x, block_state = block(x, mask, block_state)
            after.append(block_state)
        return x, after
