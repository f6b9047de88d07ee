"""Additions of the IDM to VPT's network, all optional: senses for a small moving car, and limited attention.

- A view: a crop of the frame in full resolution. In CarRacing the car is always at the same place, 4 x 10 pixels of
  the picture; its front wheels show the steering joint. A wheel covers part of a pixel, so that brightness is the
  ground's times the uncovered share: a sum in logarithms, from which the ground drops out in a difference. Where the
  car itself moves in the picture, feature points follow it across the view instead, in colour (`nn/points.py`).
- Motion: how the whole picture moves (`idm_motion.py`).

Pixels and motion are normalized to mean 0 and deviation 1, feature by feature: a wheel changes a hundredth of what is
always there, which a network would take long to find. Convolutions over time then see what changes.

With `reach`, attention sees this many frames to either side. The label of a frame then depends on its neighbourhood
only, and not on where a video was cut into windows.
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from racing_vpt.models.idm_config import IDMConfig, View
from racing_vpt.models.idm_motion import LUMA, NUM_MOTION, GlobalMotion
from racing_vpt.nn.points import PER_POINT, FeaturePoints
from racing_vpt.nn.transformer import MASKED

CLEAR = 64.0  # distance from the ground, of 255, from which a thing counts as seen in full
BLACK = 6.0  # added to luma of 0 to 255 before its logarithm: below it, differences are noise of the video


class RunningNorm(nn.Module):
    """Normalizes D features to mean 0 and deviation 1 over all training frames so far.

    Statistics of a single batch are not enough: its few clips vary too little.

    Args:
        width: D.
        floor: added to the deviation, so that constant features stay 0.
        memory: largest number of training batches that the averages reach back.
    """

    mean: Tensor
    square: Tensor
    batches: Tensor

    def __init__(self, width: int, floor: float, memory: int = 1000) -> None:
        super().__init__()
        self.floor, self.memory = floor, memory
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("square", torch.zeros(width))
        self.register_buffer("batches", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Float32 [..., D] to the same shape."""
        if self.training:
            with torch.no_grad():
                flat = x.flatten(0, -2)
                self.batches += 1
                share = (1 / self.batches).clamp(min=1 / self.memory)
                self.mean.lerp_(flat.mean(0), share)
                self.square.lerp_(flat.square().mean(0), share)
        deviation = (self.square - self.mean.square()).clamp(min=0).sqrt()
        return (x - self.mean) / (deviation + self.floor)


