"""IRIS's tokenizer: encodes a frame as a few tokens, and decodes them.

Micheli et al. 2022 (arXiv:2209.00588), appendix A.1, with the convolutions of VQGAN (arXiv:2012.09841): residual blocks
at each of five resolutions, attention at 16x16 and 8x8, convolutions of stride 2 in between, and the same in the
decoder. `tiny` is ours, for CPUs: a space-to-depth step of 4 comes first, so that nothing runs at full resolution.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from racing_vpt.nn.quantizer import Quantized, ScalarQuantizer, VectorQuantizer
from racing_vpt.nn.sizes import named_size

QuantizerKind = Literal["vq", "fsq"]


@dataclass(frozen=True)
class TokenizerSize:
    """Widths and depths of a tokenizer.

    Args:
        channels: channels at each resolution, from the highest to that of the tokens, halved from one to the next.
        res_blocks: residual blocks at each resolution of the encoder; the decoder has one more.
        attention: resolutions with attention, as indices of channels.
        middle: residual blocks at the lowest resolution, with attention between them if there are two.
        patch: side of the pixel blocks that are moved into channels first (space to depth).
        width: D, dimensions of a token's code.
        norm_groups: groups of each group norm.
    """

    channels: tuple[int, ...] = (64, 64, 64, 64, 64)
    res_blocks: int = 2
    attention: tuple[int, ...] = (2, 3)
    middle: int = 2
    patch: int = 1
    width: int = 512
    norm_groups: int = 32

    def __post_init__(self) -> None:
        for name in ("channels", "attention"):  # YAML and JSON give lists
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if not self.channels or any(count % self.norm_groups for count in self.channels):
            raise ValueError(f"channels {self.channels} must be multiples of norm_groups {self.norm_groups}")

    @property
    def pixels(self) -> int:
        """Side of the pixel block that a token encodes."""
        return self.patch * 2 ** (len(self.channels) - 1)


TOKENIZER_SIZES: dict[str, TokenizerSize] = {
    "paper": TokenizerSize(),
    "tiny": TokenizerSize(
        channels=(32, 64, 96), res_blocks=1, attention=(), middle=1, patch=4, width=64, norm_groups=8
    ),
}


class Residual(nn.Module):
    """Residual block of two norm-swish-convolution layers, (N, C, H, W) to (N, C', H, W)."""

    def __init__(self, inputs: int, outputs: int, groups: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.GroupNorm(groups, inputs),
            nn.SiLU(),
            nn.Conv2d(inputs, outputs, 3, padding=1),
            nn.GroupNorm(groups, outputs),
            nn.SiLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1),
        )
        self.beside = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.beside(x) + self.layers(x)


