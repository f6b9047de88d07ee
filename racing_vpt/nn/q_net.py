"""Networks of action values for stacks of frames: DQN's and later ones.

Mnih et al. 2015 (doi:10.1038/nature14236), the CNN; dueling streams, Wang et al. 2016 (arXiv:1511.06581); noisy layers
with factorised noise, Fortunato et al. 2018 (arXiv:1706.10295), section 3; a quantile head, QR-DQN, Dabney et al. 2018
(arXiv:1710.10044). Unlike there, the two streams split the hidden units, so that dueling costs nothing, and
LayerNorm may follow the convolutions and the hidden layer (Gallici et al. 2024, arXiv:2407.04811).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from racing_vpt.nn.impala import ImpalaCNN
from racing_vpt.nn.sizes import NetSize

Trunk = Literal["cnn", "impala"]
KERNELS = ((8, 4), (4, 2), (3, 1))  # kernel and stride, Mnih et al. 2015


class QNet(nn.Module):
    """Frames to the value distribution of each action, as equally likely quantiles.

    Args:
        actions: A, number of actions.
        stack: S, frames in an observation.
        height: rows of a frame.
        width: columns of a frame.
        trunk: `cnn`: convolutions of kernel 8, 4, 3 and stride 4, 2, 1; `impala`: residual stacks after a strided stem.
        channels: channels of the convolutions (Nature's: 32, 64, 64), or of the residual stacks.
        hidden: units between convolutions and values.
        dueling: half of the hidden units predict the state's value, half the actions' advantages.
        noisy: sample the weights of the layers after the convolutions at each call in training mode.
        quantiles: K; 1 is the mean only.
        layer_norm: normalize after the convolutions and in the hidden layer.
    """

    def __init__(
        self,
        actions: int,
        stack: int,
        height: int,
        width: int,
        *,
        trunk: Trunk = "cnn",
        channels: Sequence[int] = (16, 32),
        hidden: int = 256,
        dueling: bool = False,
        noisy: bool = False,
        quantiles: int = 1,
        layer_norm: bool = False,
    ) -> None:
        super().__init__()
        if min(actions, stack, hidden, quantiles, *channels) < 1 or hidden % 2:
            raise ValueError(
                "actions, stack, channels, hidden and quantiles must be at least 1, hidden an even number, but are "
                f"{actions}, {stack}, {list(channels)}, {hidden} and {quantiles}"
            )
        self.actions, self.quantiles, self.dueling = actions, quantiles, dueling
        if trunk == "impala":
            size = NetSize(hidden, 1, impala_chans=tuple(channels), stem="strided", stem_chans=16, cnn_outsize=hidden)
            self.trunk: nn.Module = ImpalaCNN(size, height, width, stack, first_norm=False)
            features = hidden
        else:
            self.trunk, features = convolutions(stack, height, width, channels)
        self.trunk.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # a fifth faster on a CPU
        self.norm = nn.LayerNorm(features) if layer_norm and trunk == "cnn" else nn.Identity()
        self.hidden_norm = nn.LayerNorm(hidden) if layer_norm else nn.Identity()
        linear = NoisyLinear if noisy else nn.Linear
        self.hidden = linear(features, hidden)
        half = hidden // 2
        self.value = linear(half, quantiles) if dueling else None
        self.advantage = linear(half if dueling else hidden, actions * quantiles)

    def prepare(self, observation: Tensor) -> Tensor:
        """Observations uint8 [B, S, H, W] as floats in [0, 1], for callers that use them twice.

        Float32, or the dtype of autocast: converting once here takes a third of the time of once a convolution.
        """
        device = observation.device.type
        half = torch.is_autocast_enabled(device)
        dtype = torch.get_autocast_dtype(device) if half else torch.float32
        return observation.contiguous(memory_format=torch.channels_last).to(dtype).mul_(1 / 255)

    def forward(self, observation: Tensor) -> Tensor:
        """Values float32 [B, A, K] of observations uint8 [B, S, H, W], prepared (`prepare`) or not."""
        frames = self.prepare(observation) if observation.dtype == torch.uint8 else observation
        hidden = F.relu(self.hidden_norm(self.hidden(self.norm(self.trunk(frames)))))  # (B, hidden)
        if self.value is None:
            return rearrange(self.advantage(hidden), "b (a k) -> b a k", k=self.quantiles)
        state, better = hidden.chunk(2, -1)
        advantage = rearrange(self.advantage(better), "b (a k) -> b a k", k=self.quantiles)
        return self.value(state).unsqueeze(1) + advantage - advantage.mean(1, keepdim=True)


def convolutions(stack: int, height: int, width: int, channels: Sequence[int]) -> tuple[nn.Sequential, int]:
    """Convolutions with ReLU from [B, stack, height, width] to [B, features], and the number of features."""
    if not 1 <= len(channels) <= len(KERNELS):
        raise ValueError(f"channels {list(channels)}: expected those of 1 to {len(KERNELS)} convolutions")
    layers: list[nn.Module] = []
    inputs = stack
    for outputs, (kernel, stride) in zip(channels, KERNELS, strict=False):
        layers += [nn.Conv2d(inputs, outputs, kernel, stride), nn.ReLU()]
        inputs, height, width = outputs, 1 + (height - kernel) // stride, 1 + (width - kernel) // stride
        if min(height, width) < 1:
            raise ValueError(f"frames are too small for convolutions of channels {list(channels)}; expected 84x84")
    return nn.Sequential(*layers, nn.Flatten()), inputs * height * width


class NoisyLinear(nn.Module):
    """A linear layer with factorised Gaussian noise on its weights in training mode, none in evaluation.

    Args:
        inputs: number of inputs.
        outputs: number of outputs.
        sigma: initial scale of the noise, in units of 1 / sqrt(inputs).
    """

    def __init__(self, inputs: int, outputs: int, sigma: float = 0.5) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(outputs, inputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(outputs).uniform_(-bound, bound))
        self.weight_sigma = nn.Parameter(torch.full((outputs, inputs), sigma * bound))
        self.bias_sigma = nn.Parameter(torch.full((outputs,), sigma * bound))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs) to (B, outputs), with the same noise for the whole batch."""
        if not self.training:
            return F.linear(x, self.weight, self.bias)
        outputs, inputs = self.weight.shape
        noise_in, noise_out = (
            factor(torch.randn(inputs, device=x.device)),
            factor(torch.randn(outputs, device=x.device)),
        )
        # (mean + sigma * outer(noise_out, noise_in)) x, without making that matrix
        noisy = F.linear(x * noise_in, self.weight_sigma) * noise_out
        return F.linear(x, self.weight, self.bias + self.bias_sigma * noise_out) + noisy


def factor(noise: Tensor) -> Tensor:
    """f(x) = sign(x) sqrt(|x|), the factor of factorized noise."""
    return noise.sign() * noise.abs().sqrt()
