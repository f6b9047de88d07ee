"""Online learning of a DQN: environments step in worker processes while the network learns from the replay buffer.

Between two batches the callback stores what the lanes did and sends them their next actions; a fixed number of updates
later it does so again. The module sees batches only; the data module owns the buffer.
"""

from __future__ import annotations

import dataclasses
import math
import time

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from tqdm import tqdm

from racing_vpt.agents.action_expert import ActionExpert
from racing_vpt.agents.load import load_agent
from racing_vpt.callbacks.driving import Driving
from racing_vpt.callbacks.stop_signals import left_at_once
from racing_vpt.envs.make import make_env
from racing_vpt.envs.offers import check_driver
from racing_vpt.models.action_table import rows_of
from racing_vpt.models.dqn import DQN
from racing_vpt.replay.datamodule import ReplayDataModule
from racing_vpt.rollout.actors import Actors
from racing_vpt.rollout.lanes import LaneSpec, LaneStates
from racing_vpt.seeds import FIRST_TRAINING_SEED
from racing_vpt.types import LaneStep, Transitions


class Experience(Driving):
    """Drives while the module learns, and fills the data module's replay buffer.

    Args:
        env: environment id; None: that of the model's game.
        lanes: number of environments stepped together.
        workers: number of processes for the environments. One core steps the fast environment about 2,000 decisions
            per second.
        updates_per_decision: network updates per decision of any lane; 0.25: one after every four decisions.
        first_seed: seed of the first track, at least 10,000; each episode takes the next one.
        max_frames: maximum length of an episode in frames; None: the environment's own.
        patience: frames without a new tile after which an episode is cut off.
        cut_off_ends: treat a cut-off as termination (value 0) instead of truncation, which bootstraps. A car that spun
            and drives back sees the same road as one that drives on, so that its bootstrapped value is too high.
        curve_every: decisions between redraws of the return curve.
        threads: torch threads of the learner; None: torch's default.
        seed: seed of random actions.
    """

    def __init__(
        self,
        env: str | None = None,
        lanes: int = 16,
        workers: int = 1,
        updates_per_decision: float = 0.25,
        first_seed: int = FIRST_TRAINING_SEED,
        max_frames: int | None = None,
        patience: int | None = None,
        cut_off_ends: bool = False,
        curve_every: int = 25_000,
        threads: int | None = None,
        seed: int = 0,
    ) -> None:
        if min(lanes, workers, curve_every) < 1 or updates_per_decision <= 0 or (patience is not None and patience < 1):
            raise ValueError(
                "lanes, workers, curve_every and patience must be at least 1, updates_per_decision above 0, but they "
                f"are {lanes}, {workers}, {curve_every}, {patience} and {updates_per_decision}"
            )
        super().__init__(lanes, workers, first_seed, max_frames, patience, seed)
        self.env, self.updates_per_decision = env, updates_per_decision
        self.cut_off_ends, self.curve_every, self.threads = cut_off_ends, curve_every, threads
        self.threads_before: int | None = None
        self.frames = 0
        self.owed = 0.0  # updates until the next decision

    # ---------------------------------------------------------------- the run

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        data = trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(pl_module, DQN) or not isinstance(data, ReplayDataModule):
            raise ValueError(
                f"Experience is for a DQN with a ReplayDataModule, not a {type(pl_module).__name__} with a "
                f"{type(data).__name__}; give data.class_path racing_vpt.replay.datamodule.ReplayDataModule"
            )
        if trainer.world_size > 1:
            raise ValueError(
                f"Experience is for one process, but there are {trainer.world_size}; give --trainer.devices 1"
            )
        rows = rows_of(pl_module.scheme)
        place = self.env or pl_module.game.place()
        env = make_env(place)
        check_driver(pl_module.scheme.controls, pl_module.scheme.name, env)
        assert env.observation_space.shape is not None
        height, width, _ = env.observation_space.shape
        env.close()
        stack, discount = pl_module.stack, pl_module.discount
        self.buffer = data.open_buffer(self.lanes, stack=stack, discount=discount, actions=rows, seen=(height, width))
        self.enough = min(data.warm_up, data.capacity * 9 // 10)  # some steps of a full buffer cannot be drawn
        self.most_owed = 1.0 + self.lanes * self.updates_per_decision
        table = np.array([list(row.values()) for row in rows])
        teacher = data.teaching.teacher
        lane_spec = LaneSpec(
            table, pl_module.frames, place, self.first_seed, self.max_frames, self.patience,
            teacher=None if teacher is None else teacher_of(teacher, rows, pl_module.frames.stride),
        )  # fmt: skip
        self.actors = Actors(lane_spec, self.lanes, self.workers, self.episodes)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Drive until the buffer holds enough to learn from."""
        assert self.actors is not None
        assert isinstance(pl_module, DQN)
        if self.threads is not None:
            self.threads_before = torch.get_num_threads()
            torch.set_num_threads(self.threads)
        super().on_train_start(trainer, pl_module)
        self.seen = self.actors.start()
        self.state = pl_module.initial_state(self.lanes)
        self.observe(pl_module)
        with tqdm(total=self.enough, unit="decision", desc="driving before learning", leave=False) as bar:
            while len(self.buffer) < self.enough:
                self.look(trainer, pl_module)
                bar.update(len(self.buffer) - bar.n)
        self.owed = max(self.owed, 1.0)
        self.rate = (time.monotonic(), self.frames, trainer.global_step)

    def on_train_batch_end(  # type: ignore[override]
        self, trainer: Trainer, pl_module: LightningModule, outputs: dict, batch: Transitions, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, DQN)
        self.buffer.update_priorities(batch.index, outputs["td_error"])
        before = self.decisions
        self.owed -= 1.0
        while self.owed < 1.0 or len(self.buffer) < self.enough:  # a process that died may have dropped its episodes
            self.look(trainer, pl_module)
            self.owed = min(self.owed + self.lanes * self.updates_per_decision, self.most_owed)
        if trainer.global_step % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            self.report(trainer, pl_module)
        if before // self.curve_every < self.decisions // self.curve_every:
            self.publish(trainer)

    def close(self) -> None:
        super().close()
        if self.threads_before is not None:
            torch.set_num_threads(self.threads_before)

    # ---------------------------------------------------------------- one decision in every lane

    def look(self, trainer: Trainer, module: DQN) -> None:
        """Store the outcome of the last decision and send the next actions; the lanes step while the network learns."""
        assert self.actors is not None
        with left_at_once(trainer):
            now, broken = self.actors.collect()
        before, self.seen = self.seen, now
        ended = now.cut_off & self.cut_off_ends
        terminated, truncated = now.terminated | ended, now.truncated & ~ended
        rewards = now.rewards - module.missed_cost * now.missed
        step = LaneStep(
            before.frames, self.actions, rewards, terminated, truncated, before.first, now.valid, before.shown
        )
        self.keep(step, broken)
        self.keep_score(before, now)
        self.observe(module)

    def observe(self, module: DQN) -> None:
        """Choose actions for the lanes' frames and send them."""
        assert self.actors is not None
        frames, first = torch.from_numpy(self.seen.frames), torch.from_numpy(self.seen.first)
        self.state = module.observe(self.state, frames, first)
        self.actions = module.explore(self.state, self.decisions, self.seed)
        self.actors.act(self.actions)

    def keep_score(self, before: LaneStates, now: LaneStates) -> None:
        """Also count frames."""
        self.frames += int(((now.elapsed - before.elapsed) * now.valid).sum())
        super().keep_score(before, now)

    # ---------------------------------------------------------------- logs and state

    def report(self, trainer: Trainer, module: DQN) -> None:
        """Log returns and speed."""
        then, frames, updates = self.rate
        self.rate = (time.monotonic(), self.frames, trainer.global_step)
        elapsed = max(1e-9, self.rate[0] - then)
        values = {
            "return": self.curve.recent("return"),
            "laps_finished": self.curve.recent("lap"),
            "episode_frames": self.curve.recent("frames"),
            "cut_off": self.curve.recent("cut_off"),
            "decisions": float(self.decisions),
            "epsilon": float(module.exploration.epsilon(self.decisions, self.lanes).mean()),
            "frames_per_second": (self.frames - frames) / elapsed,
            "updates_per_second": (trainer.global_step - updates) / elapsed,
        }
        shown = {f"experience/{name}": value for name, value in values.items() if not math.isnan(value)}
        module.log_dict(shown, batch_size=1)
        module.log("return", values["return"], prog_bar=True, logger=False, batch_size=1)

    def state_dict(self) -> dict[str, object]:
        return {**super().state_dict(), "frames": self.frames, "owed": self.owed}

    def load_state_dict(self, state_dict: dict) -> None:
        super().load_state_dict(state_dict)
        self.frames, self.owed = state_dict["frames"], state_dict["owed"]


def teacher_of(name: str, rows: list[dict[str, float]], stride: int) -> ActionExpert:
    """The expert called `name`, which decides every `stride` frames.

    Raises:
        ValueError: there is no such expert, or its actions are not those of the model.
    """
    teacher = load_agent(name)
    if not isinstance(teacher, ActionExpert) or list(teacher.actions) != rows:
        raise ValueError(
            f"the teacher {name} does not choose among this model's {len(rows)} actions; give data.teaching.teacher "
            "expert:five for CarRacing's five, or expert:eleven with configs/dqn_actions.yaml"
        )
    teacher.style = dataclasses.replace(teacher.style, hold=stride)
    return teacher
