"""Options of IRIS (`iris.py`), in the groups in which YAML nests them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from racing_vpt.models.module import Schedule, decay_groups
from racing_vpt.nn.actor_critic import AGENT_SIZES, AgentSize, Sees
from racing_vpt.nn.sizes import named_size
from racing_vpt.types import PartRequest

Act = Literal["mode", "mean", "turns"]
PARTS = ("tokenizer", "world", "agent")


@dataclass(frozen=True)
class ActorConfig:
    """Actor and critic, and how the actor drives.

    Args:
        size: `paper`, `tiny`, or all widths.
        sees: input of the agent: `pictures` decoded from tokens, as in the paper, or the tokenizer's `codes`, which is
            much faster and needs a tokenizer that is fixed by the time the agent learns.
        act: greedy driving: the `mode` of each control; `mean`, the mean on axes; or `turns`, that and of choices each
            class in turn, as often as it is likely: a pedal that is half on is on at every other decision.
        epsilon: share of random actions while experience is collected.
    """

    size: Literal["paper", "tiny"] | AgentSize = "paper"
    sees: Sees = "pictures"
    act: Act = "mode"
    epsilon: float = 0.01

    def __post_init__(self) -> None:
        if not 0 <= self.epsilon <= 1:
            raise ValueError(f"epsilon must lie in [0, 1], but {self.epsilon} was given")

    @property
    def widths(self) -> AgentSize:
        """All widths."""
        return named_size(self.size, AGENT_SIZES, "agent")


@dataclass(frozen=True)
class ActorCriticConfig:
    """Training of actor and critic.

    Args:
        gamma: discount of a step.
        lam: lambda of the returns.
        entropy_weight: value of a nat of the actor's entropy, in advantage.
        entropy_end: its value at the end, reached linearly over the actor's updates; None: constant. An actor that is
            paid for entropy to the end drives much worse greedily than when it samples.
        scale_returns: divide advantages by the spread of returns, where that is above 1.
        target_decay: share of itself that the target critic keeps at an update.
        imitate_updates: first updates of the actor that imitate recorded controls instead of dreaming.
        imitate_weight: weight of that imitation beside the dreams afterwards.
    """

    gamma: float = 0.995
    lam: float = 0.95
    entropy_weight: float = 1e-3
    entropy_end: float | None = None
    scale_returns: bool = True
    target_decay: float = 0.98
    imitate_updates: int = 0
    imitate_weight: float = 0.0

    def __post_init__(self) -> None:
        weights = (self.entropy_weight, self.entropy_end or 0.0, self.imitate_weight)
        if not 0 <= self.gamma <= 1 or not 0 <= self.lam <= 1 or min(weights) < 0 or self.imitate_updates < 0:
            raise ValueError(
                "gamma and lam must lie in [0, 1], entropy_weight, entropy_end, imitate_weight and imitate_updates be "
                f"at least 0, but {self} was given"
            )


@dataclass(frozen=True)
class DreamConfig:
    """Dreams that actor and critic are trained on.

    Args:
        burn_in: true frames that world model and agent see before a dream begins.
        horizon: steps of a dream.
        reuse: updates from the same dreams, which count as one in the schedule. The paper's is 1.
        tau: temperature of dreams.
    """

    burn_in: int = 20
    horizon: int = 20
    reuse: int = 1
    tau: float = 1.0

    def __post_init__(self) -> None:
        if self.burn_in < 0 or min(self.horizon, self.reuse) < 1 or self.tau < 0:
            raise ValueError(f"horizon and reuse must be at least 1, burn_in and tau at least 0, but {self} was given")


@dataclass(frozen=True)
class PartTraining:
    """Training of one part. The defaults are the paper's (arXiv:2209.00588, table 5).

    Args:
        steps: updates in an epoch; 0: the part is not trained.
        start_epoch: epoch, from 0, in which its training begins.
        end_epoch: epoch in which its training ends; -1: never.
        batch_size: segments in a batch; for the agent the number of dreams.
        lr: learning rate of AdamW.
        weight_decay: weight decay of matrices and kernels.
        clip: largest norm of the gradient.
        schedule: shape of the learning rate after the warm-up, over the epochs of the run.
        warmup_steps: updates over which the learning rate rises from 0.
    """

    steps: int = 200
    start_epoch: int = 0
    end_epoch: int = -1
    batch_size: int = 64
    lr: float = 1e-4
    weight_decay: float = 0.0
    clip: float = 10.0
    schedule: Schedule = "constant"
    warmup_steps: int = 0

    def __post_init__(self) -> None:
        if min(self.steps, self.start_epoch, self.warmup_steps) < 0 or self.batch_size < 1:
            raise ValueError(
                f"steps, start_epoch and warmup_steps must be at least 0, batch_size at least 1, but {self} was given"
            )
        if self.lr <= 0 or self.weight_decay < 0 or self.clip <= 0:
            raise ValueError(f"lr and clip must be above 0, weight_decay at least 0, but {self} was given")

    def learns(self, epoch: int) -> bool:
        """Whether the part is trained in an epoch."""
        return self.steps > 0 and self.start_epoch <= epoch and (self.end_epoch < 0 or epoch < self.end_epoch)

    def total(self, epochs: int | None) -> float:
        """Updates in a run of so many epochs; None or -1: an endless one."""
        ends = [epoch for epoch in (epochs, self.end_epoch) if epoch is not None and epoch >= 0]
        return max(1, min(ends) - self.start_epoch) * self.steps if ends else float("inf")

    def optimizer(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """AdamW; without weight decay it equals Adam."""
        return torch.optim.AdamW(decay_groups(list(parameters)), lr=self.lr, weight_decay=self.weight_decay)


@dataclass(frozen=True)
class TrainingConfig:
    """Training schedule of IRIS's parts.

    Args:
        tokenizer: training of the tokenizer. If it is not trained, recorded frames are encoded only once.
        world: training of the world model.
        agent: training of actor and critic.
        world_frames: frames of a segment that the world model learns from.
        compile: run the world model's blocks through torch.compile, in training and in dreams; for GPUs: on a CPU
            dreams are hardly faster with it.
    """

    tokenizer: PartTraining = PartTraining(200, 5, batch_size=256)
    world: PartTraining = PartTraining(200, 25, weight_decay=0.01)
    agent: PartTraining = PartTraining(200, 50)
    world_frames: int = 20
    compile: bool = False

    def __post_init__(self) -> None:
        if self.world_frames < 2:
            raise ValueError(f"a segment has 2 frames or more, but world_frames {self.world_frames} was given")

    @property
    def parts(self) -> dict[str, PartTraining]:
        """Training of the parts by name, in their order."""
        return {"tokenizer": self.tokenizer, "world": self.world, "agent": self.agent}

    @property
    def updates_per_epoch(self) -> int:
        """Updates in an epoch, including those of parts whose training has not begun."""
        return max(1, sum(training.steps for training in self.parts.values()))

    def wanted(self, step: int, dreams: DreamConfig, imitate_updates: int) -> PartRequest:
        """Data needed by update number `step` (from 0): in each epoch the parts follow one another.

        Args:
            step: number of the update.
            dreams: of the agent.
            imitate_updates: first updates of the agent, in which it imitates segments as long as a dream.
        """
        epoch, place = divmod(step, self.updates_per_epoch)
        lengths = {"tokenizer": 1, "world": self.world_frames, "agent": dreams.burn_in + 1}
        for part, training in self.parts.items():
            if place < training.steps:
                done = (epoch - training.start_epoch) * training.steps + place  # updates of this part
                imitates = part == "agent" and done < imitate_updates
                frames = lengths[part] + (dreams.horizon if imitates else 0)
                return PartRequest(part, training.batch_size * training.learns(epoch), frames)
            place -= training.steps
        return PartRequest("agent", 0, 1)
