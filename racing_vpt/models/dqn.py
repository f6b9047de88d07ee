"""Deep Q-learning of discrete actions, with what was found to help since, each piece to be switched on and off.

DQN, Mnih et al. 2015; double, van Hasselt et al. 2016 (arXiv:1509.06461); soft targets, Lillicrap et al. 2016
(arXiv:1509.02971); an epsilon for each environment, Horgan et al. 2018 (arXiv:1803.00933), and random actions held,
Dabney et al. 2020 (arXiv:2006.01782); the margin of DQfD (`nn/q_learning`); networks (`nn/q_net`). n-step rewards and
priorities are the replay buffer's. Rewards are scaled, not clipped as DQN's: clipped to +-1, a tile is worth as much as
two, and nothing is gained by driving faster.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable

import numpy as np
import torch
from einops import rearrange
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import OptimizerCallable
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from racing_vpt.games.controls import CARRACING_CONTROLS, ControlScheme
from racing_vpt.models.action_table import action_scheme, mirror_some, mirrored_actions, rows_of
from racing_vpt.models.module import Schedule, with_schedule
from racing_vpt.nn.q_learning import grow, margin_loss, quantile_huber, shrink
from racing_vpt.nn.q_net import QNet, Trunk
from racing_vpt.types import FrameSpec, Transitions, frame_spec

GREY = FrameSpec(height=84, width=84, fit="crop", crop_bottom=0.125, mask_bottom=0.0, grey=True, stride=4)


def adam(parameters: Iterable) -> torch.optim.Optimizer:
    """The optimizer where none is configured."""
    return torch.optim.Adam(parameters, lr=2e-4, fused=True)


class DQN(LightningModule):
    """Learns what each action is worth on seeing the last few frames; takes the best.

    Args:
        frames: what the model wants to see: grey, the middle 84x84 of the rows above the instruments. It decides at
            every `stride`-th frame and holds its action in between.
        stack: decisions whose frames an observation holds.
        actions: rows of steering, throttle, brake; None: CarRacing's five.
        trunk: `cnn` or `impala`.
        channels: of the convolutions; (16, 32) is the source document's, (32, 64, 64) Nature's.
        hidden: units between convolutions and values.
        dueling: state and advantage apart.
        noisy: explore by noise in the last layers; give epsilon_start 0 and epsilon_end 0 then.
        quantiles: of an action's value; 1 is its mean alone.
        layer_norm: in the last layers.
        double: the network itself chooses the action that the target network values.
        discount: gamma, of a decision; 0.97 looks about 33 decisions (2.7 s at stride 4) ahead.
        reward_scale: of rewards: at full speed a decision pays 4 to 5, and Huber's loss wants errors of about 1.
        missed_cost: points taken off a decision in which a tile is left behind untouched (`rollout/progress.py`). It
            costs the lap, but only where nobody can see any more why. Returns are told without it.
        rescale_values: learn values under the square root of Pohlen et al. 2018 instead of as they are.
        huber: errors above it count by their size, not squared.
        target_every: updates after which the target network becomes the network.
        target_rate: share by which it follows at each update instead; None: `target_every`.
        epsilon_start: share of random actions at the beginning.
        epsilon_end: and after `epsilon_decisions`.
        epsilon_decisions: over which it falls linearly.
        epsilon_spread: environment i of N takes epsilon ^ (1 + spread * i / (N - 1)): some always explore, some
            hardly, so that the whole of a fast lap is seen early. 0: all alike.
        epsilon_hold: decisions that a random action is held: one of 25 a second does nothing, twenty spin the car.
        margin: how much less all but a demonstrator's or teacher's action are to be worth, in scaled reward.
        margin_weight: of that loss, where such an action is known.
        mirror: share of the transitions of a batch that are mirrored, with their actions.
        optimizer: made from the network's parameters.
        schedule: how the learning rate falls after the warm-up, over the updates of the run.
        warmup_steps: updates over which it rises from 0.
        init_from: checkpoint of the same network that training starts from.
    """

    TWINS = (("target.", "net."),)  # not exported
    act = "controls"  # `policy` says controls, not how likely each class is

    def __init__(
        self,
        frames: FrameSpec = GREY,
        stack: int = 4,
        actions: list[list[float]] | None = None,
        trunk: Trunk = "cnn",
        channels: list[int] = [16, 32, 32],  # noqa: B006 - never changed
        hidden: int = 256,
        dueling: bool = True,
        noisy: bool = False,
        quantiles: int = 1,
        layer_norm: bool = True,
        double: bool = True,
        discount: float = 0.97,
        reward_scale: float = 0.1,
        missed_cost: float = 0.0,
        rescale_values: bool = False,
        huber: float = 1.0,
        target_every: int = 1000,
        target_rate: float | None = None,
        epsilon_start: float = 1.0,
        epsilon_end: float = 0.05,
        epsilon_decisions: int = 100_000,
        epsilon_spread: float = 0.0,
        epsilon_hold: int = 1,
        margin: float = 0.8,
        margin_weight: float = 1.0,
        mirror: float = 0.0,
        optimizer: OptimizerCallable = adam,
        schedule: Schedule = "constant",
        warmup_steps: int = 0,
        init_from: str | None = None,
    ) -> None:
        super().__init__()
        shares = {"discount": discount, "epsilon_start": epsilon_start, "epsilon_end": epsilon_end, "mirror": mirror}
        wrong = [f"{name} {value}" for name, value in shares.items() if not 0 <= value <= 1]
        if wrong or (target_rate is not None and not 0 < target_rate <= 1):
            raise ValueError(f"{', '.join(wrong) or f'target_rate {target_rate}'}: expected a number from 0 to 1")
        counts, sizes = (stack, target_every, epsilon_decisions, epsilon_hold), (reward_scale, huber)
        if min(counts) < 1 or min(sizes) <= 0 or epsilon_spread < 0:
            raise ValueError(
                "stack, target_every, epsilon_decisions and epsilon_hold count from 1, reward_scale and huber are over "
                f"0 and epsilon_spread is not below, but they are {counts}, {sizes} and {epsilon_spread}"
            )
        self.frames = frame_spec(frames)
        if not self.frames.grey:
            raise ValueError("a DQN stacks grey frames, but colours were asked for: give --model.frames.grey true")
        self.scheme: ControlScheme = action_scheme(actions)
        self.stack, self.doubled, self.discount, self.huber = stack, double, discount, huber
        self.reward_scale, self.missed_cost, self.rescale_values = reward_scale, missed_cost, rescale_values
        self.target_every, self.target_rate = target_every, target_rate
        self.epsilon_start, self.epsilon_end, self.epsilon_decisions = epsilon_start, epsilon_end, epsilon_decisions
        self.epsilon_spread, self.epsilon_hold = epsilon_spread, epsilon_hold
        self.margin, self.margin_weight, self.mirror = margin, margin_weight, mirror
        self.optimizer, self.schedule, self.warmup_steps = optimizer, schedule, warmup_steps
        self.init_from = init_from
        self.table = torch.tensor([list(row.values()) for row in rows_of(self.scheme)], dtype=torch.float64)
        self.mirrored = mirrored_actions(self.scheme) if mirror else []
        self.net = QNet(
            self.scheme.num_classes["action"], stack, self.frames.height, self.frames.width, trunk=trunk,
            channels=channels, hidden=hidden, dueling=dueling, noisy=noisy, quantiles=quantiles, layer_norm=layer_norm,
        )  # fmt: skip
        self.target = copy.deepcopy(self.net).requires_grad_(False)

    def setup(self, stage: str) -> None:
        if stage == "fit" and self.init_from is not None and self.trainer.ckpt_path is None:
            from racing_vpt.checkpoints.load import load_strictly, read_checkpoint

            load_strictly(self, read_checkpoint(self.init_from).state_dict, self.init_from)

    # ---------------------------------------------------------------- acting

    def initial_state(self, n: int, device: torch.device | str = "cpu") -> Tensor:
        """The frames seen before an episode's first, uint8 [n, S, H, W]."""
        return torch.zeros(n, self.stack, self.frames.height, self.frames.width, dtype=torch.uint8, device=device)

    def observe(self, state: Tensor, frames: Tensor, first: Tensor) -> Tensor:
        """Observations uint8 [N, S, H, W] once frames uint8 [N, H, W] are seen; an episode's `first` [N] fills all."""
        seen = torch.cat([state[:, 1:], frames.unsqueeze(1)], 1)
        return torch.where(rearrange(first, "n -> n 1 1 1"), frames.unsqueeze(1), seen)

    @torch.no_grad()
    def values(self, observation: Tensor) -> Tensor:
        """Mean value float32 [N, A] of each action, in scaled reward."""
        values = self.net(observation)
        return (grow(values) if self.rescale_values else values).mean(-1)

    def policy(self, frames: Tensor, first: Tensor, state: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Controls float64 [N, 1] by name for frames uint8 [N, 1, H, W, 3], and the observation that they follow."""
        if frames.shape[1] != 1:
            raise ValueError(f"a DQN sees one frame at a time, but {frames.shape[1]} were given")
        state = self.observe(state, frames[:, 0, :, :, 0], first[:, 0])
        best = self.values(state).argmax(-1, keepdim=True)
        controls = self.table[best.cpu()]  # (N, 1, 3)
        return dict(zip(CARRACING_CONTROLS, controls.unbind(-1), strict=True)), state

    def epsilon(self, decisions: int, lanes: int) -> np.ndarray:
        """Share of random actions float64 [lanes] after so many decisions."""
        done = min(1.0, decisions / self.epsilon_decisions)
        base = self.epsilon_start + done * (self.epsilon_end - self.epsilon_start)
        return base ** (1 + self.epsilon_spread * np.arange(lanes) / max(1, lanes - 1))

    def explore(self, observation: Tensor, decisions: int, seed: int) -> np.ndarray:
        """Actions int64 [N], some random, after so many decisions of all N; noisy layers apart, a function of these."""
        N = len(observation)
        random = np.random.default_rng([seed, decisions // (N * self.epsilon_hold)])  # alike while it is held
        best = self.values(observation.to(self.device)).argmax(-1).cpu().numpy()
        chance = random.random(N) < self.epsilon(decisions, N)
        return np.where(chance, random.integers(self.net.actions, size=N), best)

    # ---------------------------------------------------------------- learning

    def training_step(self, batch: Transitions, batch_idx: int) -> dict[str, Tensor]:
        """`loss`, and `td_error` float32 [B] for the priorities."""
        losses = self.losses(mirror_some(batch, self.mirror, self.mirrored) if self.mirror else batch)
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
        loss = quantile_huber(taken, targets, self.huber)  # (B,)
        found = {"td_error": (targets.mean(-1) - taken.mean(-1)).detach(), "q": taken.detach().mean(-1)}
        told = batch.shown >= 0
        if self.margin_weight and told.any():
            found["margin"] = margin_loss(quantiles.mean(-1), batch.shown.clamp(min=0), self.margin) * told
            loss = loss + self.margin_weight * found["margin"]
        return {"loss": (loss * batch.weight).mean(), **found}

    @torch.no_grad()
    def targets(self, batch: Transitions) -> Tensor:
        """What the actions taken turned out to be worth, float32 [B, K]: rewards, and what the target net expects."""
        then = self.net.prepare(batch.next_observation)
        ahead = self.target(then)  # (B, A, K)
        judge = self.net(then) if self.doubled else ahead
        best = judge.mean(-1).argmax(-1)
        future = ahead[torch.arange(len(best), device=best.device), best]
        future = grow(future) if self.rescale_values else future
        worth = self.reward_scale * batch.reward.unsqueeze(1) + batch.discount.unsqueeze(1) * future
        return shrink(worth) if self.rescale_values else worth

    def on_train_batch_end(self, outputs: object, batch: object, batch_idx: int) -> None:
        """Let the target network follow."""
        if self.target_rate is not None:
            torch._foreach_lerp_(list(self.target.parameters()), list(self.net.parameters()), self.target_rate)
        elif self.global_step % self.target_every == 0:
            self.target.load_state_dict(self.net.state_dict())

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """As Lightning's own, which under bf16 refuses a fused optimizer for the sake of float16's scaler."""
        if gradient_clip_val and gradient_clip_algorithm == "value":
            torch.nn.utils.clip_grad_value_(self.net.parameters(), gradient_clip_val)
        elif gradient_clip_val:
            torch.nn.utils.clip_grad_norm_(self.net.parameters(), gradient_clip_val)

    def validation_step(self, batch: object, batch_idx: int) -> None:
        """Nothing: validation is driving (`callbacks/rollouts.py`)."""

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return with_schedule(self, self.optimizer(self.net.parameters()), self.schedule, self.warmup_steps)
