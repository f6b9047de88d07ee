"""Global motion of the picture between frames, estimated by least squares without learned weights.

Lucas and Kanade 1981, "An Iterative Image Registration Technique", with an affine model (Bergen et al. 1992,
"Hierarchical Model-Based Motion Estimation") from coarse to fine. In a racing game the picture moves
because the car does: the six parameters give speed, slip and turn to a few hundredths of a pixel, so that their change
over some frames reveals the pedals. A CNN needs hours of labels to learn the same. OpenAI's IDM has no such input.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

NUM_MOTION = 7  # six affine parameters and the residual
DAMPING = 5e-5  # per pixel, on the normal equations: no motion where there is no texture
SCALE = (50.0, 200.0, 50.0, 50.0, 20.0, 200.0, 200.0)  # scales to about 1 for CarRacing; a running norm follows
LUMA = (0.299 / 255, 0.587 / 255, 0.114 / 255)  # ITU-R BT.601, to [0, 1]
CHUNK = 32  # pictures at a time, which fit the processor's cache: twice as fast as hundreds
SMOOTH = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)


class GlobalMotion(nn.Module):
    """Frames uint8 [B, T, H, W, 3] to motion float32 [B, T, 7] from each to the next; zeros for the last.

    Args:
        ignored: bool [H, W], true where the picture does not move with the world (the car, an instrument strip). Rows
            at the bottom that are ignored altogether are cut off.
        levels: halvings of the picture at the coarsest level.
        finest: halvings at the finest level; 1 is twice as fast as 0, and tells less about the pedals (LOG.md).
        iterations: steps at each level but the finest, where one suffices.
        remembered: largest number of pairs of frames whose motion is kept, for training that draws the same frames
            again and again; measuring is most of its time on a CPU. 0: none. The last bits of a measurement depend on
            the pairs beside it, so a resumed run then equals an uninterrupted one to rounding only.
    """

    def __init__(
        self, ignored: Tensor, levels: int = 2, finest: int = 0, iterations: int = 2, remembered: int = 0
    ) -> None:
        super().__init__()
        self.remembered = remembered
        self.memory: dict[tuple[int, int], np.ndarray] = {}  # by the hashes of both frames: motion float32 [7]
        if not 0 <= finest <= levels:
            raise ValueError(f"finest must lie between 0 and {levels} halvings, but {finest} was given")
        self.levels, self.finest, self.iterations = levels, finest, iterations
        self.rows = int((~ignored).any(1).nonzero().max()) + 1
        ignored = ignored[: self.rows]
        for level in range(finest, levels + 1):
            hidden = F.max_pool2d(ignored[None].float(), 2**level, ceil_mode=True)  # [1, H / 2^level, W / 2^level]
            around = F.max_pool2d(hidden, 7, stride=1, padding=3)  # blur and gradient reach three pixels further
            self.register_buffer(f"seen_{level}", (1 - around).flatten(), persistent=False)
            for name, length in (("down", self.rows), ("across", ignored.shape[1])):
                self.register_buffer(f"{name}_{level}", shrinking(length, 2**level), persistent=False)

    @torch.no_grad()
    def forward(self, frames: Tensor, valid: Tensor | None) -> Tensor:
        with torch.autocast(frames.device.type, enabled=False):
            found = self.recall(frames) if self.remembered and self.training else self.measure(frames)
            if valid is not None:
                found = found * (valid[:, :-1] & valid[:, 1:]).unsqueeze(-1)
            return F.pad(found, (0, 0, 0, 1)).clamp(-20, 20)

    def measure(self, frames: Tensor) -> Tensor:
        """Frames uint8 [B, T, H, W, 3] to motion float32 [B, T - 1, 7]."""
        B, T = frames.shape[:2]
        luma = frames[:, :, : self.rows].float() @ torch.tensor(LUMA, device=frames.device)  # [B, T, H, W]
        motion = torch.zeros(B * (T - 1), 6, device=frames.device)
        residual = torch.zeros(B * (T - 1), device=frames.device)
        for level in range(self.levels, self.finest - 1, -1):
            small = getattr(self, f"down_{level}") @ luma @ getattr(self, f"across_{level}").T
            one, two = (rearrange(x, "b t h w -> (b t) h w") for x in (small[:, :-1], small[:, 1:]))
            iterations = 1 if level == self.finest else self.iterations
            seen = getattr(self, f"seen_{level}")
            few = zip(motion.split(CHUNK), one.split(CHUNK), two.split(CHUNK), strict=True)
            refined = [refine(*pictures, seen, iterations) for pictures in few]
            motion, residual = (torch.cat(parts) for parts in zip(*refined, strict=True))
        found = torch.cat([motion, residual.unsqueeze(1)], 1) * torch.tensor(SCALE, device=frames.device)
        return rearrange(found, "(b t) n -> b t n", b=B)

    def recall(self, frames: Tensor) -> Tensor:
        """As `measure`, but only of pairs of frames that were not measured before."""
        pictures = frames.cpu().numpy()
        hashes = [[hash(picture.tobytes()) for picture in clip] for clip in pictures]
        pairs = [pair for clip in hashes for pair in pairwise(clip)]
        known = {pair: self.memory[pair] for pair in pairs if pair in self.memory}
        missing = {pair: number for number, pair in enumerate(pairs) if pair not in known}
        if missing:
            one, two = (rearrange(x, "b t h w c -> (b t) h w c") for x in (frames[:, :-1], frames[:, 1:]))
            places = list(missing.values())
            measured = self.measure(torch.stack([one[places], two[places]], 1))[:, 0].cpu().numpy()
            known.update(zip(missing, measured, strict=True))
            room = self.remembered - len(self.memory)
            self.memory.update((pair, known[pair]) for pair in [*missing][: max(0, room)])
        found = torch.from_numpy(np.stack([known[pair] for pair in pairs])).to(frames.device)
        return rearrange(found, "(b t) n -> b t n", b=len(frames))


def shrinking(length: int, factor: int) -> Tensor:
    """Matrix float32 [length / factor, length] that averages `factor` pixels and smooths the result.

    Smoothing by a binomial of five pixels makes the picture locally linear enough for a least-squares step.
    """
    shorter = -(-length // factor)
    mean = torch.zeros(shorter, length)
    for place in range(shorter):
        mean[place, place * factor : (place + 1) * factor] = 1
    mean /= mean.sum(1, keepdim=True)
    smooth = torch.zeros(shorter, shorter)
    for place in range(shorter):
        for offset, weight in enumerate(SMOOTH, -2):
            smooth[place, min(max(place + offset, 0), shorter - 1)] += weight  # the border is repeated
    return smooth @ mean


def refine(motion: Tensor, one: Tensor, two: Tensor, seen: Tensor, iterations: int) -> tuple[Tensor, Tensor]:
    """Refined motion [N, 6] from pictures [N, H, W] to the next ones [N, H, W], and the mean residual [N].

    A point (x, y), each from -1 to 1 in the picture, goes to (x, y) + (a + b x + c y, d + e x + f y) for the motion
    a to f. `seen` float32 [H W] weighs the pixels.
    """
    N, height, width = one.shape
    y = ((torch.arange(height, device=one.device) + 0.5) / height * 2 - 1)[:, None].expand(height, width).flatten()
    x = ((torch.arange(width, device=one.device) + 0.5) / width * 2 - 1)[None].expand(height, width).flatten()
    basis = torch.stack([torch.ones_like(x), x, y])  # [3, H W]
    squares = torch.stack([p * q for p in basis for q in basis], 1)  # [H W, 9]
    right = F.pad((one[:, :, 2:] - one[:, :, :-2]) * (width / 4), (1, 1)).flatten(1)  # [N, H W], for a unit of x
    down = F.pad((one[:, 2:] - one[:, :-2]) * (height / 4), (0, 0, 1, 1)).flatten(1)
    products = torch.stack([right * right, right * down, down * down], 1)  # [N, 3, H W]
    damping = DAMPING * height * width * torch.eye(6, device=one.device)
    residual = torch.zeros(N, device=one.device)
    for _ in range(iterations):
        moved_x = motion[:, :3] @ basis + x  # [N, H W]
        moved_y = motion[:, 3:] @ basis + y
        grid = torch.stack([moved_x, moved_y], -1).view(N, height, width, 2)
        warped = F.grid_sample(two[:, None], grid, align_corners=False, padding_mode="border").flatten(1)
        weight = ((moved_x.abs() < 1) & (moved_y.abs() < 1)) * seen
        error = (one.flatten(1) - warped) * weight
        xx, xy, yy = ((products * weight[:, None]) @ squares).view(N, 3, 3, 3).unbind(1)  # [N, 3, 3] each
        normal = torch.cat([torch.cat([xx, xy], 2), torch.cat([xy, yy], 2)], 1) + damping  # [N, 6, 6]
        pull = torch.cat([(error * right) @ basis.T, (error * down) @ basis.T], 1)  # [N, 6]
        motion = motion + torch.linalg.solve(normal, pull)
        residual = error.abs().mean(1)
    return motion.clamp(-1, 1), residual