def look(view: View, dropout: float) -> nn.Module:
    """CNN from pictures of the view float32 [N, 1, height, width] to features [N, D]."""
    halved = ((view.height + 1) // 2) * ((view.width + 1) // 2)
    return nn.Sequential(
        nn.Conv2d(1, view.channels, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(view.channels, 2 * view.channels, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(2 * view.channels * halved, view.features),
        nn.GELU(),
    )


class Senses(nn.Module):
    """Frames uint8 [B, T, H, W, 3] to features [B, T, D] of the view and the motion.

    Args:
        view: part of the frame seen in full resolution; None: none.
        motion: measures the motion of the whole picture; None: not measured.
        width: D.
        over_time: kernel length over time, in frames, odd.
        convolutions: number of consecutive convolutions over time.
        channels: channels between them.
        dropout: share of each convolution's output dropped in training.
    """

    def __init__(
        self,
        view: View | None,
        motion: GlobalMotion | None,
        width: int,
        over_time: int = 9,
        convolutions: int = 2,
        channels: int = 128,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if over_time < 1 or over_time % 2 == 0:
            raise ValueError(f"over_time must be odd and 1 or more, but {over_time} was given")
        if convolutions < 1:
            raise ValueError(f"convolutions must be 1 or more, but {convolutions} was given")
        self.view = view
        self.over_time = over_time
        inputs = 0
        if view is not None:
            if view.points:
                self.points = FeaturePoints(view.points, channels=view.channels)
                inputs += PER_POINT * view.points
            else:
                self.pixel_norm = RunningNorm(view.height * view.width, floor=0.05)
                self.look = look(view, dropout)
                inputs += view.features
        self.motion = motion
        if motion is not None:
            self.motion_norm = RunningNorm(NUM_MOTION, floor=0.01)
            inputs += NUM_MOTION
        widths = [inputs] + [channels] * convolutions
        self.convs = nn.ModuleList(nn.Conv1d(n, channels, over_time, padding=over_time // 2) for n in widths[:-1])
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(channels, width)

    @property
    def context(self) -> int:
        """Frames to either side that the features of a frame depend on."""
        moves = self.motion is not None or (self.view is not None and self.view.points > 0)
        return len(self.convs) * (self.over_time // 2) + moves

    def forward(self, frames: Tensor, valid: Tensor | None) -> Tensor:
        """`valid` is bool [B, T], false for padding, or None. Runs in float32: bf16 would lose changes of speed."""
        with torch.autocast(frames.device.type, enabled=False):
            moving = rearrange(torch.cat(self.measure(frames, valid), -1), "b t d -> b d t")
            for layer, conv in enumerate(self.convs):
                if valid is not None:  # like the zeros beyond a window's ends
                    moving = moving * valid.unsqueeze(1)
                moved = F.gelu(conv(moving))
                moving = moving + self.dropout(moved) if layer else moved
            return self.out(rearrange(moving, "b d t -> b t d"))

    def measure(self, frames: Tensor, valid: Tensor | None) -> list[Tensor]:
        """Features of view and motion for each frame, float32 [B, T, n] each."""
        senses = []
        if self.view is not None:
            rows = slice(self.view.top, self.view.top + self.view.height)
            crop = frames[:, :, rows, self.view.left : self.view.left + self.view.width].float()
            if self.view.points:
                pictures = contrast_of(crop) if self.view.contrast else crop / 127.5 - 1
                senses.append(self.points(rearrange(pictures, "b t h w c -> b t c h w"), valid))
            else:
                senses.append(self.look_closely(crop, self.view))
        if self.motion is not None:
            senses.append(self.motion_norm(self.motion(frames, valid)).clamp(-10, 10))
        return senses

    def look_closely(self, crop: Tensor, view: View) -> Tensor:
        """The view float32 [B, T, h, w, 3], of 0 to 255, to features of its pixels [B, T, view.features]."""
        light = torch.log(255 * (crop @ torch.tensor(LUMA, device=crop.device)) + BLACK)
        pixels = self.pixel_norm(rearrange(light, "b t h w -> b t (h w)")).clamp(-6, 6)
        if self.training and view.noise:
            pixels = pixels + view.noise * torch.randn_like(pixels)
        pictures = rearrange(pixels, "b t (h w) -> (b t) 1 h w", h=view.height)
        return rearrange(self.look(pictures), "(b t) d -> b t d", b=len(crop))


def contrast_of(crop: Tensor) -> Tensor:
    """Distance of each pixel from its frame's median colour, float32 [B, T, h, w, 3] of 0 to 255 to 0 to 1."""
    median = rearrange(crop, "b t h w c -> b t (h w) c").median(2).values[:, :, None, None]
    return ((crop - median).abs() / CLEAR).clamp(max=1)


def build_senses(config: IDMConfig, motion: GlobalMotion | None, width: int) -> Senses:
    """View and motion of a config, to features of a width."""
    return Senses(
        config.view, motion, width, over_time=config.over_time, convolutions=config.convolutions, dropout=config.dropout
    )


def build_close_branch(config: IDMConfig, width: int) -> Senses:
    """The branch of `close_heads`, which sees the view alone, to features of a width."""
    return Senses(
        config.view, None, width, over_time=config.over_time, convolutions=config.close_convolutions,
        channels=config.close_channels, dropout=config.dropout,
    )  # fmt: skip


def reach_mask(T: int, reach: int | None, valid: Tensor | None, device: torch.device) -> Tensor | None:
    """Additive attention mask float32 [B or 1, 1, T, T], 0 where a key is visible; None where all are.

    Args:
        T: frames in the window.
        reach: frames to either side that are visible; None: all.
        valid: bool [B, T], false for padding, which is hidden from all frames.
        device: device of the mask.
    """
    if reach is None and valid is None:
        return None
    here = torch.arange(T, device=device)
    seen = torch.ones(1, T, T, dtype=torch.bool, device=device)
    if reach is not None:
        seen = ((here[:, None] - here[None]).abs() <= reach)[None]
    if valid is not None:
        seen = seen & rearrange(valid, "b t -> b 1 t")
    return torch.zeros(seen.shape, device=device).masked_fill_(~seen, MASKED).unsqueeze(1)
