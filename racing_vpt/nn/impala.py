"""Frames to features: the IMPALA CNN of VPT, with OpenAI's parameter names.

IMPALA, Espeholt et al. 2018 (arXiv:1802.01561), figure 3; VPT, Baker et al. 2022 (arXiv:2206.11795), appendix D.1.
VPT's differences: a norm before each layer instead of a bias, a GroupNorm after each pool, weights initialised by
fan-in. Ours: an optional strided stem, because the first stack at full resolution costs more than all that follows.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from racing_vpt.nn.sizes import NetSize


def fan_in_(layer: nn.Linear | nn.Conv2d | nn.Conv3d, scale: float) -> None:
    """Rescale the weights in place so that each output has norm `scale` over its inputs; zero the bias."""
    with torch.no_grad():
        weight = layer.weight.flatten(1)
        weight.mul_(scale / weight.norm(dim=1, keepdim=True))
        if layer.bias is not None:
            layer.bias.zero_()


class FanInInitReLULayer(nn.Module):
    """Norm, then the layer, then ReLU; the layer has a bias only where there is no norm.

    Args:
        layer: linear or convolution; its weights are rescaled so that each output has norm `scale` over its inputs.
        norm: applied to the input; None for none.
        scale: norm of each output's weights at the start.
        relu: whether a ReLU follows.
    """

    def __init__(self, layer: nn.Linear | nn.Conv2d | nn.Conv3d, norm: nn.Module | None = None, *,
                 scale: float = 1.0, relu: bool = True) -> None:  # fmt: skip
        super().__init__()
        self.norm = norm
        self.layer = layer
        self.relu = relu
        fan_in_(layer, scale)

    def forward(self, x: Tensor) -> Tensor:
        if self.norm is not None:
            x = self.norm(x)
        x = self.layer(x)
        return F.relu(x) if self.relu else x


def normed_linear(inputs: int, outputs: int, *, scale: float = 1.0) -> FanInInitReLULayer:
    """LayerNorm, linear without bias, ReLU."""
    return FanInInitReLULayer(nn.Linear(inputs, outputs, bias=False), nn.LayerNorm(inputs), scale=scale)


def normed_conv(inputs: int, outputs: int, *, scale: float = 1.0, norm: bool = True) -> FanInInitReLULayer:
    """GroupNorm of one group, 3x3 convolution, ReLU; without the norm the convolution has a bias."""
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=not norm)
    return FanInInitReLULayer(conv, nn.GroupNorm(1, inputs) if norm else None, scale=scale)


class CnnBasicBlock(nn.Module):
    """Residual pair of convolutions, (N, C, H, W) to the same shape."""

    def __init__(self, channels: int, *, scale: float) -> None:
        super().__init__()
        self.conv0 = normed_conv(channels, channels, scale=scale**0.5)
        self.conv1 = normed_conv(channels, channels, scale=scale**0.5)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv1(self.conv0(x))


class CnnDownStack(nn.Module):
    """Convolution, max pool of stride 2, GroupNorm, two blocks: (N, C, H, W) to (N, C', ceil H/2, ceil W/2)."""

    def __init__(self, inputs: int, outputs: int, *, scale: float, first_norm: bool) -> None:
        super().__init__()
        self.firstconv = normed_conv(inputs, outputs, norm=first_norm)
        self.n = nn.GroupNorm(1, outputs)
        self.blocks = nn.ModuleList(CnnBasicBlock(outputs, scale=scale / 2**0.5) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        x = self.n(F.max_pool2d(self.firstconv(x), kernel_size=3, stride=2, padding=1))
        for block in self.blocks:
            x = block(x)
        return x


class ImpalaCNN(nn.Module):
    """(N, C, H, W) float to (N, size.cnn_outsize).

    Args:
        size: channels, stem and output width.
        height: height of the input in pixels.
        width: width of the input in pixels.
        channels: C of the input.
        first_norm: norm before the first convolution (in OpenAI's nets only after a 3-D convolution).
    """

    def __init__(self, size: NetSize, height: int, width: int, channels: int, *, first_norm: bool) -> None:
        super().__init__()
        self.stem: FanInInitReLULayer | None = None
        if size.stem == "strided":
            kernel, stride = size.stem_kernel, size.stem_stride
            conv = nn.Conv2d(channels, size.stem_chans, kernel, stride=stride, padding=(kernel - stride + 1) // 2)
            self.stem = FanInInitReLULayer(conv)
            height, width = (1 + (n + 2 * conv.padding[0] - kernel) // stride for n in (height, width))  # type: ignore[operator]
            channels, first_norm = size.stem_chans, True
        self.stacks = nn.ModuleList()
        for outputs in size.scaled_chans:
            scale = len(size.impala_chans) ** -0.5
            self.stacks.append(CnnDownStack(channels, outputs, scale=scale, first_norm=first_norm))
            channels, first_norm = outputs, True
            height, width = (height + 1) // 2, (width + 1) // 2
        self.dense = normed_linear(channels * height * width, size.cnn_outsize, scale=1.4)

    def convolve(self, x: Tensor) -> Tensor:
        """What the stem and the stacks make of a picture, (N, inputs of the dense layer)."""
        if self.stem is not None:
            x = self.stem(x)
        for stack in self.stacks:
            x = stack(x)
        return x.flatten(1)  # C, H, W order, whatever the memory format

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(self.convolve(x))


class ImgObsProcess(nn.Module):
    """CNN and the layer to the transformer's width: (N, C, H, W) float in [0, 1] to (N, hidsize)."""

    def __init__(self, size: NetSize, height: int, width: int, channels: int, *, first_norm: bool) -> None:
        super().__init__()
        self.cnn = ImpalaCNN(size, height, width, channels, first_norm=first_norm)
        self.linear = normed_linear(size.cnn_outsize, size.hidsize)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.cnn(x))
