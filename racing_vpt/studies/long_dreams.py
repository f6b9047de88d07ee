"""Long dreams with a sliding KV cache, or with one that is cleared periodically."""

from __future__ import annotations

import torch
from torch import Tensor
from tqdm import tqdm

from racing_vpt.models.token_world import STARTS, TokenWorld
from racing_vpt.nn.tokenizer_net import frames_of


def imagined(
    world: TokenWorld, frames: int, dreams: int, tau: float, seed: int, every: int | None
) -> tuple[Tensor, Tensor]:
    """Pictures uint8 [frames, dreams, H, W, 3], and bool [frames]: whether the cache was cleared just before the frame.

    Args:
        world: the world model, which starts from its stored episode starts; ValueError if it was never trained.
        frames: length of each dream.
        dreams: number of dreams.
        tau: temperature.
        seed: seed of all draws.
        every: frames after which the cache is cleared except for the last frame; None: the world model's own policy.
    """
    random = torch.Generator().manual_seed(seed)
    kept = max(1, min(int(world.num_starts), STARTS))
    with torch.inference_mode():
        state = world.begin(torch.randint(kept, (dreams,), generator=random))
        piece = world.size.window - 1  # (starts, T, A): action t led to frame t; the first is unused
        rows = torch.randint(kept, (-(-frames // piece), dreams), generator=random)
        actions = world.start_actions[rows, 1:].transpose(1, 2).flatten(0, 1)  # (frames or more, dreams, A)
        pictures, flushed = [], []
        for frame in tqdm(range(frames), unit="frame", desc="flushed" if every else "imagined"):
            flushes = state.flushes
            if every and frame % every == every - 1:
                last = state.observation
                assert last is not None, "a state that began has an observation"
                state = world.observe(
                    last[:, None], torch.zeros_like(actions[:1]).transpose(0, 1), world.initial(dreams)
                )
                flushes = -1
            step = world.imagine(actions[frame], state, tau, random)
            state = step.state  # type: ignore[assignment]
            flushed.append(state.flushes != flushes)
            pictures.append(frames_of(world.show(step.observation)))
    return torch.stack(pictures), torch.tensor(flushed)
