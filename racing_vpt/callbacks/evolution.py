"""Puts the candidates of an evolutionary search on tracks, or into a dream, and judges who drives best."""

from __future__ import annotations

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from racing_vpt.models.controller import Controller
from racing_vpt.processes import Pool
from racing_vpt.rollout.population import DrivePopulation, DriveTask, dream_returns
from racing_vpt.seeds import FIRST_TRAINING_SEED, FIRST_VALIDATION_SEED, check_training_seed, check_validation_seed


class EvolutionRollouts(Callback):
    """Each generation all candidates drive the same new tracks; now and then the contenders are judged on fixed ones.

    Contenders are the best candidate of the generation and the search's mean; who earns most on the fixed tracks, in
    the environment even where candidates dream, drives from then on. Under several processes each takes a share.

    Args:
        env: environment.
        dream: candidates live in the memory's dream, and see the environment only when they are judged.
        tau: temperature of the dream.
        workers: processes that drive.
        batch: episodes that a process drives at once.
        first_seed: of the candidates' tracks, from 10,000 on; each generation takes the next ones.
        judge_every: generations between judgements.
        judge_seed: first of the fixed tracks.
        judge_episodes: number of fixed tracks.
        max_frames: end episodes after so many frames; None leaves it to the environment, and to 1000 in a dream.
        patience: frames without a tile after which a candidate is stopped (CarRacing's rewards); judging waits.
    """

    def __init__(
        self,
        env: str | None = None,
        dream: bool = False,
        tau: float = 1.15,
        workers: int = 2,
        batch: int = 64,
        first_seed: int = FIRST_TRAINING_SEED,
        judge_every: int = 10,
        judge_seed: int = FIRST_VALIDATION_SEED,
        judge_episodes: int = 20,
        max_frames: int | None = None,
        patience: int | None = None,
    ) -> None:
        if min(batch, judge_every, judge_episodes, workers) < 1:
            raise ValueError(
                f"batch, judge_every, judge_episodes and workers count from 1, but they are {batch}, {judge_every}, "
                f"{judge_episodes} and {workers}"
            )
        check_training_seed(first_seed)
        check_validation_seed("judge_seed", judge_seed)
        self.env, self.dream, self.tau, self.workers, self.batch = env, dream, tau, workers, batch
        self.first_seed, self.judge_every, self.max_frames, self.patience = (
            first_seed,
            judge_every,
            max_frames,
            patience,
        )
        self.judge_seeds = list(range(judge_seed, judge_seed + judge_episodes))
        self.pool: Pool[DriveTask, np.ndarray] | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Controller)
        if pl_module.device.type != "cpu":
            raise ValueError("a controller's search runs on the CPU; give --trainer.accelerator cpu")
        work = DrivePopulation(pl_module.world, pl_module.frames, self.env or pl_module.game.place(), self.max_frames)
        self.pool = Pool(work, self.workers)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        assert isinstance(pl_module, Controller)
        search, n = pl_module.evolution, pl_module.search.n_samples
        begin = self.first_seed + search.generation * n
        pl_module.candidates = search.ask()
        seeds = list(range(begin, begin + n))
        pl_module.returns = self.earn(trainer, pl_module, pl_module.candidates, seeds, self.dream, self.patience)
        self.best = pl_module.candidates[int(pl_module.returns.argmax())]

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, Controller)
        if pl_module.evolution.generation % self.judge_every:
            return
        contenders = np.stack([pl_module.evolution.mean, self.best])
        earned = self.earn(trainer, pl_module, contenders, self.judge_seeds, dream=False)
        winner = int(earned.argmax())
        pl_module.adopt(contenders[winner], float(earned[winner]))
        best = float(pl_module.best_return)
        pl_module.log_dict({"rollout/return": best, "rollout/return_mean": float(earned[0])}, batch_size=1)
        target = pl_module.search.target_return
        if target is not None and best >= target:
            trainer.should_stop = True

    def earn(
        self,
        trainer: Trainer,
        module: Controller,
        controllers: np.ndarray,
        seeds: list[int],
        dream: bool,
        patience: int | None = None,
    ) -> np.ndarray:
        """Mean return float64 [N] of controllers [N, numbers] over the seeds, the same on every rank."""
        mine = range(trainer.global_rank, len(controllers), trainer.world_size)
        earned = np.zeros(len(controllers))
        if len(mine) and dream:
            steps = -(-(self.max_frames or 1000) // module.frames.stride)
            dreamt = dream_returns(module.world, module.beginnings, controllers[mine], seeds, self.tau, steps)
            earned[mine] = dreamt.mean(1)
        elif len(mine):
            assert self.pool is not None
            pairs = [(row, seed) for row in mine for seed in seeds]
            chunks = [pairs[at : at + self.batch] for at in range(0, len(pairs), self.batch)]
            rows = [[row for row, _ in chunk] for chunk in chunks]
            tasks = [
                DriveTask(controllers[some], [seed for _, seed in chunk], patience)
                for some, chunk in zip(rows, chunks, strict=True)
            ]
            for chunk, scores in zip(chunks, self.pool.map(tasks), strict=True):
                for (row, _), score in zip(chunk, scores, strict=True):
                    earned[row] += score / len(seeds)
        if trainer.world_size == 1:
            return earned
        return trainer.strategy.reduce(torch.from_numpy(earned), reduce_op="sum").numpy()  # type: ignore[union-attr]

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if self.pool is not None:
            self.pool.close()
            self.pool = None
