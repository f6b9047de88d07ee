"""Three networks that read the same video: from the view, from the motion, and from both.

A network that sees where the car goes learns the habits of the training drivers: it works with any codec, but fails on
drivers with other habits. A network that sees the wheels works for every driver, but only while the wheels are visible.
Each predicts a distribution over each control; `idm_pool.py` combines them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from racing_vpt.models.idm_config import MOST_CONVOLUTIONS, View
from racing_vpt.models.idm_motion import LUMA, NUM_MOTION
from racing_vpt.models.idm_net import BLACK, RunningNorm, look
from racing_vpt.models.likeness import video_vector
from racing_vpt.nn.timed import interpolate, intervals, steady_clock

READERS = ("view", "motion", "both")
TICK = 0.02  # seconds per tick of the clock
NUM_GAPS = 2
SPANS = ((0, 1), (-1, 1), (-2, 2), (-4, 4), (-8, 8))  # first and second tick of each difference
SEEN = 20.0  # largest normalized pixel and motion in what a video is like
LOOK_CHANGE = 4.0  # factor on differences of the view's features, which are small

Read = dict[str, dict[str, Tensor]]
"""Logits float32 [B, T, classes] by reader and head."""


@dataclass(frozen=True)
class TimedIDMConfig:
    """Network of a `TimedIDM`.

    Args:
        view_height: rows of the view, which is found in the training recordings; pixels of the model's frame.
        view_width: columns.
        view_features: features computed from it for each frame.
        view_noise: standard deviation of noise added to its pixels in training (normalized to deviation 1).
        channels: channels of the readers of the view, of the motion and of both.
        convolutions: number of consecutive convolutions over time in each of these readers.
        over_time: kernel length of the convolutions, in ticks of 20 ms, odd.
        dropout: share of features dropped in training.
        blind: probability that the view is hidden from the reader of both in training, and that the motion is.
    """

    view_height: int = 16
    view_width: int = 12
    view_features: int = 8
    view_noise: float = 0.1
    channels: tuple[int, int, int] = (64, 96, 96)
    convolutions: tuple[int, int, int] = (3, 4, 4)
    over_time: int = 9
    dropout: float = 0.25
    blind: float = 0.15

    def __post_init__(self) -> None:
        for name in ("channels", "convolutions"):
            object.__setattr__(self, name, tuple(getattr(self, name)))  # YAML and JSON give lists
            if len(getattr(self, name)) != len(READERS) or min(getattr(self, name)) < 1:
                raise ValueError(f"{name} needs a number of at least 1 for each of {READERS}, but {self} was given")
        if max(self.convolutions) > MOST_CONVOLUTIONS:
            raise ValueError(f"convolutions are 1 to {MOST_CONVOLUTIONS}, but {self.convolutions} were given")
        if self.over_time < 1 or self.over_time % 2 == 0:
            raise ValueError(f"over_time must be odd and 1 or more, but {self.over_time} was given")
        if not (0 <= self.dropout < 1 and 0 <= self.blind <= 0.5):
            raise ValueError(f"dropout must lie in [0, 1) and blind in [0, 0.5]; given: {self}")

    def view(self) -> View:
        """The view's size and options; its place is not known yet."""
        return View(
            0, 0, self.view_height, self.view_width, features=self.view_features, channels=6, noise=self.view_noise
        )


def differences(x: Tensor) -> Tensor:
    """How much x float32 [B, G, D] changes over each of `SPANS`, [B, G, D * spans]; constant beyond the ends.

    Pedals change the speed by a hundredth per frame; steering changes the yaw rate. Convolutions over time can learn
    such differences, but need many more steps (throttle R2 0.67 without these inputs and 0.86 with them after 800
    steps, `LOG.md`).
    """
    far, G = max(to for _, to in SPANS), x.shape[1]
    held = torch.cat([x[:, :1].expand(-1, far, -1), x, x[:, -1:].expand(-1, far, -1)], 1)
    return torch.cat(
        [held[:, far + to : far + to + G] - held[:, far + start : far + start + G] for start, to in SPANS], -1
    )


