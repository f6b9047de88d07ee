"""Feature points: where in a picture each of some learned features is, to fractions of a pixel.

The spatial softmax of Levine et al. 2016 (arXiv:1504.00702, section 5.1) and Finn et al. 2016 (arXiv:1509.06113). A
channel's activations become a distribution over the picture, whose mean is the feature's place. Beyond them: how
strongly the feature is there, so that a light that goes on is seen too, and the first and second differences of the
places over time, because a button changes how something moves.
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

PER_POINT = 7  # across, down, strength, and the two differences of the places
VELOCITY, ACCELERATION = 20.0, 60.0  # scale of the differences: a car crosses half the picture in 20 frames or more


class FeaturePoints(nn.Module):
    """Pictures float32 [B, T, C, H, W] to features [B, T, PER_POINT * points].

    Args:
        points: number of features.
        colours: C.
        channels: channels of the first of two convolutions.
    """

    def __init__(self, points: int, colours: int = 3, channels: int = 12) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            nn.Conv2d(colours, channels, 5, padding=2), nn.ReLU(), nn.Conv2d(channels, points, 5, padding=2)
        )

    def forward(self, pictures: Tensor, valid: Tensor | None = None) -> Tensor:
        """`valid` is bool [B, T], false for padding, or None. A difference to padding or beyond an end is 0."""
        B, T = pictures.shape[:2]
        found = self.convs(rearrange(pictures, "b t c h w -> (b t) c h w"))  # (B T, P, H, W)
        share = rearrange(found, "n p h w -> n p (h w)").softmax(-1).view_as(found)
        columns, rows = (torch.linspace(-1, 1, length, device=found.device) for length in found.shape[2:][::-1])
        places = torch.cat([share.sum(2) @ columns, share.sum(3) @ rows], 1)  # (B T, 2 P)
        strength = found.amax((2, 3)).tanh()
        places, strength = (rearrange(x, "(b t) p -> b t p", b=B) for x in (places, strength))
        present = (torch.ones(B, T, device=found.device) if valid is None else valid.float()).unsqueeze(-1)
        pairs = present[:, 1:] * present[:, :-1]
        velocity = (places[:, 1:] - places[:, :-1]) * pairs  # (B, T - 1, 2 P): from each frame to the next
        acceleration = (velocity[:, 1:] - velocity[:, :-1]) * pairs[:, 1:] * pairs[:, :-1]
        return torch.cat(
            [
                places * present, strength * present, VELOCITY * F.pad(velocity, (0, 0, 0, 1)),
                ACCELERATION * F.pad(acceleration, (0, 0, 1, 1)),
            ],
            -1,
        )  # fmt: skip
