"""Speed of a world model's imagination, with and without a KV cache."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from racing_vpt.nn.token_world import GPTWorld

FRAMES = 20  # of each dream, the horizon of IRIS


def bench_imagination(paper: bool = True) -> dict[str, float]:
    """Time dreams of world models with random weights, without decoding frames, as in the training of IRIS.

    Args:
        paper: also time the paper's size, which takes a minute or two.

    Returns:
        Frames per second by name: `tiny_16`, `tiny_16_without` (without KV cache: the whole window for each token),
        their ratio `cache_speedup`; `tiny_play` (one row); for the paper's size with bf16 weights `paper_16` and
        `paper_64`, in float32 `paper_16_float32`.
    """
    import torch

    found = {
        "tiny_16": cached(world("tiny"), 16),
        "tiny_16_without": uncached(world("tiny"), 16),
        "tiny_play": cached(world("tiny"), 1),
    }
    found["cache_speedup"] = found["tiny_16"] / found["tiny_16_without"]
    if paper:
        half = world("paper").to(torch.bfloat16)
        found |= {"paper_16": cached(half, 16), "paper_64": cached(half, 64)}
        found["paper_16_float32"] = cached(world("paper"), 16)
    threads, load = torch.get_num_threads(), os.getloadavg()[0]
    figures = ", ".join(f"{name} {value:,.1f}" for name, value in found.items())
    print(f"imagining, frames/s: {figures} ({threads} threads, load {load:.1f})")
    return found


def world(size: str) -> GPTWorld:
    """IRIS's world model of the given size for CarRacing, with random weights."""
    from racing_vpt.games.read import load_game
    from racing_vpt.nn.token_blocks import WORLD_SIZES, Blocks
    from racing_vpt.nn.token_world import GPTWorld

    return GPTWorld(Blocks(WORLD_SIZES[size], "rotary", 17), load_game("carracing").scheme("few")).eval()


def cached(net: GPTWorld, rows: int) -> float:
    """Frames per second of `rows` dreams of `FRAMES` frames each."""
    import torch

    actions = torch.rand(rows, 3)
    with torch.inference_mode():
        for warm in (True, False):
            state = net.observe(torch.randint(512, (rows, 1, 16)), actions.unsqueeze(1), net.initial(rows))
            begun = time.perf_counter()
            for _ in range(2 if warm else FRAMES):
                state = net.imagine(actions, state).state  # type: ignore[assignment]
    return rows * FRAMES / (time.perf_counter() - begun)


def uncached(net: GPTWorld, rows: int, tokens: int = 6) -> float:
    """The same without a KV cache: each token needs a pass over all tokens of the window.

    Args:
        net: the world model.
        rows: number of dreams.
        tokens: number of tokens to sample at each of three lengths of the dream.
    """
    import torch
    from einops import rearrange

    from racing_vpt.nn.imagination import draw
    from racing_vpt.nn.kv_cache import AttentionMask, visible

    def seconds_a_token(frames: int) -> float:
        x = torch.randn(rows, frames * 17, net.blocks.width)
        numbers = torch.arange(x.shape[1])
        mask = AttentionMask(
            numbers, visible(numbers, numbers, torch.zeros(1, 1, dtype=torch.int64), net.blocks.window, 17)
        )
        begun = time.perf_counter()
        for _ in range(tokens):
            last: Tensor = rearrange(net.blocks(x, mask)[:, -1:], "b 1 d -> b d")
            draw(net.next_token(last), 1.0)
        return (time.perf_counter() - begun) / tokens

    with torch.inference_mode():
        seconds_a_token(2)
        window = net.blocks.window
        lengths = [min(frame, window) for frame in range(1, FRAMES + 1)]  # frames already in the window
        known = {length: seconds_a_token(length) for length in sorted({1, max(1, window // 2), window})}
        nearest = [known[min(known, key=lambda each: abs(each - length))] for length in lengths]
    return rows * FRAMES / (17 * sum(nearest))
