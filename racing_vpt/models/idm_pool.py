"""Pools the distributions of several readers of a video (`idm_experts.py`).

The pool is a weighted product of experts, log p = sum_k w_k log p_k (Hinton 2002, "Training Products of Experts"), with
weights that depend on each reader's uncertainty around a frame. They are fitted on drivers that the readers were not
trained on (the validation split).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from racing_vpt.models.idm_experts import READERS


@dataclass(frozen=True)
class Held:
    """Data to fit the pool on, by head: the N measured frames of a held-out batch."""

    logs: dict[str, Tensor]  # log-probabilities float32 [N, 3, classes] of the readers
    entropy: dict[str, Tensor]  # float32 [N, 3], nearby
    targets: dict[str, Tensor]  # float32 [N, classes], soft
    controls: dict[str, Tensor]  # float32 [N], by control
    places: Tensor  # int64 [N, 2], episode and frame (`places_of`)
    vectors: Tensor  # float32 [R, D], what the clips are like that are full (`likeness.py`)


class Pool(nn.Module):
    """Weighs the readers of each head by their uncertainty around a frame; twelve parameters per head.

    Args:
        classes: number of classes by head.
        around: number of frames over which a reader's entropy is averaged, odd.
    """

    def __init__(self, classes: Mapping[str, int], around: int = 17) -> None:
        super().__init__()
        self.around = around
        K = len(READERS)
        self.weight = nn.ParameterDict({name: nn.Parameter(torch.zeros(K, K)) for name in classes})
        self.bias = nn.ParameterDict({name: nn.Parameter(torch.full((K,), -0.7)) for name in classes})

    def forward(self, logits: Mapping[str, Mapping[str, Tensor]], valid: Tensor) -> dict[str, Tensor]:
        """Logits [B, T, classes] by head of the pooled distributions, of logits by reader and head."""
        return {head: self.weigh(head, *evidence(logits, head, self.around, valid)) for head in self.weight}

    def weigh(self, head: str, logs: Tensor, entropy: Tensor) -> Tensor:
        """Logits [..., classes] of the readers' log-probabilities [..., 3, classes] and entropies [..., 3]."""
        power = F.softplus(self.bias[head] + entropy @ self.weight[head])
        return (power.unsqueeze(-1) * logs).sum(-2)

    def fit(self, head: str, logs: Tensor, entropy: Tensor, targets: Tensor, iterations: int = 60) -> None:
        """Fit a head's weights by minimizing the cross entropy with soft targets [N, classes], with L-BFGS."""
        numbers = [self.weight[head].requires_grad_(True), self.bias[head].requires_grad_(True)]
        optimizer = torch.optim.LBFGS(numbers, max_iter=iterations, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            optimizer.zero_grad()
            decay = 1e-3 * torch.stack([number.square().sum() for number in numbers]).sum()
            loss = -(targets * self.weigh(head, logs, entropy).log_softmax(-1)).sum(-1).mean() + decay
            loss.backward()  # type: ignore[no-untyped-call]
            return loss

        optimizer.step(closure)  # type: ignore[arg-type]
        for number in numbers:
            number.requires_grad_(False)
            number.grad = None


def evidence(
    logits: Mapping[str, Mapping[str, Tensor]], head: str, around: int, valid: Tensor
) -> tuple[Tensor, Tensor]:
    """Log-probabilities [B, T, 3, classes] of the readers and their entropies nearby [B, T, 3], from 0 to 1.

    Args:
        logits: by reader and head, float32 [B, T, classes].
        head: name of the head.
        around: number of frames over which entropies are averaged, odd.
        valid: bool [B, T], false for padding, which is left out of the average.
    """
    logs = torch.stack([logits[name][head].log_softmax(-1) for name in READERS], -2)
    entropy = -(logs.exp() * logs).sum(-1) / math.log(logs.shape[-1])
    counts = valid.unsqueeze(1).float()
    total, count = (
        F.avg_pool1d(x, around, 1, around // 2, count_include_pad=False)
        for x in (rearrange(entropy, "b t k -> b k t") * counts, counts)
    )
    return logs, rearrange(total / count.clamp(min=1 / around), "b k t -> b t k")
