"""Trunk and heads in one module, under the names that OpenAI's checkpoint files use.

VPT, Baker et al. 2022 (arXiv:2206.11795). `net.*`, `pi_head.*` and `value_head.*` are the public files' keys, so a
state dict of either loads into the other.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from racing_vpt.nn.heads import ActionHeads, ValueHead
from racing_vpt.nn.sizes import NetSize
from racing_vpt.nn.transformer import NetState
from racing_vpt.nn.vpt_net import VPTNet

Classes = Mapping[str, int | tuple[int, ...]]
"""Classes of each head by name; a tuple where one head holds several distributions."""


class VPTPolicy(nn.Module):
    """A causal policy with memory: frames to logits of the controls, and the value.

    Args:
        size: of the trunk.
        num_classes: classes of each head by name.
        height: rows of a frame, in pixels.
        width: columns of a frame, in pixels.
        temperature: what logits are divided by.
        channels: of a frame; more than 3 where frames are stacked (see stack.py).
    """

    def __init__(
        self,
        size: NetSize,
        num_classes: Classes,
        height: int = 128,
        width: int = 128,
        temperature: float = 1.0,
        channels: int = 3,
    ) -> None:
        super().__init__()
        self.net = VPTNet(size, height, width, channels, causal=True)
        self.pi_head = ActionHeads(size.hidsize, num_classes, temperature)
        self.value_head = ValueHead(size.hidsize)

    def initial_state(self, batch_size: int, device: torch.device | str = "cpu") -> NetState:
        return self.net.initial_state(batch_size, device)

    def forward(
        self, frames: Tensor, first: Tensor, state: NetState | None = None
    ) -> tuple[dict[str, Tensor], Tensor, NetState]:
        """Logits by name float32 (B, T, classes), the normalised value (B, T, 1), the memory; see `VPTNet.forward`."""
        features, state = self.net(frames, first, state)
        return self.pi_head(features), self.value_head(features), state


class VPTIdm(nn.Module):
    """An inverse dynamics model: a window of frames to logits of the controls used at each.

    Args:
        size: of the trunk.
        num_classes: classes of each head by name.
        height: rows of a frame, in pixels.
        width: columns of a frame, in pixels.
        temperature: what logits are divided by.
    """

    def __init__(
        self, size: NetSize, num_classes: Classes, height: int = 128, width: int = 128, temperature: float = 1.0
    ) -> None:
        super().__init__()
        self.net = VPTNet(size, height, width, causal=False)
        self.pi_head = ActionHeads(size.hidsize, num_classes, temperature)

    def forward(self, frames: Tensor, valid: Tensor | None = None) -> dict[str, Tensor]:
        """Frames uint8 (B, T, H, W, C), valid bool (B, T) or None, to logits by name float32 (B, T, classes)."""
        first = torch.zeros(frames.shape[:2], dtype=torch.bool, device=frames.device)
        features, _ = self.net(frames, first, None, valid)
        return self.pi_head(features)
