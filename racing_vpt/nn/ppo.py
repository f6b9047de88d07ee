"""Advantages and losses of proximal policy optimization for policies of several categorical heads.

PPO, Schulman et al. 2017 (arXiv:1707.06347), with generalized advantage estimation (arXiv:1506.02438); the divergence
from a frozen policy in place of entropy is VPT's (Baker et al. 2022, arXiv:2206.11795, section 4.4 and appendix G).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def advantages(
    rewards: Tensor, terminated: Tensor, valid: Tensor, values: Tensor, discount: float, trace: float
) -> Tensor:
    """Generalized advantage estimates float32 [N, T]; 0 where a step is not valid.

    After the end of an episode its last frame is shown once more, with `valid` false (next-step autoreset). A
    truncated episode therefore bootstraps from the value of that frame, a terminated one from nothing.

    Args:
        rewards: [N, T], for the actions.
        terminated: bool [N, T], whether the action terminated the episode.
        valid: bool [N, T], false where the action was ignored.
        values: [N, T + 1], of each frame and of the one after the last.
        discount: gamma of a decision.
        trace: lambda, the share of later steps in an estimate.
    """
    if values.shape[1] != rewards.shape[1] + 1:
        raise ValueError(f"{rewards.shape[1]} rewards need one value more, but {values.shape[1]} were given")
    onwards, found = torch.zeros_like(values[:, 0]), []
    for step in reversed(range(rewards.shape[1])):
        going_on = discount * ~terminated[:, step]
        error = rewards[:, step] + going_on * values[:, step + 1] - values[:, step]
        onwards = (error + going_on * trace * onwards) * valid[:, step]
        found.append(onwards)
    return torch.stack(found[::-1], 1)


def chosen(log_probs: Mapping[str, Tensor], classes: Mapping[str, Tensor], relevant: Mapping[str, Tensor]) -> Tensor:
    """Log-probability [...] of the classes of all heads together.

    Args:
        log_probs: [..., classes] by head.
        classes: int64 [...] by head.
        relevant: bool [...] by head, where it has an effect (`ControlScheme.relevant`); absent: always.
    """
    total = torch.zeros(())
    for name, all_of_them in log_probs.items():
        one = all_of_them.gather(-1, classes[name].unsqueeze(-1)).squeeze(-1)
        total = total.to(one.device) + (one * relevant[name] if name in relevant else one)
    return total


def divergence(given: Mapping[str, Tensor], log_probs: Mapping[str, Tensor], relevant: Mapping[str, Tensor]) -> Tensor:
    """KL divergence [...] of distributions from given ones, KL(given || other), summed over the heads; in nats.

    Args:
        given: log-probabilities [..., classes] by head.
        log_probs: those of the other policy.
        relevant: as `chosen` takes it.
    """
    total = torch.zeros(())
    for name, known in given.items():
        one = (known.exp() * (known - log_probs[name])).sum(-1)
        total = total.to(one.device) + (one * relevant[name] if name in relevant else one)
    return total


def entropy(log_probs: Mapping[str, Tensor]) -> Tensor:
    """Entropy [...] summed over the heads, in nats."""
    return torch.stack([-(x.exp() * x).sum(-1) for x in log_probs.values()]).sum(0)


def clipped_loss(ratio: Tensor, advantage: Tensor, clip: float) -> Tensor:
    """Clipped surrogate loss [...], to be minimized.

    Args:
        ratio: probability of the action now, relative to when it was taken [...].
        advantage: [...]; no gradient goes through it.
        clip: distance from 1 beyond which a ratio gains nothing more.
    """
    aims = advantage.detach()
    return -torch.minimum(ratio * aims, ratio.clamp(1 - clip, 1 + clip) * aims)


def explained_variance(returns: Tensor, values: Tensor, valid: Tensor) -> Tensor:
    """Share of the variance of returns [N, T] that values [N, T] explain, over the valid steps; a scalar."""
    aims = returns[valid]
    spread = aims.var(correction=0)
    return 1 - (aims - values[valid]).var(correction=0) / spread.clamp(min=1e-8)
