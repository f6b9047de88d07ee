"""Deep Q-learning of discrete actions, with later improvements that can each be switched off.

DQN, Mnih et al. 2015; double, van Hasselt et al. 2016 (arXiv:1509.06461); soft targets, Lillicrap et al. 2016
(arXiv:1509.02971); an epsilon for each environment, Horgan et al. 2018 (arXiv:1803.00933), and random actions held,
Dabney et al. 2020 (arXiv:2006.01782); the margin of DQfD (`nn/q_learning`); networks (`nn/q_net`). n-step rewards and
priorities belong to the replay buffer. Unlike DQN, rewards are scaled, not clipped: clipped to +-1, one tile is worth
as much as two, and nothing is gained by driving faster.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from einops import rearrange
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import OptimizerCallable
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from racing_vpt.games.controls import ControlScheme
from racing_vpt.games.read import as_game
from racing_vpt.models.action_table import action_scheme, mirror_some, mirrored_actions, rows_of
from racing_vpt.models.dqn_config import ExplorationConfig, MarginConfig, QLearningConfig, QNetConfig, TargetNetConfig
from racing_vpt.models.module import Schedule, with_schedule
from racing_vpt.nn.q_learning import grow, margin_loss, quantile_huber, shrink
from racing_vpt.nn.q_net import QNet
from racing_vpt.types import FrameChanges, Transitions, frame_spec

GREY = FrameChanges(height=84, width=84, fit="crop", crop_bottom=0.125, hide=(), grey=True, stride=4)


class DQN(LightningModule):
    """Learns the value of each discrete action from the last few frames, and acts greedily on it.

    Args:
        game: name or file of the game, or all that its file says.
        frames: how the frames that the model sees differ from the game's: grey, the middle 84x84 of the rows above the
            instruments. It decides at every `stride`-th frame and holds the action in between.
        actions: rows of controls; None: those of the game, CarRacing's five (`carracing:eleven` has more).
        network: size and parts of the network.
        learning: definition and learning of action values.
        target: update of the target network.
        exploration: random actions while experience is collected.
        margin: loss on actions of a demonstrator or teacher.
        optimizer: built from the network's parameters.
        schedule: shape of the learning rate after the warm-up, over the updates of the run.
        warmup_steps: updates over which the learning rate rises from 0.
        init_from: checkpoint of the same network to take initial weights from.
    """

    TWINS = (("target.", "net."),)  # copies of a network that an export leaves out
    act = "controls"  # `policy` returns controls, not class probabilities

    def __init__(
        self,
        game: str | dict = "carracing",
        frames: FrameChanges = GREY,
        actions: list[list[float]] | None = None,
        network: QNetConfig = QNetConfig(),  # noqa: B008 - frozen
        learning: QLearningConfig = QLearningConfig(),  # noqa: B008 - frozen
        target: TargetNetConfig = TargetNetConfig(),  # noqa: B008 - frozen
        exploration: ExplorationConfig = ExplorationConfig(),  # noqa: B008 - frozen
        margin: MarginConfig = MarginConfig(),  # noqa: B008 - frozen
        optimizer: OptimizerCallable = lambda weights: torch.optim.Adam(weights, lr=2e-4, fused=True),
        schedule: Schedule = "constant",
        warmup_steps: int = 0,
        init_from: str | None = None,
    ) -> None:
        super().__init__()
        self.game = as_game(game)
        self.frames = frame_spec(frames, self.game.frames)
        if not self.frames.grey:
            raise ValueError("a DQN stacks grey frames, but frames.grey is false: give --model.frames.grey true")
        self.scheme: ControlScheme = action_scheme(actions, self.game)
        self.stack = network.stack
        self.learning = learning
        self.target_update = target
        self.exploration = exploration
        self.margin = margin
        self.optimizer = optimizer
        self.schedule = schedule
        self.warmup_steps = warmup_steps
        self.init_from = init_from
        self.table = torch.tensor([list(row.values()) for row in rows_of(self.scheme)], dtype=torch.float64)
        self.mirrored = mirrored_actions(self.scheme) if learning.mirror else []
        self.net = QNet(
            self.scheme.num_classes["action"], network.stack, self.frames.height, self.frames.width,
            trunk=network.trunk, channels=network.channels, hidden=network.hidden, dueling=network.dueling,
            noisy=network.noisy, quantiles=network.quantiles, layer_norm=network.layer_norm,
        )  # fmt: skip
        self.target = copy.deepcopy(self.net).requires_grad_(False)

    @property
    def discount(self) -> float:
        """Gamma of a decision."""
        return self.learning.discount

    @property
    def missed_cost(self) -> float:
        """Points subtracted for a missed tile."""
        return self.learning.missed_cost

    def setup(self, stage: str) -> None:
        if stage == "fit" and self.init_from is not None and self.trainer.ckpt_path is None:
            from racing_vpt.checkpoints.load import load_strictly, read_checkpoint

            load_strictly(self, read_checkpoint(self.init_from).state_dict, self.init_from)

    # ---------------------------------------------------------------- acting

    def initial_state(self, n: int, device: torch.device | str = "cpu") -> Tensor:
        """Observation before an episode's first frame, uint8 [n, S, H, W]."""
        return torch.zeros(n, self.stack, self.frames.height, self.frames.width, dtype=torch.uint8, device=device)

    def observe(self, state: Tensor, frames: Tensor, first: Tensor) -> Tensor:
        """Observations uint8 [N, S, H, W] with frames uint8 [N, H, W] added; an episode's `first` [N] fills all."""
        seen = torch.cat([state[:, 1:], frames.unsqueeze(1)], 1)
        return torch.where(rearrange(first, "n -> n 1 1 1"), frames.unsqueeze(1), seen)

    @torch.no_grad()
    def values(self, observation: Tensor) -> Tensor:
        """Mean value float32 [N, A] of each action, in scaled reward."""
        values = self.net(observation)
        return (grow(values) if self.learning.rescale_values else values).mean(-1)

    def policy(self, frames: Tensor, first: Tensor, state: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Controls float64 [N, 1] by name for frames uint8 [N, 1, H, W, 3], and the new observation."""
        if frames.shape[1] != 1:
            raise ValueError(f"a DQN sees one frame at a time, but {frames.shape[1]} were given")
        state = self.observe(state, frames[:, 0, :, :, 0], first[:, 0])
        best = self.values(state).argmax(-1, keepdim=True)
        controls = self.table[best.cpu()]  # (N, 1, 3)
        return dict(zip(self.scheme.controls, controls.unbind(-1), strict=True)), state

    def explore(self, observation: Tensor, decisions: int, seed: int) -> np.ndarray:
        """Epsilon-greedy actions int64 [N] after `decisions` of all N; without noisy layers a pure function."""
        N = len(observation)
        random = np.random.default_rng(
            [seed, decisions // (N * self.exploration.hold)]
        )  # the same while an action is held
        best = self.values(observation.to(self.device)).argmax(-1).cpu().numpy()
        chance = random.random(N) < self.exploration.epsilon(decisions, N)
        return np.where(chance, random.integers(self.net.actions, size=N), best)

    # ---------------------------------------------------------------- learning

    def training_step(self, batch: Transitions, batch_idx: int) -> dict[str, Tensor]:
        """`loss`, and `td_error` float32 [B] for the priorities."""
        losses = self.losses(mirror_some(batch, self.learning.mirror, self.mirrored) if self.mirrored else batch)
        if (self.global_step + 1) % self.trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            means = {name: x.detach().mean() for name, x in losses.items() if name != "td_error"}
            means["td_error"] = losses["td_error"].abs().mean()
            self.log_dict({f"train/{name}": x for name, x in means.items()}, batch_size=len(batch.action))
        return {"loss": losses["loss"], "td_error": losses["td_error"]}

    def losses(self, batch: Transitions) -> dict[str, Tensor]:
        """`loss` (weighted mean); [B]: `td_error`, `q` of the actions taken and, with demonstrations, `margin`."""
        quantiles = self.net(batch.observation)  # (B, A, K)
        rows = torch.arange(len(batch.action), device=quantiles.device)
        taken = quantiles[rows, batch.action]  # (B, K)
        targets = self.targets(batch)
        loss = quantile_huber(taken, targets, self.learning.huber)  # (B,)
        found = {"td_error": (targets.mean(-1) - taken.mean(-1)).detach(), "q": taken.detach().mean(-1)}
        told = batch.shown >= 0
        if self.margin.weight and told.any():
            found["margin"] = margin_loss(quantiles.mean(-1), batch.shown.clamp(min=0), self.margin.size) * told
            loss = loss + self.margin.weight * found["margin"]
        return {"loss": (loss * batch.weight).mean(), **found}

    @torch.no_grad()
    def targets(self, batch: Transitions) -> Tensor:
        """Targets of the taken actions' values, float32 [B, K]: rewards plus the target network's estimate."""
        then = self.net.prepare(batch.next_observation)
        ahead = self.target(then)  # (B, A, K)
        judge = self.net(then) if self.learning.double else ahead
        best = judge.mean(-1).argmax(-1)
        future = ahead[torch.arange(len(best), device=best.device), best]
        future = grow(future) if self.learning.rescale_values else future
        worth = self.learning.reward_scale * batch.reward.unsqueeze(1) + batch.discount.unsqueeze(1) * future
        return shrink(worth) if self.learning.rescale_values else worth

    def on_train_batch_end(self, outputs: object, batch: object, batch_idx: int) -> None:
        """Update the target network."""
        if self.target_update.rate is not None:
            torch._foreach_lerp_(list(self.target.parameters()), list(self.net.parameters()), self.target_update.rate)
        elif self.global_step % self.target_update.every == 0:
            self.target.load_state_dict(self.net.state_dict())

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """As Lightning, which refuses fused optimizers under bf16 because of float16's gradient scaler."""
        if gradient_clip_val and gradient_clip_algorithm == "value":
            torch.nn.utils.clip_grad_value_(self.net.parameters(), gradient_clip_val)
        elif gradient_clip_val:
            torch.nn.utils.clip_grad_norm_(self.net.parameters(), gradient_clip_val)

    def validation_step(self, batch: object, batch_idx: int) -> None:
        """Does nothing: validation means driving (`callbacks/rollouts.py`)."""

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return with_schedule(self, self.optimizer(self.net.parameters()), self.schedule, self.warmup_steps)
