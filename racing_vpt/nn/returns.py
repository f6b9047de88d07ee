"""Returns, losses and the target critic of an actor-critic that learns in imagination.

IRIS, Micheli et al. 2022 (arXiv:2209.00588), section 2.3 and appendix A.3, after DreamerV2 (arXiv:2010.02193):
REINFORCE with lambda-returns, a baseline and entropy. Episode ends enter by their probability, not as draws. Advantages
may be divided by the spread of returns, as in DreamerV3 (arXiv:2301.04104), because the scale of CarRacing's returns is
not known beforehand. Several updates may be made from the same dreams, clipped as in PPO (arXiv:1707.06347).
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from racing_vpt.nn.masked import masked_mean

CLIP = 0.2  # of PPO's ratios


def lambda_returns(rewards: Tensor, ends: Tensor, values: Tensor, gamma: float = 0.995, lam: float = 0.95) -> Tensor:
    """Returns float32 [B, T] of imagined steps.

    R_t = r_t + gamma (1 - e_t) ((1 - lam) v_{t + 1} + lam R_{t + 1}), and R_T = v_T.

    Args:
        rewards: [B, T].
        ends: probability [B, T] that a step ended the episode; or 0 and 1.
        values: [B, T + 1], before each step and after the last one.
        gamma: discount.
        lam: weight of later steps instead of the next value.
    """
    if values.shape[1] != rewards.shape[1] + 1:
        raise ValueError(f"{rewards.shape[1]} rewards need one value more, but {values.shape[1]} were given")
    onwards, found = values[:, -1], []
    for step in reversed(range(rewards.shape[1])):
        mixed = (1 - lam) * values[:, step + 1] + lam * onwards
        onwards = rewards[:, step] + gamma * (1 - ends[:, step]) * mixed
        found.append(onwards)
    return torch.stack(found[::-1], 1)


def reached(ends: Tensor) -> Tensor:
    """Probability [B, T] that a step is reached, from the probabilities [B, T] that steps end the episode."""
    going_on = (1 - ends).cumprod(1)
    return torch.cat([torch.ones_like(going_on[:, :1]), going_on[:, :-1]], 1)


class Spread(nn.Module):
    """Moving average of the range that holds most returns; divisor of advantages, where it is above 1.

    Args:
        decay: share of itself that the average keeps at an update.
        share: share of the returns that lie outside the range, at each end.
    """

    range: Tensor
    begun: Tensor

    def __init__(self, decay: float = 0.99, share: float = 0.05) -> None:
        super().__init__()
        self.decay, self.share = decay, share
        self.register_buffer("range", torch.ones(()))
        self.register_buffer("begun", torch.zeros((), dtype=torch.bool))

    @torch.no_grad()
    def update(self, returns: Tensor) -> Tensor:
        """Update with returns [...]; gives the divisor, a scalar of 1 or more."""
        ends = torch.tensor([self.share, 1 - self.share], device=returns.device)
        low, high = returns.float().flatten().quantile(ends)
        self.range.copy_((high - low) if not self.begun else self.range.lerp(high - low, 1 - self.decay))
        self.begun.fill_(True)
        return self.range.clamp(min=1.0)


def policy_loss(
    log_probs: Tensor,
    entropy: Tensor,
    advantages: Tensor,
    weights: Tensor,
    entropy_weight: float = 1e-3,
    before: Tensor | None = None,
) -> Tensor:
    """Loss of the actor, a scalar.

    Args:
        log_probs: [B, T], of the actions taken.
        entropy: [B, T], nats.
        advantages: [B, T]; no gradient goes through them.
        weights: [B, T], weight of each step.
        entropy_weight: value of a nat of entropy, in advantage.
        before: [B, T], log-probabilities of the same actions under the actor that took them; their ratio is clipped
            at `CLIP`. Where the two actors agree, it does not change the gradient.
    """
    aims = advantages.detach()
    if before is None:
        led = log_probs * aims
    else:
        ratio = (log_probs - before).exp()
        led = torch.minimum(ratio * aims, ratio.clamp(1 - CLIP, 1 + CLIP) * aims)
    each = -(led + entropy_weight * entropy)
    return masked_mean(each, weights, least=1e-6)


class TargetCritic(nn.Module):
    """Target network: a copy that follows slowly, for stable targets.

    Args:
        net: the network that it follows; it is copied.
        decay: share of itself that it keeps at an update.
    """

    def __init__(self, net: nn.Module, decay: float = 0.98) -> None:
        super().__init__()
        if not 0 <= decay < 1:
            raise ValueError(f"decay must lie in [0, 1), but {decay} was given")
        self.net, self.decay = copy.deepcopy(net).requires_grad_(False), decay

    @torch.no_grad()
    def follow(self, net: nn.Module) -> None:
        """One step towards the network."""
        for own, given in zip(self.net.parameters(), net.parameters(), strict=True):
            own.lerp_(given, 1 - self.decay)
        for kept, new in zip(self.net.buffers(), net.buffers(), strict=True):
            kept.copy_(new)
