"""Action embeddings, and distributions of rewards and values, of world models.

Rewards are distributions over bins whose widths grow with the value, as in DreamerV3 (Hafner et al. 2023,
arXiv:2301.04104, "symexp twohot"): a value between two bins is shared by both, and the mean is that of the bins.
IRIS reduces rewards to their sign, which turns CarRacing's -0.1 a frame and +3.4 a tile into -1 and +1; `sign` does the
same, for comparison.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from racing_vpt.games.controls import Axis, Choice, ControlScheme

RewardKind = Literal["symlog", "sign"]
ActionKind = Literal["continuous", "discrete"]
HIGHEST = 400.0  # largest reward or value; beyond it they are clipped
BINS = 101


def value_scheme(name: str, highest: float = HIGHEST, bins: int = BINS) -> ControlScheme:
    """Bins that are evenly spaced in sign(x) log(1 + |x|): mu-law bins with mu the highest value."""
    return ControlScheme(name, [Axis(name, -highest, highest, bins, mu=highest)])


class ValueDistribution(nn.Module):
    """A distribution over a real number from features [..., D].

    Args:
        width: D.
        kind: `symlog`, or `sign`: below, at or above 0 only.
    """

    def __init__(self, width: int, kind: RewardKind = "symlog") -> None:
        super().__init__()
        if kind not in ("symlog", "sign"):
            raise ValueError(f"rewards are predicted as symlog or sign, but {kind!r} was given")
        self.kind = kind
        self.scheme = (
            value_scheme("value") if kind == "symlog" else ControlScheme("value", [Choice("value", (-1.0, 0.0, 1.0))])
        )
        self.hidden = nn.Linear(width, width)
        self.logits = nn.Linear(width, self.scheme.num_classes["value"])
        nn.init.zeros_(self.logits.weight)  # uniform at first, with mean 0
        nn.init.zeros_(self.logits.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Float32 logits [..., classes]."""
        return self.logits(F.relu(self.hidden(features))).float()

    def mean(self, logits: Tensor) -> Tensor:
        """Expected number float32 [...] of logits [..., classes]."""
        return self.scheme.expect({"value": logits.softmax(-1)})["value"]

    def loss(self, logits: Tensor, values: Tensor) -> Tensor:
        """Cross entropy [...], nats, with numbers [...]."""
        values = values.sign() if self.kind == "sign" else values
        return -(self.scheme.encode_soft({"value": values})["value"] * logits.log_softmax(-1)).sum(-1)


class ActionCoder(nn.Module):
    """Actions float32 [..., A], in the scheme's order, to embeddings [..., D].

    Args:
        scheme: control scheme.
        width: D.
        kind: `continuous`, the values of the controls, or `discrete`, the classes of the scheme's heads.
    """

    lows: Tensor
    spans: Tensor

    def __init__(self, scheme: ControlScheme, width: int, kind: ActionKind = "continuous") -> None:
        super().__init__()
        self.scheme, self.kind = scheme, kind
        if kind == "continuous":
            lows, highs = zip(*(scheme.limits[name] for name in scheme.controls), strict=True)
            self.register_buffer("lows", torch.tensor(lows), persistent=False)
            self.register_buffer("spans", torch.tensor(highs) - torch.tensor(lows), persistent=False)
            self.project = nn.Sequential(nn.Linear(len(lows), width), nn.GELU(), nn.Linear(width, width))
        else:
            self.classes = nn.ModuleDict({name: nn.Embedding(n, width) for name, n in scheme.num_classes.items()})

    def forward(self, actions: Tensor) -> Tensor:
        if self.kind == "continuous":
            unit = 2 * (actions.to(self.lows) - self.lows) / self.spans - 1
            return self.project(unit.to(self.project[0].weight.dtype))  # type: ignore[arg-type]
        found = self.scheme.encode(dict(zip(self.scheme.controls, actions.float().unbind(-1), strict=True)))
        return torch.stack([self.classes[name](index) for name, index in found.items()]).sum(0)


def numbers_of(controls: Mapping[str, Tensor], scheme: ControlScheme) -> Tensor:
    """Controls by name as actions float32 [..., A]; ValueError if one is missing."""
    missing = [name for name in scheme.controls if name not in controls]
    if missing:
        raise ValueError(
            f"the data has the controls {sorted(controls)}, but the world model of {scheme.name} needs "
            f"{list(scheme.controls)}: choose data of that scheme, or another --model.scheme"
        )
    return torch.stack([controls[name] for name in scheme.controls], -1).float()