class Reader(nn.Module):
    """Features on the clock [B, G, n] to logits [B, G, classes] by head: convolutions over time with skips."""

    def __init__(
        self, inputs: int, classes: Mapping[str, int], channels: int, convolutions: int, over_time: int, dropout: float
    ) -> None:
        super().__init__()
        widths = [inputs] + [channels] * convolutions
        self.convs = nn.ModuleList(nn.Conv1d(n, channels, over_time, padding=over_time // 2) for n in widths[:-1])
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(channels)
        self.heads = nn.ModuleDict({name: nn.Linear(channels, count) for name, count in classes.items()})

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = rearrange(x, "b g n -> b n g")
        for layer, conv in enumerate(self.convs):
            moved = F.gelu(conv(x))
            x = x + self.dropout(moved) if layer else moved
        x = self.dropout(self.norm(rearrange(x, "b n g -> b g n")))
        return {name: head(x) for name, head in self.heads.items()}


class Experts(nn.Module):
    """Pixels of the view, motion and times to logits by reader and head at each frame.

    Args:
        config: network options.
        classes: number of classes of each head.
    """

    def __init__(self, config: TimedIDMConfig, classes: Mapping[str, int]) -> None:
        super().__init__()
        self.view, self.blind = config.view(), config.blind
        self.context = max(config.convolutions) * (config.over_time // 2) + max(to for _, to in SPANS)  # ticks
        self.pixel_norm = RunningNorm(self.view.height * self.view.width, floor=0.05)
        self.looks = nn.ModuleDict({name: look(self.view, config.dropout) for name in ("view", "both")})
        self.motion_norm = RunningNorm(NUM_MOTION, floor=0.01)
        self.change_norm = RunningNorm(NUM_MOTION * len(SPANS), floor=0.003)
        num_view, num_motion = self.view.features * (1 + len(SPANS)), NUM_MOTION * (1 + len(SPANS))
        inputs = (num_view, num_motion, num_view + num_motion)
        self.readers = nn.ModuleDict({
            name: Reader(size + NUM_GAPS, classes, channels, convolutions, config.over_time, config.dropout)
            for name, size, channels, convolutions in zip(
                READERS, inputs, config.channels, config.convolutions, strict=True
            )
        })  # fmt: skip

    def forward(self, crop: Tensor, motion: Tensor, times: Tensor, valid: Tensor) -> Read:
        """Logits [B, T, classes] by reader and head.

        Args:
            crop: float32 [B, T, height, width, 3], the view's pixels, 0 to 255.
            motion: float32 [B, T, 7], from each frame to the next (`GlobalMotion`).
            times: float32 [B, T], seconds, rising (also in the padding).
            valid: bool [B, T], false for padding.
        """
        clock = steady_clock(times, valid, TICK)
        length, middle = intervals(times, TICK)
        gaps = frame_gaps(times, length, clock)
        moving = self.moving(motion, length, middle, clock)
        seen = self.seen(crop, times, clock)
        both, fast = seen["both"], moving
        if self.training and self.blind:
            draw = torch.rand(len(crop), 1, 1, device=crop.device)
            both, fast = both * (draw > self.blind), fast * (draw < 1 - self.blind)
        inputs = {
            "view": torch.cat([seen["view"], gaps], -1),
            "motion": torch.cat([moving, gaps], -1),
            "both": torch.cat([both, fast, gaps], -1),
        }
        inside = (clock <= (times * valid).amax(1, keepdim=True) + TICK).unsqueeze(-1)
        read = {name: self.readers[name](inputs[name] * inside) for name in READERS}
        return {name: {head: interpolate(x, clock, times) for head, x in heads.items()} for name, heads in read.items()}

    def moving(self, motion: Tensor, length: Tensor, middle: Tensor, clock: Tensor) -> Tensor:
        """Motion per tick and its differences, float32 [B, G, n]; a motion belongs to the middle of its interval."""
        rate = interpolate(self.rates(motion, length).clamp(-10, 10), middle, clock + TICK / 2)
        return torch.cat([rate, self.change_norm(differences(rate)).clamp(-8, 8)], -1)

    def rates(self, motion: Tensor, length: Tensor) -> Tensor:
        """Normalized motion per tick, float32 [B, T, 7], of motion between frames `length` [B, T] ticks apart."""
        return self.motion_norm(torch.cat([motion[..., :6] / length.unsqueeze(-1), motion[..., 6:]], -1))

    def light(self, crop: Tensor) -> Tensor:
        """Normalized log luminance float32 [B, T, h, w] of the view's pixels."""
        light = torch.log(255 * (crop @ torch.tensor(LUMA, device=crop.device)) + BLACK)
        pixels = self.pixel_norm(rearrange(light, "b t h w -> b t (h w)"))
        return rearrange(pixels, "b t (h w) -> b t h w", h=self.view.height)

    def vectors(self, crop: Tensor, motion: Tensor, times: Tensor, valid: Tensor, read: Read) -> Tensor:
        """What each video is like, float32 [B, D] (`likeness.py`); arguments as `forward`, and what it returned."""
        light = self.light(crop).clamp(-SEEN, SEEN)
        rates = self.rates(motion, intervals(times, TICK)[0]).clamp(-SEEN, SEEN)
        found = []
        for row, count in enumerate(valid.sum(1).tolist()):
            logits = {name: {head: x[row, :count] for head, x in heads.items()} for name, heads in read.items()}
            found.append(video_vector(light[row, :count], rates[row, :count], logits))
        return torch.stack(found)

    def seen(self, crop: Tensor, times: Tensor, clock: Tensor) -> dict[str, Tensor]:
        """Features of the view and their differences, float32 [B, G, n], by reader."""
        pixels = rearrange(self.light(crop), "b t h w -> b t (h w)").clamp(-6, 6)
        if self.training and self.view.noise:
            pixels = pixels + self.view.noise * torch.randn_like(pixels)
        pictures = rearrange(pixels, "b t (h w) -> (b t) 1 h w", h=self.view.height)
        features = {}
        for name, each in self.looks.items():
            x = interpolate(rearrange(each(pictures), "(b t) d -> b t d", b=len(crop)), times, clock)
            features[name] = torch.cat([x, LOOK_CHANGE * differences(x)], -1)
        return features


def frame_gaps(times: Tensor, length: Tensor, clock: Tensor) -> Tensor:
    """Distance of each tick from the nearest frame, and length of its interval beyond one tick, [B, G, 2] in ticks."""
    after = torch.searchsorted(times.contiguous(), clock.contiguous(), right=True)
    after = after.clamp(min(1, times.shape[1] - 1), times.shape[1] - 1)
    before = (after - 1).clamp(min=0)
    away = torch.minimum((clock - times.gather(1, before)).abs(), (clock - times.gather(1, after)).abs()) / TICK
    return torch.stack([away.clamp(0, 3), length.gather(1, before) - 1], -1)


def held_after(x: Tensor, last: Tensor) -> Tensor:
    """Measurements float32 [B, T, ...] with the one at `last` int64 [B, 1] repeated after it, in the padding."""
    index = torch.arange(x.shape[1], device=x.device).minimum(last.clamp(min=0))  # [B, T]
    return x[torch.arange(len(x), device=x.device).unsqueeze(1), index]