class PixelAttention(nn.Module):
    """Self-attention over all positions, (N, C, H, W) to the same shape."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels)
        self.query_key_value = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        height = x.shape[2]
        q, k, v = rearrange(self.query_key_value(self.norm(x)), "n (p c) h w -> p n 1 (h w) c", p=3)
        read = F.scaled_dot_product_attention(q, k, v)
        return x + self.out(rearrange(read, "n 1 (h w) c -> n c h w", h=height))


def level(inputs: int, outputs: int, blocks: int, attention: bool, groups: int) -> list[nn.Module]:
    """Residual blocks at one resolution, each followed by attention if asked for."""
    layers: list[nn.Module] = []
    for _ in range(blocks):
        layers += [Residual(inputs, outputs, groups)] + ([PixelAttention(outputs, groups)] if attention else [])
        inputs = outputs
    return layers


def middle(size: TokenizerSize) -> list[nn.Module]:
    """Layers at the resolution of the tokens, at the end of the encoder and the start of the decoder."""
    channels, groups = size.channels[-1], size.norm_groups
    layers: list[nn.Module] = [Residual(channels, channels, groups) for _ in range(size.middle)]
    return [layers[0], PixelAttention(channels, groups), *layers[1:]] if size.middle > 1 else layers


def encoder(size: TokenizerSize) -> nn.Sequential:
    """(N, 3, H, W) to (N, width, H / pixels, W / pixels)."""
    groups, before = size.norm_groups, size.channels[0]
    layers: list[nn.Module] = [nn.PixelUnshuffle(size.patch), nn.Conv2d(3 * size.patch**2, before, 3, padding=1)]
    for side, channels in enumerate(size.channels):
        if side:
            layers.append(nn.Conv2d(before, before, 3, stride=2, padding=1))
        layers += level(before, channels, size.res_blocks, side in size.attention, groups)
        before = channels
    layers += [*middle(size), nn.GroupNorm(groups, before), nn.SiLU(), nn.Conv2d(before, size.width, 3, padding=1)]
    return nn.Sequential(*layers)


def decoder(size: TokenizerSize) -> nn.Sequential:
    """(N, width, H / pixels, W / pixels) to (N, 3, H, W), not bounded."""
    groups, before = size.norm_groups, size.channels[-1]
    layers: list[nn.Module] = [nn.Conv2d(size.width, before, 3, padding=1), *middle(size)]
    for side in reversed(range(len(size.channels))):
        layers += level(before, size.channels[side], size.res_blocks + 1, side in size.attention, groups)
        before = size.channels[side]
        if side:
            layers += [nn.Upsample(scale_factor=2), nn.Conv2d(before, before, 3, padding=1)]
    out = nn.Conv2d(before, 3 * size.patch**2, 3, padding=1)
    layers += [nn.GroupNorm(groups, before), nn.SiLU(), out, nn.PixelShuffle(size.patch)]
    return nn.Sequential(*layers)


@dataclass(frozen=True)
class TokenizerConfig:
    """Network of a tokenizer.

    Args:
        size: `paper`, `tiny`, or all settings of the network.
        quantizer: `vq`, a codebook updated by moving averages, or `fsq`, finite scalar quantization.
        vocabulary: number of different tokens.
        levels: levels of `fsq`; their product is the vocabulary.
    """

    size: Literal["paper", "tiny"] | TokenizerSize = "paper"
    quantizer: QuantizerKind = "vq"
    vocabulary: int = 512
    levels: tuple[int, ...] = (8, 8, 8)

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", tuple(self.levels))  # YAML and JSON give lists
        if self.quantizer == "fsq" and prod(self.levels) != self.vocabulary:
            raise ValueError(
                f"levels {self.levels} make {prod(self.levels)} tokens, but vocabulary is {self.vocabulary}"
            )


class TokenizerNet(nn.Module):
    """Encoder, quantizer and decoder.

    Args:
        config: size, quantizer and vocabulary.
    """

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        size = named_size(config.size, TOKENIZER_SIZES, "tokenizer")
        self.size, self.vocabulary = size, config.vocabulary
        self.encoder, self.decoder = encoder(size), decoder(size)
        self.before, self.after = nn.Conv2d(size.width, size.width, 1), nn.Conv2d(size.width, size.width, 1)
        self.quantizer: VectorQuantizer | ScalarQuantizer
        if config.quantizer == "vq":
            self.quantizer = VectorQuantizer(config.vocabulary, size.width)
        else:
            self.quantizer = ScalarQuantizer(config.levels, size.width)

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of the tokens of a frame; ValueError if the frame is not a multiple of a token's block."""
        pixels = self.size.pixels
        if height % pixels or width % pixels:
            raise ValueError(
                f"frames of {height}x{width} are not a multiple of a token's block of {pixels}x{pixels} pixels"
            )
        return height // pixels, width // pixels

    def encode(self, pictures: Tensor) -> Quantized:
        """Codes [N, h, w, D], tokens [N, h, w] and commitment of pictures float [N, 3, H, W] in [0, 1]."""
        features = self.before(self.encoder(pictures * 2 - 1))
        return self.quantizer(rearrange(features, "n d h w -> n h w d"))

    def decode(self, codes: Tensor) -> Tensor:
        """Pictures float [N, 3, H, W], about [0, 1], of codes [N, h, w, D]."""
        return (self.decoder(self.after(rearrange(codes, "n h w d -> n d h w"))) + 1) / 2

    def tokens(self, frames: Tensor) -> Tensor:
        """Tokens int64 [N, K], row by row, of frames uint8 [N, H, W, 3]."""
        return rearrange(self.encode(pictures_of(frames)).tokens, "n h w -> n (h w)")

    def pictures(self, tokens: Tensor, columns: int | None = None) -> Tensor:
        """Pictures float32 [N, 3, H, W] in [0, 1] of tokens [N, K]; as high as wide unless columns are given."""
        columns = columns or round(tokens.shape[-1] ** 0.5)
        codes = self.quantizer.lookup(rearrange(tokens, "n (h w) -> n h w", w=columns))
        return self.decode(codes).float().clamp(0, 1)


def pictures_of(frames: Tensor) -> Tensor:
    """Frames uint8 [N, H, W, 3] as pictures float32 [N, 3, H, W] in [0, 1]."""
    return rearrange(frames, "n h w c -> n c h w").float() / 255


def frames_of(pictures: Tensor) -> Tensor:
    """Pictures float [N, 3, H, W] in [0, 1] as frames uint8 [N, H, W, 3]."""
    return rearrange(pictures * 255, "n c h w -> n h w c").round().clamp(0, 255).to(torch.uint8)
