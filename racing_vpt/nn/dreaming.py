"""Dreams of an actor-critic in a world model, in batches and without gradients, and learning from them.

IRIS, Micheli et al. 2022 (arXiv:2209.00588), algorithm 1 and appendix A.3. Burn-in: agent and world
model see some true frames before a dream begins. No environment is involved.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn

from racing_vpt.nn.actor_critic import ActorCritic, AgentState, chosen_log_prob, entropy
from racing_vpt.nn.imagination import World
from racing_vpt.nn.masked import masked_mean
from racing_vpt.nn.returns import Spread, TargetCritic, lambda_returns, policy_loss, reached


@dataclass
class Dream:
    """B dreams of H steps.

    Args:
        pictures: float32 [B, H + 1, 3, H', W'] in [0, 1], or codes [B, H + 1, D]: input of the agent before each step
            and after the last one.
        observations: [B, H + 1, ...], the world model's, from which these were computed.
        classes: int64 [B, H] by head, the actions taken.
        actions: float32 [B, H, A], the same as values of the controls.
        log_probs: float32 [B, H], of these actions.
        rewards: float32 [B, H].
        ends: float32 [B, H], probability that a step ended the episode.
        before: the agent's memory before the first picture.
        target_before: memory of the target critic, if there is one.
    """

    pictures: Tensor
    observations: Tensor
    classes: dict[str, Tensor]
    actions: Tensor
    log_probs: Tensor
    rewards: Tensor
    ends: Tensor
    before: AgentState
    target_before: AgentState | None = None


def view(world: World, agent: nn.Module, observations: Tensor) -> Tensor:
    """Input of an agent for observations [N, ...]: pictures float32 [N, 3, H, W], or codes [N, D]."""
    return world.codes(observations) if agent.sees == "codes" else world.show(observations)


@torch.no_grad()
def burn_in(
    world: World, agent: ActorCritic, observations: Tensor, first: Tensor | None, target: TargetCritic | None = None
) -> tuple[AgentState, AgentState | None]:
    """Memories of agent and target critic after true frames [B, T, ...]; empty with T = 0."""
    rows, steps = observations.shape[:2]
    agents = [agent] if target is None else [agent, target.net]
    states = [agent.initial(rows) for _ in agents]
    if steps:
        pictures = view(world, agent, observations.flatten(0, 1))
        for index, each in enumerate(agents):
            features = rearrange(each.look(pictures), "(b t) d -> b t d", b=rows)  # type: ignore[operator]
            states[index] = each.remember(features, states[index], first)[1]  # type: ignore[operator]
    return states[0], states[1] if target is not None else None


@torch.no_grad()
def dream(
    world: World,
    agent: ActorCritic,
    observations: Tensor,
    actions: Tensor,
    horizon: int,
    first: Tensor | None = None,
    target: TargetCritic | None = None,
    tau: float = 1.0,
    generator: torch.Generator | None = None,
) -> Dream:
    """Let the agent drive in the world model.

    Args:
        world: the world model.
        agent: drives.
        observations: true ones [B, T, ...]; the last of them is the first picture of the dream, the others burn in.
        actions: float32 [B, T, A]; action t led to observation t.
        horizon: steps, H.
        first: bool [B, T], where an episode starts.
        target: the target critic, whose values are the targets.
        tau: temperature of the world model.
        generator: source of all draws.
    """
    if horizon < 1:
        raise ValueError(f"horizon must be at least 1, but {horizon} was given")
    burnt = None if first is None else first[:, :-1]
    before, target_before = burn_in(world, agent, observations[:, :-1], burnt, target)
    if first is not None:  # nothing is remembered where the last true frame begins an episode
        keep = ~first[:, -1:]
        before = (before[0] * keep, before[1] * keep)
        target_before = None if target_before is None else (target_before[0] * keep, target_before[1] * keep)
    state = world.observe(observations, actions, world.initial(len(observations)), first)
    current, memory = observations[:, -1], before
    pictures, seen = [view(world, agent, current)], [current]
    classes, done, log_probs, rewards, ends = [], [], [], [], []
    for _ in range(horizon):
        judged, memory = agent(pictures[-1].unsqueeze(1), memory)
        picked, answer = agent.choose(judged, 1.0, generator)
        step = world.imagine(answer[:, 0], state, tau, generator)
        state, current = step.state, step.observation
        pictures.append(view(world, agent, current))
        seen.append(current)
        classes.append(picked)
        done.append(answer[:, 0])
        log_probs.append(chosen_log_prob(judged.log_probs, picked))
        rewards.append(step.reward)
        ends.append(step.end)
    return Dream(
        torch.stack(pictures, 1),
        torch.stack(seen, 1),
        {name: torch.cat([picked[name] for picked in classes], 1) for name in classes[0]},
        torch.stack(done, 1),
        torch.cat(log_probs, 1),
        torch.stack(rewards, 1),
        torch.stack(ends, 1),
        before,
        target_before,
    )


def imitate(
    agent: ActorCritic, world: World, observations: Tensor, actions: Tensor, first: Tensor, valid: Tensor
) -> Tensor:
    """Cross entropy, nats per step, of recorded actions under the actor.

    Args:
        agent: learns.
        world: decodes the observations.
        observations: recorded ones [B, T, ...].
        actions: float32 [B, T, A] that answered them.
        first: bool [B, T], where an episode starts.
        valid: bool [B, T], where there is an action.
    """
    with torch.no_grad():
        pictures = view(world, agent, observations.flatten(0, 1)).unflatten(0, observations.shape[:2])
    judged, _ = agent(pictures, agent.initial(len(pictures)), first)
    controls = dict(zip(agent.scheme.controls, actions.unbind(-1), strict=True))
    targets = agent.scheme.encode_soft(controls)
    each = torch.stack([-(targets[name] * x).sum(-1) for name, x in judged.log_probs.items()]).sum(0)
    return masked_mean(each, valid)


def learn(
    agent: ActorCritic,
    dreamt: Dream,
    target: TargetCritic | None = None,
    spread: Spread | None = None,
    gamma: float = 0.995,
    lam: float = 0.95,
    entropy_weight: float = 1e-3,
) -> dict[str, Tensor]:
    """`loss` of a dream and, to be logged, its parts and the mean return, value and entropy.

    Args:
        agent: the agent that dreamt; gradients flow through all its steps, but not into its burn-in.
        dreamt: result of `dream`, by this agent or by its weights some updates ago.
        target: the target critic, whose values are the targets; None: the agent's own.
        spread: divisor of advantages, or None.
        gamma: discount.
        lam: of the lambda-returns.
        entropy_weight: value of a nat of the actor's entropy, in advantage.
    """
    judged, _ = agent(dreamt.pictures, dreamt.before)
    values = agent.values(judged)  # (B, H + 1)
    with torch.no_grad():
        aims = values.detach()
        if target is not None:
            critic, since = target.net, dreamt.target_before or dreamt.before
            aims = critic.values(critic(dreamt.pictures, since)[0])  # type: ignore[operator]
        returns = lambda_returns(dreamt.rewards, dreamt.ends, aims, gamma, lam)  # (B, H)
        weights = reached(dreamt.ends)
        divisor = torch.ones(()) if spread is None else spread.update(returns)
    log_probs = {name: x[:, :-1] for name, x in judged.log_probs.items()}
    nats = entropy(log_probs)
    advantages = (returns - values[:, :-1].detach()) / divisor
    chosen = chosen_log_prob(log_probs, dreamt.classes)
    actor = policy_loss(chosen, nats, advantages, weights, entropy_weight, dreamt.log_probs)
    each = agent.critic.loss(judged.value[:, :-1], returns)
    critic_loss = masked_mean(each, weights, least=1e-6)
    return {
        "loss": actor + critic_loss,
        "actor_loss": actor.detach(),
        "critic_loss": critic_loss.detach(),
        "return": returns.mean(),
        "value": values.detach().mean(),
        "entropy": nats.detach().mean(),
        "imagined_reward": dreamt.rewards.mean(),
        "imagined_end": dreamt.ends.mean(),
    }
