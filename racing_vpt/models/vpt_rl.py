"""Reinforcement learning of a policy that was cloned before.

VPT, Baker et al. 2022 (arXiv:2206.11795), section 4.4 and appendix G: from the cloned weights, with a KL divergence to
the frozen clone in place of an entropy bonus, normalized values, and a critic that learns before the policy does.
Unlike VPT: PPO instead of PPG, one network with two heads; value targets are normalized as in PopArt; the distribution
that is learned is that of driving (`acting.temperature`), so that its mean is what `drive` executes.
A callback (`callbacks/reinforcement.py`) lets it drive and prepares the batches.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import NamedTuple

import torch
from lightning.pytorch.cli import OptimizerCallable
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from racing_vpt.models.module import Schedule, with_schedule
from racing_vpt.models.processes import shares
from racing_vpt.models.rl_config import AnchorConfig, PPOConfig, RewardConfig
from racing_vpt.models.vpt import VPT, PolicyState
from racing_vpt.models.vpt_config import ActingConfig, FreezingConfig, PolicyConfig
from racing_vpt.nn.heads import log_probabilities
from racing_vpt.nn.masked import masked_mean
from racing_vpt.nn.ppo import chosen, clipped_loss, divergence, entropy
from racing_vpt.nn.transformer import NetState
from racing_vpt.nn.vpt_net import VPTNet
from racing_vpt.types import FrameChanges, PolicyBatch


class Decision(NamedTuple):
    """What a policy did at one frame of N environments.

    Args:
        seen: what the network is learned from with: stacked frames uint8 [N, 1, H, W, C]; or what frozen convolutions
            made of them, float32 [N, 1, E].
        classes: int64 [N] by head.
        log_prob: float32 [N], of these classes.
        value: float32 [N], in the unit of the returns.
        state: memory after the frame.
    """

    seen: Tensor
    classes: dict[str, Tensor]
    log_prob: Tensor
    value: Tensor
    state: PolicyState


class VPTRL(VPT):
    """A policy that learns by driving.

    Args:
        game: name or file of the game, or all that its file says; its controls determine the heads.
        frames: how the frames that the model sees differ from the game's; those of the clone.
        network: size and memory of the network; `size: init_from` is that of the clone.
        acting: choice of controls when driving; actions are sampled at its temperature in training.
        freezing: parts that are not trained.
        ppo: proximal policy optimization.
        anchor: KL divergence to the clone.
        reward: reward that is learned from.
        optimizer: built from the trainable parameters.
        schedule: shape of the learning rate after the warm-up, over the steps of the run.
        warmup_steps: steps over which the learning rate rises from 0.
        init_from: the clone (path, run folder, zoo:NAME or OpenAI's F.model); None: from random weights.
    """

    TWINS = (("original.net.", "net."), ("original.pi_head.", "pi_head."))  # an export leaves them out

    def __init__(
        self,
        game: str | dict = "carracing",
        frames: FrameChanges = FrameChanges(height=64, width=64),  # noqa: B008 - frozen
        network: PolicyConfig = PolicyConfig(),  # noqa: B008 - frozen
        acting: ActingConfig = ActingConfig(),  # noqa: B008 - frozen
        freezing: FreezingConfig = FreezingConfig(),  # noqa: B008 - frozen
        ppo: PPOConfig = PPOConfig(),  # noqa: B008 - frozen
        anchor: AnchorConfig = AnchorConfig(),  # noqa: B008 - frozen
        reward: RewardConfig = RewardConfig(),  # noqa: B008 - frozen
        optimizer: OptimizerCallable = lambda weights: torch.optim.AdamW(weights, lr=5e-5, weight_decay=0.0),
        schedule: Schedule = "constant",
        warmup_steps: int = 0,
        init_from: str | None = None,
    ) -> None:
        super().__init__(
            game=game, frames=frames, network=network, acting=acting, freezing=freezing, optimizer=optimizer,
            schedule=schedule, warmup_steps=warmup_steps, init_from=init_from,
        )  # fmt: skip
        self.network, self.ppo, self.anchor, self.reward = network, ppo, anchor, reward
        self.waits = False  # whether the critic alone learns from the current batch
        self.value_head.linear.requires_grad_(True)
        self.original = nn.ModuleDict({"net": copy.deepcopy(self.net), "pi_head": copy.deepcopy(self.pi_head)})
        self.original.requires_grad_(False)

    def setup(self, stage: str) -> None:
        if stage == "fit" and self.init_from is None and self.anchor.weight:
            raise ValueError(
                "the anchor is the clone that training starts from, and none was given: name one with "
                "--model.init_from, or give --model.anchor.weight 0 (then add --model.ppo.entropy_weight 0.01)"
            )
        if stage == "fit" and self.init_from is not None:
            self.check_clone(self.init_from)
        super().setup(stage)
        if stage == "fit" and self.trainer.ckpt_path is None:
            self.original["net"].load_state_dict(self.net.state_dict())
            self.original["pi_head"].load_state_dict(self.pi_head.state_dict())

    def check_clone(self, name: str) -> None:
        """Raise ValueError if the clone sees other frames than this policy, though its weights would fit."""
        from racing_vpt.checkpoints.load import load_module

        clone = load_module(name)
        if not isinstance(clone, VPT):
            raise ValueError(f"init_from {name} holds a {type(clone).__name__}, but a policy (VPT) is to be tuned")
        own, held = vars(replace(self.frames, stride=1)), vars(replace(clone.frames, stride=1))
        unlike = next((key for key in own if own[key] != held[key]), None)
        if unlike is not None:
            raise ValueError(
                f"init_from {name} was cloned with frames.{unlike} {held[unlike]}, but this policy has {own[unlike]}: "
                f"give --model.frames.{unlike} {held[unlike]}, or another clone"
            )
        span, held_span = ([x * each.frames.stride for x in each.stack.look_back] for each in (self, clone))
        if span != held_span:
            stride = self.frames.stride if not any(x % self.frames.stride for x in held_span) else clone.frames.stride
            raise ValueError(
                f"init_from {name} was cloned from frames {held_span} back, but this policy sees those {span} back: "
                f"give --model.frames.stride {stride} --model.network.look_back {[x // stride for x in held_span]}"
            )

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """As the base, with the value head's own learning rate."""
        head = [parameter for parameter in self.value_head.parameters() if parameter.requires_grad]
        ids = {id(parameter) for parameter in head}
        trunk = [each for each in self.parameters() if each.requires_grad and id(each) not in ids]
        optimizer = self.optimizer([{"params": trunk}, {"params": head}])
        optimizer.param_groups[1]["lr"] *= self.ppo.critic_rate
        return with_schedule(self, optimizer, self.schedule, self.warmup_steps)

    # ---------------------------------------------------------------- acting

    @property
    def convolves_once(self) -> bool:
        """Whether all convolutions are frozen, so that each frame passes through them once, when it is driven."""
        cnn = self.net.img_process.cnn
        return not any(
            x.requires_grad for part in (cnn.stem, cnn.stacks) if part is not None for x in part.parameters()
        )

    @property
    def seen_shape(self) -> tuple[int, ...]:
        """Shape of `Decision.seen` without N and 1."""
        if self.convolves_once:
            return (self.net.img_process.cnn.dense.layer.in_features,)  # type: ignore[return-value]
        return (self.frames.height, self.frames.width, self.net.channels)

    def features(self, net: nn.Module, seen: Tensor, first: Tensor, state: NetState | None) -> tuple[Tensor, NetState]:
        """Features [B, T, D] of the policy's or the clone's network, and its memory; `seen` is [B, T, ...]."""
        assert isinstance(net, VPTNet)
        return net.forward_convolved(seen, first, state) if seen.is_floating_point() else net(seen, first, state)

    def log_probs(self, features: Tensor, heads: nn.Module | None = None) -> dict[str, Tensor]:
        """Log-probabilities float32 [B, T, classes] by head at the temperature of driving."""
        logits = (heads or self.pi_head)(features)
        return log_probabilities({name: x / self.acting.temperature for name, x in logits.items()})

    @torch.no_grad()
    def decide(self, frames: Tensor, first: Tensor, state: PolicyState, draws: torch.Generator) -> Decision:
        """Sampled actions for frames uint8 [N, H, W, 3] with `first` bool [N]."""
        stacked, stack_state = self.stack(frames.unsqueeze(1), first.unsqueeze(1), state[0])
        seen = self.net.convolve(stacked).float() if self.convolves_once else stacked
        features, net_state = self.features(self.net, seen, first.unsqueeze(1), state[1])
        log_probs = {name: x[:, 0] for name, x in self.log_probs(features).items()}
        classes = {
            name: torch.multinomial(x.exp(), 1, generator=draws)[:, 0] for name, x in log_probs.items()
        }  # (N,) each
        value = self.value_head.denormalise(self.value_head(features))[:, 0, 0]
        log_prob = chosen(log_probs, classes, self.scheme.relevant(classes))
        return Decision(seen, classes, log_prob, value, (stack_state, net_state))

    @torch.no_grad()
    def clone_log_probs(self, seen: Tensor, first: Tensor, state: NetState) -> tuple[dict[str, Tensor], NetState]:
        """The clone's log-probabilities float32 [N, 1, classes] by head for what a decision saw [N, 1, ...]."""
        features, state = self.features(self.original["net"], seen, first, state)
        return self.log_probs(features, self.original["pi_head"]), state

    # ---------------------------------------------------------------- learning

    def training_step(self, batch: PolicyBatch, batch_idx: int) -> Tensor:  # type: ignore[override]
        self.waits = waits = batch.iteration < self.ppo.critic_iterations
        alone = self.trainer.world_size == 1
        with torch.set_grad_enabled(not waits or not alone):  # DDP wants a gradient of every parameter
            features, _ = self.features(self.net, batch.seen, batch.first, batch.memory)
        value = self.value_head(features.detach() if waits else features)
        valid = batch.valid
        value_loss = masked_mean(self.value_head.loss(value, batch.returns.unsqueeze(-1))[..., 0], valid)
        told = {"value_loss": value_loss}
        if waits:
            loss = self.ppo.value_weight * value_loss
            if not alone:
                loss = loss + 0.0 * torch.stack([x.sum() for x in self.log_probs(features).values()]).sum()
        else:
            log_probs = self.log_probs(features)
            relevant = self.scheme.relevant(batch.classes)
            change = chosen(log_probs, batch.classes, relevant) - batch.log_prob
            ratio = change.exp()
            told["policy_loss"] = masked_mean(clipped_loss(ratio, batch.advantage, self.ppo.clip), valid)
            told["entropy"] = masked_mean(entropy(log_probs), valid)
            told["kl_step"] = masked_mean(ratio.detach() - 1 - change.detach(), valid)  # Schulman's estimator
            told["clipped"] = masked_mean(((ratio - 1).abs() > self.ppo.clip).float(), valid)
            loss = told["policy_loss"] + self.ppo.value_weight * value_loss
            loss = loss - self.ppo.entropy_weight * told["entropy"]
            if batch.anchor:
                told["kl_clone"] = masked_mean(divergence(batch.anchor, log_probs, relevant), valid)
                loss = loss + self.anchor.at(batch.iteration) * told["kl_clone"]
        self.log("train/loss", loss.detach(), prog_bar=True, batch_size=len(valid))
        self.log_dict({f"train/{name}": x.detach() for name, x in told.items()}, batch_size=len(valid))
        return loss * shares(self, valid.sum())

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Also drop all gradients but the value head's while the policy waits."""
        super().on_before_optimizer_step(optimizer)
        if self.waits:
            for name, parameter in self.named_parameters():
                if not name.startswith("value_head."):
                    parameter.grad = None

    def on_train_start(self) -> None:
        """Nothing of the base: the lanes' memory belongs to the callback."""

    def on_validation_epoch_start(self) -> None:
        """Nothing of the base."""

    def on_validation_epoch_end(self) -> None:
        """Nothing of the base: validation means driving (`callbacks/rollouts.py`)."""

    def validation_step(self, batch: object, batch_idx: int) -> None:  # type: ignore[override]
        """Does nothing."""
