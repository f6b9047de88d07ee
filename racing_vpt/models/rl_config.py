"""Options of reinforcement learning from a cloned policy (`vpt_rl.py`), in the groups in which YAML nests them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PPOConfig:
    """Proximal policy optimization.

    Args:
        discount: gamma of a decision; 0.99 looks about 100 decisions ahead.
        trace: lambda of generalized advantage estimation.
        clip: distance of the probability ratio from 1 beyond which an action gains nothing more.
        value_weight: weight of the value loss, whose targets are normalized.
        entropy_weight: weight of an entropy bonus, in nats; for a policy without a clone.
        critic_iterations: first iterations in which only the value head learns while the policy waits.
        critic_rate: factor on the learning rate of the value head, whose weights start at random.
    """

    discount: float = 0.99
    trace: float = 0.95
    clip: float = 0.2
    value_weight: float = 0.5
    entropy_weight: float = 0.0
    critic_iterations: int = 4
    critic_rate: float = 10.0

    def __post_init__(self) -> None:
        for name in ("discount", "trace"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"ppo.{name} must lie in [0, 1], but {getattr(self, name)} was given")
        if not self.clip > 0 or not self.critic_rate > 0:
            raise ValueError(
                f"ppo.clip and ppo.critic_rate must be more than 0, but {self.clip} and {self.critic_rate} were given"
            )
        if min(self.value_weight, self.entropy_weight, self.critic_iterations) < 0:
            raise ValueError(
                "ppo.value_weight, entropy_weight and critic_iterations must be at least 0, but they are "
                f"{self.value_weight}, {self.entropy_weight} and {self.critic_iterations}"
            )


@dataclass(frozen=True)
class AnchorConfig:
    """KL divergence to the frozen clone, which keeps the policy from forgetting what it was cloned from.

    Args:
        weight: weight of a nat in the first iteration, relative to normalized advantages (VPT: 0.2); 0: no clone.
        decay: factor on the weight after each iteration, as VPT decays it.
        least: weight at which the decay ends.
    """

    weight: float = 0.2
    decay: float = 0.995
    least: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.least <= self.weight or not 0 < self.decay <= 1:
            raise ValueError(
                "expected 0 <= anchor.least <= anchor.weight and 0 < anchor.decay <= 1, but least, weight and decay "
                f"are {self.least}, {self.weight} and {self.decay}"
            )

    def at(self, iteration: int) -> float:
        """Weight in an iteration, counted from 0."""
        return max(self.least, self.weight * self.decay**iteration)


@dataclass(frozen=True)
class RewardConfig:
    """Reward that is learned from: a weighted sum. Reported returns are always the environment's.

    Args:
        env: weight of the environment's own reward.
        lap: points for a finished lap (`lap_finished` of the environment).
        missed: points for a decision in which CarRacing's tiles are missed, usually negative: a missed tile costs the
            lap, but that penalty arrives hundreds of frames too late to be attributed.
    """

    env: float = 1.0
    lap: float = 0.0
    missed: float = 0.0

    def __post_init__(self) -> None:
        if not (self.env or self.lap or self.missed):
            raise ValueError("a reward needs a weight other than 0: give --model.reward.env 1")
