"""Stacks frames as channels, so that a policy sees motion without a memory.

DQN, Mnih et al. 2015, stacks four frames; OpenAI's VPT sees one. A policy with a memory learns to repeat its own
previous controls instead of looking at the road (de Haan et al. 2019, arXiv:1905.11979, "causal confusion"); one that
sees two frames only cannot.
"""

import torch
from einops import rearrange
from torch import Tensor, nn

StackState = tuple[Tensor, Tensor]
"""Frames before this call, uint8 (B, P, H, W, C), and how many of them belong to the running episode, int64 (B)."""


class FrameStack(nn.Module):
    """Frames to stacks of frames; an episode's first frame stands in for missing earlier ones.

    Args:
        look_back: how many frames back each frame of the stack lies; (0,) is the current frame alone, (0, 4) it and
            the one four frames earlier.
    """

    def __init__(self, look_back: tuple[int, ...]) -> None:
        super().__init__()
        if not look_back or min(look_back) < 0 or 0 not in look_back or len(set(look_back)) != len(look_back):
            raise ValueError(
                f"look_back is {list(look_back)}; expected different numbers of frames, 0 (the frame itself) among "
                "them and none negative, such as [0, 4]"
            )
        self.look_back = look_back
        self.past = max(look_back)

    def initial_state(self, batch_size: int, shape: tuple[int, int, int], device: torch.device | str) -> StackState:
        """No frames before; `shape` is a frame's (H, W, C)."""
        frames = torch.zeros(batch_size, self.past, *shape, dtype=torch.uint8, device=device)
        return frames, torch.zeros(batch_size, dtype=torch.int64, device=device)

    def forward(
        self, frames: Tensor, first: Tensor, state: StackState, wanted: Tensor | None = None
    ) -> tuple[Tensor, StackState]:
        """Stacks, and the state for the next call.

        Args:
            frames: uint8 (B, T, H, W, C).
            first: bool (B, T), True where an episode starts; earlier frames are not seen from there on.
            state: state returned by the previous call, or `initial_state`.
            wanted: bool (B, T), the N frames whose stacks are needed; None for all.

        Returns:
            uint8 (B, T, H, W, len(look_back) * C), or (N, H, W, len(look_back) * C) of those wanted; and the state.
        """
        T = frames.shape[1]
        if self.past == 0:
            return frames if wanted is None else frames[wanted], state
        before, known = state
        here = torch.arange(self.past, self.past + T, device=frames.device)
        started = torch.where(first, here, 0).cummax(dim=1).values  # (B, T), 0 while the earlier episode goes on
        started = torch.maximum(started, rearrange(self.past - known, "b -> b 1"))
        offsets = torch.tensor(self.look_back, device=frames.device)
        places = torch.maximum(rearrange(here, "t -> t 1") - offsets, rearrange(started, "b t -> b t 1"))  # (B, T, k)
        rows = rearrange(torch.arange(len(frames), device=frames.device), "b -> b 1 1").expand_as(places)
        if wanted is not None:
            places, rows = places[wanted], rows[wanted]  # (N, k)
        if bool((places >= self.past).all()):  # joining them copies every frame, those that nobody looks at too
            source, places = frames, places - self.past
        else:
            source = torch.cat([before, frames], dim=1)  # (B, P + T, H, W, C)
        # a gather for each frame of the stack takes 0.4 times as long as one gather and a transposition
        parts = [source[row, place] for row, place in zip(rows.unbind(-1), places.unbind(-1), strict=True)]
        stacks = torch.cat(parts, dim=-1)  # (..., H, W, k C)
        age = (self.past + T - started[:, -1]).clamp(max=self.past)
        last = frames[:, T - self.past :] if self.past <= T else torch.cat([before, frames], dim=1)[:, T:]
        return stacks, (last, age)
