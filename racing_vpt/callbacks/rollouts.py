"""Driving during validation: in VPT the validation loss did not predict how well a policy acts.

Validation uses seeds 1000 to 1099. Seeds 0 to 99 are reserved for published results and refused here.
"""

from __future__ import annotations

from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import torch

from racing_vpt.agents.checkpoint import CheckpointAgent
from racing_vpt.callbacks.images import log_picture
from racing_vpt.callbacks.stop_signals import StopAsked, leave_if_asked, stop_if_asked
from racing_vpt.envs.make import make_env
from racing_vpt.frames import film_strip
from racing_vpt.play.film import EpisodeFilm
from racing_vpt.rollout.episodes import run_episodes
from racing_vpt.seeds import FIRST_VALIDATION_SEED, check_validation_seed
from racing_vpt.types import Batch, Frame, FrameRecord

STRIP = 16  # number of frames of an episode shown in tensorboard


class RolloutValidation(pl.Callback):
    """Drives with the model at each validation; logs `NAME/return`, `NAME/laps_finished` and `NAME/frames`.

    It drives at the first validation batch, when the weight average, if any, is in place. Under DDP each process drives
    its share of the seeds. The film of the first seed goes to `media/NAMEs/step=N.mp4` in the run folder, and frames of
    it to tensorboard.

    Args:
        env: environment id; None: the data module's (`data.env`), or that of the model's game.
        first_seed: seed of the first track, at least 1000: 0 to 99 are reserved for published results.
        episodes: number of tracks, with seeds first_seed, first_seed + 1, ...
        every_n_validations: drive at every n-th validation; in between the last result is logged again, because a
            checkpoint callback may monitor it.
        film: whether to film the first episode.
        max_frames: maximum length of an episode in frames; None: the environment's own.
        name: prefix of the logged keys; two such callbacks, for the fast and the stock environment, need two names.
    """

    def __init__(
        self,
        env: str | None = None,
        first_seed: int = FIRST_VALIDATION_SEED,
        episodes: int = 8,
        every_n_validations: int = 1,
        film: bool = True,
        max_frames: int | None = None,
        name: str = "rollout",
    ) -> None:
        check_validation_seed("first_seed", first_seed)
        if min(episodes, every_n_validations) < 1:
            raise ValueError(
                f"episodes and every_n_validations must be at least 1, but are {episodes} and {every_n_validations}"
            )
        self.seeds = range(first_seed, first_seed + episodes)
        self.env, self.every_n_validations, self.max_frames = env, every_n_validations, max_frames
        self.film, self.name = film, name
        self.validations = 0
        self.last: dict[str, float] = {}
        self.driven: dict[str, float] | None = None  # in the current validation, which a signal may end

    @property
    def state_key(self) -> str:
        """Key of this callback's state in a checkpoint."""
        return super().state_key if self.name == "rollout" else self._generate_state_key(name=self.name)

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if batch_idx or dataloader_idx or trainer.sanity_checking:
            return
        if self.validations % self.every_n_validations == 0:
            self.driven = self.drive(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.sanity_checking:
            self.validations += 1
            self.last, self.driven = self.driven or self.last, None
            pl_module.log_dict({f"{self.name}/{key}": value for key, value in self.last.items()}, rank_zero_only=False)

    def state_dict(self) -> dict[str, object]:
        return {"validations": self.validations, "last": self.last}

    def load_state_dict(self, state_dict: dict[str, object]) -> None:
        self.validations, self.last = state_dict["validations"], state_dict["last"]  # type: ignore[assignment]

    def drive(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, float]:
        """Means over all seeds: `return`, `laps_finished`, `frames`; the same on every rank."""
        seeds = self.seeds[trainer.global_rank :: trainer.world_size]
        folder = trainer.log_dir or trainer.default_root_dir  # on every rank, because Lightning broadcasts it
        film = None
        if self.film and trainer.is_global_zero:
            name = f"step={trainer.global_step}.mp4"
            film = KeptFilm(Path(folder) / "media" / f"{self.name}s" / name, f"seed {seeds[0]}")
        data = getattr(trainer, "datamodule", None)
        env = self.env or getattr(data, "env", None) or pl_module.game.place()  # type: ignore[union-attr, operator]
        envs = [make_env(env) for _ in seeds]
        try:
            agent = CheckpointAgent(pl_module, device=str(pl_module.device))  # type: ignore[arg-type]
            results = list(
                run_episodes(
                    envs,
                    agent,
                    seeds,
                    open_writer=lambda seed: film if seed == self.seeds[0] else None,
                    max_frames=self.max_frames,
                    on_step=lambda seed, frames: leave_if_asked(trainer),
                )
            )
        except StopAsked:
            results = []
        finally:
            for each in envs:
                each.close()
        stop_if_asked(trainer)
        rows = [[result.score, float(result.lap_finished), float(result.frames), 1.0] for result in results]
        total = torch.tensor(rows, device=pl_module.device).reshape(-1, 4).sum(0)
        scores, laps, frames, driven = trainer.strategy.reduce(total, reduce_op="sum").tolist()
        if film is not None:
            self.show(film, trainer)
        return {"return": scores / driven, "laps_finished": laps / driven, "frames": frames / driven}

    def show(self, film: KeptFilm, trainer: pl.Trainer) -> None:
        """Log frames of the film."""
        evenly = np.linspace(0, len(film.frames) - 1, STRIP).round().astype(int)
        picture = film_strip(np.stack(film.frames)[evenly], columns=STRIP // 2, scale=2)
        log_picture(trainer, f"{self.name}/film", picture)


class KeptFilm(EpisodeFilm):
    """A film that also keeps its frames, uint8 [96, 96, 3], in memory."""

    def __init__(self, path: Path, title: str) -> None:
        super().__init__(path, title)
        self.frames: list[Frame] = []

    def add(self, frame: Frame, record: FrameRecord) -> None:
        super().add(frame, record)
        self.frames.append(frame.copy())
