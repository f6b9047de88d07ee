"""Actor and critic of IRIS, on reconstructed frames or on codes.

Micheli et al. 2022 (arXiv:2209.00588), appendix A.3: four convolutions with max pools, an LSTM of 512, shared by actor
and critic. Unlike the paper, an action has a class for each head of a control scheme (axes in bins, so that driving is
nearly continuous; a choice or a joint head for games with few actions), and the value is a distribution
(`outcomes.ValueDistribution`). `tiny` is ours: strides instead of pools. An agent may see the codes of the tokens
instead of decoded pictures, as the controllers of World Models do: dreams then need no decoding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn

from racing_vpt.games.controls import ControlScheme
from racing_vpt.nn.heads import ActionHeads, log_probabilities
from racing_vpt.nn.imagination import draw
from racing_vpt.nn.outcomes import ValueDistribution

Sees = Literal["pictures", "codes"]
AgentState = tuple[Tensor, Tensor]
"""Output and cell state of the LSTM, float32 [N, width] each."""


@dataclass(frozen=True)
class AgentSize:
    """Widths of an actor-critic.

    Args:
        channels: channels of the four convolutions, each of which halves height and width.
        pool: halve by max pooling, as in the paper, instead of by strides, which take a quarter of the compute.
        width: width of the LSTM.
        code_width: width of the layer that processes codes, where these are seen.
    """

    channels: tuple[int, ...] = (32, 32, 64, 64)
    pool: bool = True
    width: int = 512
    code_width: int = 512

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(self.channels))  # YAML and JSON give lists


AGENT_SIZES: dict[str, AgentSize] = {
    "paper": AgentSize(),
    "tiny": AgentSize(channels=(16, 32, 32, 64), pool=False, width=128, code_width=256),
}


class Judged(NamedTuple):
    """Log-probabilities of each head's classes [..., classes] by name, and logits of the value [..., bins]."""

    log_probs: dict[str, Tensor]
    value: Tensor


class ActorCritic(nn.Module):
    """Pictures, or codes, to actions and values, with a memory.

    Args:
        size: widths.
        scheme: control scheme, whose heads are the actor's.
        height: rows of a picture, in pixels.
        width: columns of a picture, in pixels.
        sees: `pictures` or `codes`.
        numbers: length of a frame's codes.
    """

    def __init__(
        self,
        size: AgentSize,
        scheme: ControlScheme,
        height: int = 64,
        width: int = 64,
        sees: Sees = "pictures",
        numbers: int = 0,
    ) -> None:
        super().__init__()
        self.size, self.scheme, self.sees = size, scheme, sees
        seen = size.code_width
        if sees == "codes":
            self.eye = nn.Sequential(nn.LayerNorm(numbers), nn.Linear(numbers, seen), nn.LayerNorm(seen), nn.SiLU())
        else:
            self.eye, seen = self.convolutions(height, width)
        self.memory = nn.LSTMCell(seen, size.width)
        self.actor = ActionHeads(size.width, scheme.num_classes, packs=scheme.packs)
        self.critic = ValueDistribution(size.width)

    def convolutions(self, height: int, width: int) -> tuple[nn.Sequential, int]:
        """CNN for pictures of that size, and its number of features."""
        size, layers = self.size, list[nn.Module]()
        for before, after in zip((3, *size.channels), size.channels, strict=False):
            layers.append(nn.Conv2d(before, after, 3, stride=1 if size.pool else 2, padding=1))
            layers += [nn.MaxPool2d(2), nn.ReLU()] if size.pool else [nn.ReLU()]
            height, width = (height // 2, width // 2) if size.pool else ((height + 1) // 2, (width + 1) // 2)
        return nn.Sequential(*layers), size.channels[-1] * height * width

    def initial(self, rows: int) -> AgentState:
        """Memory of `rows` agents before the first frame."""
        like = self.memory.weight_hh
        return like.new_zeros(rows, self.size.width), like.new_zeros(rows, self.size.width)

    def look(self, pictures: Tensor) -> Tensor:
        """Features [N, D] of pictures float [N, 3, H, W] in [0, 1], or of codes float [N, numbers]."""
        return self.eye(pictures if self.sees == "codes" else pictures * 2 - 1).flatten(1)

    def remember(self, features: Tensor, state: AgentState, first: Tensor | None = None) -> tuple[Tensor, AgentState]:
        """Output of the LSTM after each of T frames, [N, T, width], and the state.

        Args:
            features: [N, T, D], as `look` gives.
            state: state before them.
            first: bool [N, T], where an episode starts: everything before is forgotten.
        """
        kept = []
        for step in range(features.shape[1]):
            if first is not None:
                state = (state[0] * ~first[:, step, None], state[1] * ~first[:, step, None])
            state = self.memory(features[:, step], state)
            kept.append(state[0])
        return torch.stack(kept, 1), state

    def judge(self, remembered: Tensor) -> Judged:
        """Action distributions and value distribution for LSTM outputs [..., width]."""
        return Judged(log_probabilities(self.actor(remembered)), self.critic(remembered))

    def forward(self, pictures: Tensor, state: AgentState, first: Tensor | None = None) -> tuple[Judged, AgentState]:
        """`look`, `remember` and `judge` in sequence, for pictures [N, T, ...]."""
        features = rearrange(self.look(pictures.flatten(0, 1)), "(n t) d -> n t d", n=len(pictures))
        remembered, state = self.remember(features, state, first)
        return self.judge(remembered), state

    def values(self, judged: Judged) -> Tensor:
        """Expected values float32 [...]."""
        return self.critic.mean(judged.value)

    def choose(
        self, judged: Judged, tau: float = 1.0, generator: torch.Generator | None = None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Classes int64 [...] by head, sampled at temperature tau (0: the mode), and the action float32 [..., A]."""
        classes = {name: draw(logits, tau, generator) for name, logits in judged.log_probs.items()}
        controls = self.scheme.decode(classes)
        return classes, torch.stack([controls[name] for name in self.scheme.controls], -1)


def chosen_log_prob(log_probs: Mapping[str, Tensor], classes: Mapping[str, Tensor]) -> Tensor:
    """Joint log-probability [...] of the classes [...] of all heads."""
    each = [x.gather(-1, classes[name].unsqueeze(-1)).squeeze(-1) for name, x in log_probs.items()]
    return torch.stack(each).sum(0)


def entropy(log_probs: Mapping[str, Tensor]) -> Tensor:
    """Joint entropy [...] of all heads, nats."""
    return torch.stack([-(x.exp() * x).sum(-1) for x in log_probs.values()]).sum(0)
