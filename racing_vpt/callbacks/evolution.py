"""Evaluates the candidates of an evolutionary search, on tracks or in a dream, and chooses the best driver."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from racing_vpt.callbacks.stop_signals import StopAsked, left_at_once, stop_if_asked
from racing_vpt.models.controller import Controller
from racing_vpt.processes import Pool
from racing_vpt.rollout.population import DrivePopulation, DriveTask, dream_returns
from racing_vpt.seeds import FIRST_TRAINING_SEED, FIRST_VALIDATION_SEED, check_training_seed, check_validation_seed


class EvolutionRollouts(Callback):
    """Evaluates all candidates of a generation on the same new tracks, and the best of them on fixed ones.

    Every `judge_every` generations the best candidate and the search's mean drive the fixed tracks, always in the
    environment; the controller with the highest return so far becomes the model's. DDP processes share the candidates.

    Args:
        env: environment id.
        dream: candidates are evaluated in the world model's dream instead of the environment.
        tau: temperature of the dream.
        workers: number of driving processes.
        batch: episodes that a process drives at once.
        first_seed: seed of the candidates' first track, at least 10,000; each generation takes the next ones.
        judge_every: generations between evaluations on the fixed tracks.
        judge_seed: seed of the first fixed track.
        judge_episodes: number of fixed tracks.
        max_frames: maximum length of an episode in frames; None: the environment's own, 1000 in a dream.
        patience: frames without a new tile after which a candidate's episode is ended (CarRacing's rewards); not on the
            fixed tracks.
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
                "batch, judge_every, judge_episodes and workers must be at least 1, but they are "
                f"{batch}, {judge_every}, {judge_episodes} and {workers}"
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
        self.contenders: np.ndarray | None = None  # float [2, parameters], until they have driven the fixed tracks

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Controller)
        if pl_module.device.type != "cpu":
            raise ValueError("a controller's search runs on the CPU; give --trainer.accelerator cpu")
        work = DrivePopulation(pl_module.world, pl_module.frames, self.env or pl_module.game.place(), self.max_frames)
        self.pool = Pool(work, self.workers)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        assert isinstance(pl_module, Controller)
        if self.contenders is not None:  # a signal ended their drive
            self.judge(trainer, pl_module)
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
        self.contenders = np.stack([pl_module.evolution.mean, self.best])
        self.judge(trainer, pl_module)

    def judge(self, trainer: Trainer, module: Controller) -> None:
        """Let the contenders drive the fixed tracks; the better one becomes the model's, if it is the best so far."""
        assert self.contenders is not None
        earned = self.earn(trainer, module, self.contenders, self.judge_seeds, dream=False)
        winner = int(earned.argmax())
        module.adopt(self.contenders[winner], float(earned[winner]))
        self.contenders = None
        best = float(module.best_return)
        module.log_dict({"rollout/return": best, "rollout/return_mean": float(earned[0])}, batch_size=1)
        target = module.search.target_return
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
        """Mean return over the seeds, float64 [N], of controllers [N, parameters]; the same on every rank.

        A signal ends the drives and the run; the continued run drives all of them again.
        """
        mine = range(trainer.global_rank, len(controllers), trainer.world_size)
        earned = np.zeros(len(controllers))
        with suppress(StopAsked), left_at_once(trainer):
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
        stop_if_asked(trainer)
        if trainer.world_size == 1:
            return earned
        return trainer.strategy.reduce(torch.from_numpy(earned), reduce_op="sum").numpy()  # type: ignore[union-attr]

    def state_dict(self) -> dict[str, object]:
        """The contenders whose drive a signal ended."""
        return {} if self.contenders is None else {"contenders": torch.from_numpy(self.contenders)}

    def load_state_dict(self, state_dict: dict) -> None:
        contenders = state_dict.get("contenders")
        self.contenders = None if contenders is None else contenders.numpy()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if self.pool is not None:
            self.pool.close()
            self.pool = None
