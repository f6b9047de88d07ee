"""The trunk of VPT's policy and inverse dynamics model: frames to features.

VPT, Baker et al. 2022 (arXiv:2206.11795), appendix D.1 (policy) and D.2 (IDM), with OpenAI's parameter names
(`net.*` in the public files). The IDM starts with a convolution over time, is not causal, and discards the output
of its `lastlayer`, as the published one does; here the layer is kept for its parameters and never run.
"""

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from racing_vpt.nn.impala import FanInInitReLULayer, ImgObsProcess, normed_linear
from racing_vpt.nn.sizes import NetSize
from racing_vpt.nn.transformer import NetState, ResidualRecurrentBlocks


def conv3d_layer(size: NetSize, channels: int) -> nn.Module:
    """The IDM's convolution over time, (B, C, T, H, W) to (B, C', T, H', W')."""
    assert size.conv3d_outchan is not None, "only called for networks with a convolution over time"
    time, height, width = size.conv3d_kernel
    stride = (1, size.conv3d_stride, size.conv3d_stride)
    padding = (time // 2, height // 2, width // 2)
    conv = nn.Conv3d(channels, size.conv3d_outchan, size.conv3d_kernel, stride=stride, padding=padding)
    return FanInInitReLULayer(conv)


class VPTNet(nn.Module):
    """Frames to features.

    Args:
        size: widths and depths, one of `sizes.POLICY_SIZES`, `sizes.IDM_SIZES` or any other.
        height: rows of a frame, in pixels.
        width: columns of a frame, in pixels.
        channels: channels of a frame; 3 for RGB.
        causal: a frame's features depend on this frame and earlier ones only (a policy), with a memory from call to
            call; otherwise on all frames of the call (an IDM).
    """

    def __init__(self, size: NetSize, height: int, width: int, channels: int = 3, causal: bool = True) -> None:
        super().__init__()
        self.size, self.height, self.width, self.channels, self.causal = size, height, width, channels, causal
        convolves_time = size.conv3d_outchan is not None
        if convolves_time:
            if causal:
                raise ValueError("a causal net cannot have a convolution over time: set conv3d_outchan to None")
            self.conv3d_layer = conv3d_layer(size, channels)
            channels = size.conv3d_outchan  # type: ignore[assignment]
            height, width = (-(-n // size.conv3d_stride) for n in (height, width))
        self.img_process = ImgObsProcess(size, height, width, channels, first_norm=convolves_time)
        self.recurrent_layer = ResidualRecurrentBlocks(size, causal=causal)
        self.lastlayer = normed_linear(size.hidsize, size.hidsize)
        self.final_ln = nn.LayerNorm(size.hidsize)
        if not causal:
            self.lastlayer.requires_grad_(False)  # never run; DDP refuses parameters without gradient
        self.recompute: int | None = None  # frames; see `image_features`

    def initial_state(self, batch_size: int, device: torch.device | str = "cpu") -> NetState:
        """Memory before an episode's first frame, for `batch_size` lanes."""
        return self.recurrent_layer.initial_state(batch_size, device)

    def forward(
        self, frames: Tensor, first: Tensor, state: NetState | None = None, valid: Tensor | None = None
    ) -> tuple[Tensor, NetState]:
        """Features of each frame, and the memory for the next call.

        Args:
            frames: uint8 (B, T, H, W, C).
            first: bool (B, T), True where an episode starts, anywhere in the chunk; earlier frames are not seen. A
                network that is not causal takes one episode a call and ignores it.
            state: state returned by the previous call, detached by the caller to stop gradients; None at the start.
            valid: bool (B, T), False for padding, which is hidden from all frames; for networks that are not causal.

        Returns:
            (B, T, D) features, and the state.

        Raises:
            ValueError: frames of another dtype or size than the network was built for.
        """
        B = self.check(frames, first)
        if state is None:
            state = self.initial_state(B, frames.device)
        features = rearrange(self.image_features(frames, valid), "(b t) d -> b t d", b=B)
        return self.over_time(features, first, state, valid)

    def over_time(
        self, features: Tensor, first: Tensor, state: NetState, valid: Tensor | None = None
    ) -> tuple[Tensor, NetState]:
        """All that follows the image features (B, T, D); arguments and results as of `forward`."""
        recompute = bool(self.recompute and torch.is_grad_enabled())
        features, state = self.recurrent_layer(features, first, state, valid, recompute)
        features = F.relu(features)
        if self.causal:
            features = self.lastlayer(features)
        return self.final_ln(features), state

    def convolve(self, frames: Tensor) -> Tensor:
        """What the convolutions make of each frame uint8 (B, T, H, W, C), (B, T, E); for `forward_convolved`."""
        return self.img_process.cnn.convolve(self.pictures(frames, None)).unflatten(0, frames.shape[:2])

    def forward_convolved(self, convolved: Tensor, first: Tensor, state: NetState | None) -> tuple[Tensor, NetState]:
        """As `forward`, from what `convolve` returned; saves most of the time where convolutions are frozen."""
        if state is None:
            state = self.initial_state(len(convolved), convolved.device)
        process = self.img_process
        return self.over_time(process.linear(process.cnn.dense(convolved)), first, state)

    def image_features(self, frames: Tensor, valid: Tensor | None) -> Tensor:
        """Features of the CNN for each frame, (B * T, D).

        With `self.recompute` set, a causal network only keeps frames and features for the backward pass, which runs the
        CNN again, so many frames at a time, and each transformer block (activation checkpointing, Chen et al. 2016,
        arXiv:1604.06174). That takes a third more time; gradients are the same.
        """
        if not (self.recompute and self.causal and torch.is_grad_enabled()):
            return self.img_process(self.pictures(frames, valid))
        single = rearrange(frames, "b t h w c -> (b t) 1 h w c")
        parts = [
            checkpoint(lambda x: self.img_process(self.pictures(x, None)), part, use_reentrant=False)
            for part in single.split(self.recompute)
        ]
        return torch.cat(parts)

    def pictures(self, frames: Tensor, valid: Tensor | None) -> Tensor:
        """uint8 (B, T, H, W, C) to float (B * T, C', H', W'), channels last in memory.

        This layout is 1.2 times as fast as channels first on a CPU in float32 and 1.5 times in bf16; and it is the
        original's, which affects the rounding of GroupNorm: up to 3e-4 in the value at 128x128.
        """
        device = frames.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else torch.float32
        if self.size.conv3d_outchan is None:
            pictures = rearrange(frames, "b t h w c -> (b t) c h w")
            return pictures.to(dtype, memory_format=torch.channels_last).div_(255)
        clips = rearrange(frames, "b t h w c -> b c t h w")
        clips = clips.to(dtype, memory_format=torch.channels_last_3d).div_(255)
        if valid is not None:  # like the zeros beyond a clip's ends
            clips = clips * rearrange(valid, "b t -> b 1 t 1 1")
        return rearrange(self.conv3d_layer(clips), "b c t h w -> (b t) c h w")

    def check(self, frames: Tensor, first: Tensor) -> int:
        """The batch size; ValueError if frames or flags are not what the network was built for."""
        expected = (self.height, self.width, self.channels)
        if frames.dtype != torch.uint8 or frames.dim() != 5 or tuple(frames.shape[2:]) != expected:
            raise ValueError(
                f"frames are {frames.dtype} {tuple(frames.shape)}, expected torch.uint8 (B, T, {self.height}, "
                f"{self.width}, {self.channels}): resize them to the size that the model was trained on"
            )
        B, T = frames.shape[:2]
        if tuple(first.shape) != (B, T) or first.dtype != torch.bool:
            raise ValueError(f"first is {first.dtype} {tuple(first.shape)}, expected torch.bool {(B, T)}")
        return B
