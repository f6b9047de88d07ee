"""Options of the DQN (`dqn.py`), in the groups in which YAML nests them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from racing_vpt.nn.q_net import Trunk


@dataclass(frozen=True)
class QNetConfig:
    """Network of action values.

    Args:
        stack: decisions whose frames an observation holds.
        trunk: `cnn` or `impala`.
        channels: channels of the convolutions (Nature's: 32, 64, 64), or of the residual stacks.
        hidden: units between convolutions and values; an even number.
        dueling: separate streams for the state's value and the actions' advantages.
        noisy: explore by noise in the last layers; give epsilon 0 with it (`exploration.start` and `.end`).
        quantiles: quantiles of an action's value; 1: its mean only.
        layer_norm: normalize after the convolutions and in the hidden layer.
    """

    stack: int = 4
    trunk: Trunk = "cnn"
    channels: tuple[int, ...] = (16, 32, 32)
    hidden: int = 256
    dueling: bool = True
    noisy: bool = False
    quantiles: int = 1
    layer_norm: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(self.channels))  # YAML and JSON give lists
        if min(self.stack, self.hidden, self.quantiles, *self.channels) < 1 or self.hidden % 2:
            raise ValueError(f"sizes of the network are 1 or more, hidden an even number, but {self} was given")


@dataclass(frozen=True)
class QLearningConfig:
    """Definition and learning of action values.

    Args:
        double: the online network chooses the action that the target network evaluates.
        discount: gamma of a decision; 0.97 looks about 33 decisions (2.7 s at stride 4) ahead.
        reward_scale: factor on rewards: at full speed a decision earns 4 to 5, and Huber's loss needs errors around 1.
        missed_cost: points subtracted for a decision in which a tile is missed (`rollout/progress.py`): it costs the
            lap, but the penalty arrives too late to attribute. Reported returns do not include it.
        rescale_values: learn values under the square root of Pohlen et al. 2018 instead of the plain ones.
        huber: error beyond which the loss is linear.
        mirror: share of the transitions of a batch that are mirrored, together with their actions.
    """

    double: bool = True
    discount: float = 0.97
    reward_scale: float = 0.1
    missed_cost: float = 0.0
    rescale_values: bool = False
    huber: float = 1.0
    mirror: float = 0.0

    def __post_init__(self) -> None:
        for name in ("discount", "mirror"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in [0, 1], but {getattr(self, name)} was given")
        if min(self.reward_scale, self.huber) <= 0:
            raise ValueError(
                f"reward_scale and huber must be more than 0, but {self.reward_scale} and {self.huber} were given"
            )


@dataclass(frozen=True)
class TargetNetConfig:
    """Update of the target network.

    Args:
        every: updates between copies; used where `rate` is None.
        rate: share by which it moves towards the online network at each update; None: it is copied instead.
    """

    every: int = 1000
    rate: float | None = None

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"target.every must be at least 1, but {self.every} was given")
        if self.rate is not None and not 0 < self.rate <= 1:
            raise ValueError(f"target.rate must lie in (0, 1], but {self.rate} was given")


@dataclass(frozen=True)
class ExplorationConfig:
    """Epsilon-greedy exploration.

    Args:
        start: share of random actions at the beginning.
        end: share after `decisions`.
        decisions: number of decisions over which it falls linearly.
        spread: environment i of N uses epsilon ^ (1 + spread * i / (N - 1)): some explore a lot, some hardly, so that
            the whole of a fast lap is seen early. 0: all alike.
        hold: decisions that a random action lasts: a single one of 25 per second has no effect, twenty spin the car.
    """

    start: float = 1.0
    end: float = 0.05
    decisions: int = 100_000
    spread: float = 0.0
    hold: int = 1

    def __post_init__(self) -> None:
        if not (0 <= self.start <= 1 and 0 <= self.end <= 1):
            raise ValueError(f"epsilon must lie in [0, 1], but start {self.start} and end {self.end} were given")
        if min(self.decisions, self.hold) < 1 or self.spread < 0:
            raise ValueError(
                "decisions and hold must be at least 1 and spread at least 0, but they are "
                f"{self.decisions}, {self.hold} and {self.spread}"
            )

    def epsilon(self, decisions: int, lanes: int) -> np.ndarray:
        """Share of random actions float64 [lanes] after so many decisions."""
        done = min(1.0, decisions / self.decisions)
        base = self.start + done * (self.end - self.start)
        return base ** (1 + self.spread * np.arange(lanes) / max(1, lanes - 1))


@dataclass(frozen=True)
class MarginConfig:
    """Large-margin loss on actions of a demonstrator or teacher (DQfD).

    Args:
        size: by how much all other actions are to be worth less, in scaled reward.
        weight: weight of this loss, where such an action is known.
    """

    size: float = 0.8
    weight: float = 1.0
