"""Collects experience before each epoch of IRIS and adds it to the data module's replay buffer.

Unlike `experience.py`, where driving and learning run side by side, they alternate here, as in IRIS (Micheli et
al. 2022, arXiv:2209.00588, algorithm 1). A resumed run replays the actions of the unfinished episodes first, so that it
continues exactly where it stopped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from tqdm import tqdm

from racing_vpt.callbacks.driving import Driving
from racing_vpt.callbacks.stop_signals import left_at_once
from racing_vpt.envs.make import make_env
from racing_vpt.envs.offers import check_driver
from racing_vpt.models.iris import IRIS
from racing_vpt.replay.segment_datamodule import SegmentDataModule
from racing_vpt.rollout.actors import Actors
from racing_vpt.rollout.lanes import LaneSpec
from racing_vpt.seeds import FIRST_TRAINING_SEED
from racing_vpt.types import LaneStep


class Collection(Driving):
    """Drives with the model on the schedule of the data module's `collecting`; never where that is 0.

    Args:
        lanes: number of environments stepped together; their id comes from the data module.
        workers: number of processes for the environments.
        first_seed: seed of the first track, at least 10,000; each episode takes the next one.
        max_frames: maximum length of an episode in frames; None: the environment's own.
        patience: frames without a new tile after which an episode is cut off. None: never.
        seed: seed of the actions' sampling.
    """

    def __init__(
        self,
        lanes: int = 8,
        workers: int = 1,
        first_seed: int = FIRST_TRAINING_SEED,
        max_frames: int | None = None,
        patience: int | None = None,
        seed: int = 0,
    ) -> None:
        if not 1 <= workers <= lanes or (patience is not None and patience < 1):
            raise ValueError(
                f"expected 1 <= workers <= lanes and patience >= 1, but got workers={workers}, lanes={lanes}, "
                f"patience={patience}"
            )
        super().__init__(lanes, workers, first_seed, max_frames, patience, seed)
        self.epochs = 0  # epochs whose driving is done
        self.rounds = 0  # decisions of every lane already taken for the next one
        self.done: list[list[np.ndarray]] | None = None  # actions so far of each lane's episode
        self.state: tuple[torch.Tensor, torch.Tensor] | None = None

    # ---------------------------------------------------------------- the run

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        data = trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(pl_module, IRIS) or not isinstance(data, SegmentDataModule):
            raise ValueError(
                f"Collection is for an IRIS with a SegmentDataModule, not a {type(pl_module).__name__} with a "
                f"{type(data).__name__}; give data.class_path racing_vpt.replay.segment_datamodule.SegmentDataModule"
            )
        self.data, self.module = data, pl_module
        if not data.collecting.decisions:
            return
        if trainer.world_size > 1:
            raise ValueError(
                f"Collection is for one process, but there are {trainer.world_size}; give --trainer.devices 1, or "
                "recordings alone with --data.collecting.decisions 0"
            )
        env = make_env(data.env)
        check_driver(pl_module.scheme.controls, pl_module.scheme.name, env)
        env.close()
        names = pl_module.control_names
        self.buffer = data.open_buffer(self.lanes, names)
        lane_spec = LaneSpec(None, pl_module.frames, data.env, self.first_seed, self.max_frames, self.patience, names)
        running: list[np.ndarray | None] | None = None
        if self.done is not None:
            running = [np.array(done, np.float32).reshape(-1, len(names)) for done in self.done]
        self.actors = Actors(lane_spec, self.lanes, self.workers, self.episodes, running)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        if self.actors is None:
            return
        self.seen = self.actors.start()
        if self.done is None:
            self.done = [[] for _ in range(self.lanes)]
        self.catch_up(trainer)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.actors is not None:
            self.catch_up(trainer)

    # ---------------------------------------------------------------- driving

    def catch_up(self, trainer: Trainer) -> None:
        """Do the driving that is due before the epoch of the next update."""
        done: int = trainer.fit_loop.epoch_loop.batch_progress.total.processed  # type: ignore[attr-defined]
        while self.epochs <= done // self.module.updates_per_epoch:
            self.drive(trainer, self.data.collecting.before(self.epochs))
            self.epochs += 1
            self.rounds = 0
            names = {"return": "return", "laps_finished": "lap", "episode_frames": "frames"}
            found = {name: self.curve.recent(column) for name, column in names.items()}
            told = {f"experience/{name}": x for name, x in found.items() if not math.isnan(x)}
            for logger in trainer.loggers:
                logger.log_metrics({**told, "experience/decisions": self.decisions}, trainer.global_step)

    @torch.no_grad()
    def drive(self, trainer: Trainer, decisions: int) -> None:
        """Take what is left of `decisions` decisions over all lanes, rounded up to a multiple of the lanes."""
        self.module.eval()
        with tqdm(total=decisions, unit="decision", desc="driving", leave=False, disable=decisions < 1000) as bar:
            while self.rounds < -(-decisions // self.lanes):
                self.decide(trainer)
                self.rounds += 1
                bar.update(self.lanes)
        self.module.train()

    def decide(self, trainer: Trainer) -> None:
        """Take one decision in each lane and store its outcome."""
        assert self.actors is not None
        assert self.done is not None
        module, before = self.module, self.seen
        draws = torch.Generator(module.device).manual_seed((self.seed << 40) + self.decisions)
        frames, first = (torch.from_numpy(x).to(module.device) for x in (before.frames, before.first))
        state = module.initial_state(self.lanes, module.device) if self.state is None else self.state
        chosen, state = module.explore(frames, first, state, draws)
        actions = chosen.cpu().numpy()
        with left_at_once(trainer):
            self.actors.act(actions)
            now, broken = self.actors.collect()
        self.seen, self.state = now, state
        step = LaneStep(before.frames, actions, now.rewards, now.terminated, now.truncated, before.first, now.valid)
        self.keep(step, broken)
        self.keep_actions(self.done, actions, now)
        self.keep_score(before, now)

    # ---------------------------------------------------------------- state

    def state_dict(self) -> dict[str, object]:
        """Counters, and the actions so far of the unfinished episodes."""
        done: Sequence[Sequence[np.ndarray]] = self.done or []
        return {
            **super().state_dict(),
            "epochs": self.epochs,
            "rounds": self.rounds,
            "earned": torch.from_numpy(self.earned.copy()),
            "done": [torch.from_numpy(np.array(actions, np.float32)) for actions in done],
            "agents": None if self.state is None else torch.stack(self.state).cpu(),
        }

    def load_state_dict(self, state_dict: dict) -> None:
        super().load_state_dict(state_dict)
        self.epochs, self.rounds = state_dict["epochs"], state_dict.get("rounds", 0)
        if len(state_dict["done"]) != self.lanes:
            return
        self.earned = state_dict["earned"].numpy()
        self.done = [list(actions.numpy()) for actions in state_dict["done"]]
        agents = state_dict["agents"]
        self.state = None if agents is None else (agents[0], agents[1])
