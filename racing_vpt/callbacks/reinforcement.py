"""Lets a policy drive before each epoch of reinforcement learning, and prepares what it learns from.

Driving and learning alternate, because PPO learns from what the current policy did. Environments step in worker
processes. With one process a resumed run continues exactly: unfinished episodes are replayed from their seeds, and a
rollout that was being learned from is in the checkpoint. With several, their lanes begin new episodes.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torch.utils._pytree import tree_map

from racing_vpt.callbacks.driving import Driving
from racing_vpt.envs.make import make_env
from racing_vpt.envs.offers import check_driver
from racing_vpt.models.vpt_rl import VPTRL, Decision
from racing_vpt.nn.ppo import advantages, explained_variance
from racing_vpt.replay.on_policy import Rollout
from racing_vpt.replay.on_policy_datamodule import OnPolicyDataModule
from racing_vpt.rollout.actors import Actors
from racing_vpt.rollout.lanes import LaneSpec, LaneStates
from racing_vpt.seeds import FIRST_TRAINING_SEED


class Reinforcement(Driving):
    """Drives with the module's sampled actions; one rollout for each epoch of the trainer.

    Args:
        env: environment id; None: that of the model's game.
        workers: number of processes for the environments, for each training process.
        first_seed: seed of the first track, at least 10,000; each episode takes the next one.
        max_frames: maximum length of an episode in frames; None: the environment's own.
        patience: frames without a new tile after which an episode is cut off (and bootstrapped). None: never.
        curve_every: iterations between redraws of the return curve.
        seed: seed of the actions' sampling.
    """

    def __init__(
        self,
        env: str | None = None,
        workers: int = 1,
        first_seed: int = FIRST_TRAINING_SEED,
        max_frames: int | None = None,
        patience: int | None = None,
        curve_every: int = 10,
        seed: int = 0,
    ) -> None:
        if min(workers, curve_every) < 1 or (patience is not None and patience < 1):
            given = f"{workers}, {curve_every} and {patience}"
            raise ValueError(f"workers, curve_every and patience must be at least 1, but they are {given}")
        super().__init__(1, workers, first_seed, max_frames, patience, seed)
        self.env, self.curve_every = env, curve_every
        self.iterations = 0  # whose driving is done
        self.done: list[list[np.ndarray]] | None = None  # actions so far of each lane's episode
        self.state: Any = None  # memory of the policy
        self.clone_state: Any = None  # of the clone
        self.processes = 1

    # ---------------------------------------------------------------- the run

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Take the number of lanes from the data module, before a checkpoint is read."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(pl_module, VPTRL) or not isinstance(data, OnPolicyDataModule):
            raise ValueError(
                f"Reinforcement is for a VPTRL with an OnPolicyDataModule, not a {type(pl_module).__name__} with a "
                f"{type(data).__name__}; give --config rl"
            )
        self.module, self.data, self.lanes = pl_module, data, data.lanes
        self.episodes, self.earned = np.zeros(self.lanes, np.int64), np.zeros(self.lanes)
        self.processes = trainer.world_size

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        module = self.module
        place = self.env or module.game.place()
        env = make_env(place)
        check_driver(module.scheme.controls, module.scheme.name, env)
        rate = float(env.metadata.get("render_fps", 50))
        env.close()
        held = max(1, round(rate / module.frames.frames_per_second * module.frames.stride))
        lane_spec = LaneSpec(
            None, replace(module.frames, stride=held), place, self.first_seed + trainer.global_rank * self.lanes,
            self.max_frames, self.patience, module.scheme.controls, seeds_apart=self.lanes * trainer.world_size,
        )  # fmt: skip
        running: list[np.ndarray | None] | None = None
        if self.done is not None:
            running = [np.array(done, np.float32).reshape(-1, len(lane_spec.controls)) for done in self.done]
        self.actors = Actors(lane_spec, self.lanes, min(self.workers, self.lanes), self.episodes, running)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        assert self.actors is not None
        self.seen = self.actors.start()
        if self.done is None:
            self.done = [[] for _ in range(self.lanes)]
            self.state = self.clone_state = None
        if self.state is None:
            self.state = self.module.initial_state(self.lanes)
            self.clone_state = self.module.original["net"].initial_state(self.lanes)  # type: ignore[operator]
        self.state, self.clone_state = tree_map(lambda x: x.to(pl_module.device), (self.state, self.clone_state))
        self.rate = (time.monotonic(), self.decisions)
        self.catch_up(trainer)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.catch_up(trainer)

    def catch_up(self, trainer: Trainer) -> None:
        """Drive if the next update needs a new rollout."""
        updates: int = trainer.fit_loop.epoch_loop.batch_progress.total.processed  # type: ignore[attr-defined]
        iteration = updates // self.data.updates_per_iteration
        if self.iterations > iteration and self.data.rollout is not None:
            return
        self.data.iteration, self.iterations = iteration, iteration + 1
        with trainer.precision_plugin.forward_context():
            rollout = self.drive()
        self.prepare(trainer, rollout)
        self.report(trainer, rollout)
        if iteration % self.curve_every == 0:
            self.publish(trainer)

    # ---------------------------------------------------------------- driving

    def drive(self) -> Rollout:
        """Take the decisions of an iteration in every lane."""
        module, data = self.module, self.data
        if data.rollout is None:
            remembers = module.size.n_recurrence_layers > 0
            data.rollout = Rollout.empty(
                self.lanes, data.steps, module.seen_shape, module.scheme.num_classes,
                module.anchor.weight > 0, data.sequence if remembers else 1,
            )  # fmt: skip
        rollout = data.rollout
        rollout.memories = []
        for step in range(data.steps):
            if rollout.chunk > 1 and step % rollout.chunk == 0:
                rollout.memories.append(tree_map(lambda x: x.cpu(), self.state[1]))
            self.step(rollout, step)
        rollout.values[:, -1] = self.decide().value.cpu()
        return rollout

    def decide(self) -> Decision:
        """The policy's decision at the lanes' frames; a function of seed, rank and number of decisions."""
        module = self.module
        seed = ((self.seed * 1009 + module.global_rank) << 40) + self.decisions
        draws = torch.Generator(module.device).manual_seed(seed)
        pictures = self.seen.frames if self.seen.frames.ndim == 4 else np.repeat(self.seen.frames[..., None], 3, -1)
        frames, first = (torch.from_numpy(x).to(module.device) for x in (pictures, self.seen.first))
        return module.decide(frames, first, self.state, draws)

    def step(self, rollout: Rollout, step: int) -> None:
        """Take one decision in each lane and store it with its outcome."""
        assert self.actors is not None
        assert self.done is not None
        module, before = self.module, self.seen
        decided = self.decide()
        controls = module.scheme.decode(decided.classes)
        actions = torch.stack([controls[name] for name in module.scheme.controls], -1).cpu().numpy()
        self.actors.act(actions)
        self.state = decided.state
        rollout.seen[:, step] = decided.seen[:, 0].cpu()
        rollout.first[:, step] = torch.from_numpy(before.first)
        rollout.log_prob[:, step], rollout.values[:, step] = decided.log_prob.cpu(), decided.value.cpu()
        for name, classes in decided.classes.items():
            rollout.classes[name][:, step] = classes.cpu()
        if rollout.anchor:
            first = rollout.first[:, step : step + 1].to(module.device)
            known, self.clone_state = module.clone_log_probs(decided.seen, first, self.clone_state)
            for name, log_probs in known.items():
                rollout.anchor[name][:, step] = log_probs[:, 0].cpu()
        self.seen, broken = self.actors.collect()
        now = self.seen
        rollout.rewards[:, step] = torch.from_numpy(self.learned_reward(now))
        rollout.terminated[:, step] = torch.from_numpy(now.terminated)
        rollout.valid[:, step] = torch.from_numpy(now.valid & ~broken)
        self.keep_actions(self.done, actions, now)
        self.keep_score(before, now)

    def learned_reward(self, now: LaneStates) -> np.ndarray:
        """Weighted sum float32 [N] of the environment's reward, finished laps and missed tiles."""
        reward = self.module.reward
        return (reward.env * now.rewards + reward.lap * now.lap + reward.missed * now.missed).astype(np.float32)

    # ---------------------------------------------------------------- what is learned from

    def prepare(self, trainer: Trainer, rollout: Rollout) -> None:
        """Compute advantages and returns, and adapt the value head to the returns; the same on all processes."""
        ppo, values, valid = self.module.ppo, rollout.values, rollout.valid
        found = advantages(rollout.rewards, rollout.terminated, valid, values, ppo.discount, ppo.trace)
        rollout.returns = found + values[:, :-1]
        mean, square = self.moments(trainer, found, valid)
        rollout.advantage = (found - mean) / (square - mean**2).clamp(min=1e-8).sqrt()
        mean, square = (x.to(self.module.device).reshape(1) for x in self.moments(trainer, rollout.returns, valid))
        self.module.value_head.rescale(mean, square)

    def moments(self, trainer: Trainer, values: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and mean square of valid values [N, T] of all processes, scalars."""
        inside = values[valid]
        sums = torch.stack([inside.sum(), inside.square().sum(), valid.sum().float()])
        if self.processes > 1:
            sums = trainer.strategy.reduce(sums.to(self.module.device), reduce_op="sum").cpu()  # type: ignore[arg-type,union-attr]
        return sums[0] / sums[2].clamp(min=1), sums[1] / sums[2].clamp(min=1)

    # ---------------------------------------------------------------- logs and state

    def report(self, trainer: Trainer, rollout: Rollout) -> None:
        """Log returns, the critic's quality and speed."""
        then, decisions = self.rate
        self.rate = (time.monotonic(), self.decisions)
        names = {"return": "return", "laps_finished": "lap", "episode_frames": "frames", "cut_off": "cut_off"}
        found = {name: self.curve.recent(column) for name, column in names.items()}
        found |= {
            "decisions": float(self.decisions * self.processes),
            "decisions_per_second": (self.decisions - decisions) / max(1e-9, self.rate[0] - then),
            "explained_variance": float(explained_variance(rollout.returns, rollout.values[:, :-1], rollout.valid)),
            "anchor_weight": self.module.anchor.at(self.data.iteration),
        }
        told = {f"experience/{name}": x for name, x in found.items() if not math.isnan(x)}
        for logger in trainer.loggers:
            logger.log_metrics(told, trainer.global_step)

    def state_dict(self) -> dict[str, Any]:
        """Counters, and of one process the actions so far of its unfinished episodes and the policy's memory."""
        state = {**super().state_dict(), "iterations": self.iterations}
        if self.processes == 1 and self.done is not None and self.state is not None:
            state |= {
                "earned": torch.from_numpy(self.earned.copy()),
                "done": [torch.from_numpy(np.array(actions, np.float32)) for actions in self.done],
                "memory": tree_map(lambda x: x.cpu(), (self.state, self.clone_state)),
            }
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.iterations = state_dict["iterations"]
        if len(state_dict.get("done", ())) == self.lanes and self.processes == 1:
            self.earned = state_dict["earned"].numpy()
            self.done = [list(actions.numpy()) for actions in state_dict["done"]]
            self.state, self.clone_state = state_dict["memory"]
