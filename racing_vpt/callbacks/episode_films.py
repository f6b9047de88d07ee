"""Saves episodes of an IRIS run as recordings: one it trained on, one greedy drive, and one it imagined.

They are written to `media/episodes/{train,test,imagination}` in the run folder, the newest few of each; browse them
with `racing-vpt play RUN --episodes`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer

from racing_vpt.agents.checkpoint import CheckpointAgent
from racing_vpt.callbacks.stop_signals import StopAsked, leave_if_asked
from racing_vpt.envs.make import make_env
from racing_vpt.models.imagined_drive import imagined_drive
from racing_vpt.models.iris import IRIS
from racing_vpt.play.take import Take
from racing_vpt.replay.segment_datamodule import SegmentDataModule
from racing_vpt.rollout.episodes import RunningEpisode
from racing_vpt.seeds import FIRST_VALIDATION_SEED, check_validation_seed
from racing_vpt.types import Batch, Controls, Frame

Moment = tuple[Frame, Controls, float, bool]
"""A frame, the controls chosen for it, the reward, and whether it is the first of its episode."""


class EpisodeFilms(Callback):
    """Writes one episode of each kind at every n-th validation: the newest complete one in the replay buffer, a greedy
    drive on a validation track, and imagined frames that continue a validation clip.

    Args:
        seed: seed of the drive's track, at least 1000; the environment comes from the data module.
        max_frames: maximum length of the drive in frames; None: the environment's own.
        dreamt: number of imagined steps.
        keep: number of episodes of each kind to keep.
        every_n_validations: number of validations between episodes.
    """

    def __init__(
        self,
        seed: int = FIRST_VALIDATION_SEED,
        max_frames: int | None = None,
        dreamt: int = 100,
        keep: int = 3,
        every_n_validations: int = 1,
    ) -> None:
        check_validation_seed("seed", seed)
        if min(dreamt, keep, every_n_validations) < 1:
            raise ValueError(
                "dreamt, keep and every_n_validations must be at least 1, but "
                f"{dreamt}, {keep} and {every_n_validations} were given"
            )
        self.seed, self.max_frames, self.dreamt = seed, max_frames, dreamt
        self.keep, self.every_n_validations = keep, every_n_validations
        self.validations = 0

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if batch_idx or dataloader_idx or trainer.sanity_checking or not trainer.is_global_zero:
            return
        data = trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(pl_module, IRIS) or not isinstance(data, SegmentDataModule):
            raise ValueError(
                f"callback EpisodeFilms is for an IRIS with a SegmentDataModule, not a {type(pl_module).__name__} with "
                f"a {type(data).__name__}"
            )
        if self.validations % self.every_n_validations:
            return
        rate = pl_module.frames.frames_per_second / pl_module.frames.stride
        if data.buffer is not None:
            moments = collected(data, pl_module.control_names)
            self.write(trainer, "train", moments, rate, {"environment": data.env})
        try:
            driven, full_rate = self.driven(trainer, pl_module, data.env)
        except StopAsked:
            return  # `StopSignals` ends the run at the end of this batch
        self.write(trainer, "test", driven, full_rate, {"environment": data.env, "seed": self.seed})
        if bool(batch.valid.any()):
            dream = {"world_model": f"step {trainer.global_step}", "tau": pl_module.dreams.tau}
            moments = self.imagined(pl_module, batch)
            self.write(trainer, "imagination", moments, rate, {"environment": None, "dream": dream})

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking:
            self.validations += 1

    def write(
        self, trainer: Trainer, kind: str, moments: Iterator[Moment], rate: float, meta: dict[str, object]
    ) -> None:
        """Write an episode and remove the oldest beyond `keep`; nothing if there are no moments."""
        run = Path(trainer.log_dir or trainer.default_root_dir)
        folder, take = run / "media" / "episodes" / kind, None
        for frame, controls, reward, first in moments:
            if take is None:
                take = Take(folder, f"{kind}-{trainer.global_step:08d}", rate, meta, run.name)
            take.add(frame, controls, reward, first, by_hand=False)
        if take is None:
            return
        take.close()
        numbered = re.compile(rf"{kind}-\d{{8}}-\d{{4}}\.meta\.json")
        kept = sorted(path for path in folder.iterdir() if numbered.fullmatch(path.name))
        for meta_file in kept[: -self.keep]:
            meta_file.unlink()  # the meta file goes first, so that a half-deleted recording does not count as one
            name = meta_file.name.removesuffix(".meta.json")
            for suffix in (".mp4", ".jsonl"):
                meta_file.with_name(name + suffix).unlink(missing_ok=True)

    def driven(self, trainer: Trainer, module: IRIS, id: str) -> tuple[Iterator[Moment], float]:
        """A greedy drive in the environment, and its frame rate."""
        env = make_env(id)
        try:
            agent = CheckpointAgent(module, device=str(module.device))
            agent.attach(env)
            episode = RunningEpisode(env, self.seed, None, self.max_frames)
            moments = []
            while not episode.done:
                leave_if_asked(trainer)
                seen, before = episode.frame.copy(), episode.score
                controls = agent.act(seen)
                episode.step(controls)
                moments.append((seen, controls, episode.score - before, episode.frames == 1))
        finally:
            env.close()
        return iter(moments), episode.frames_per_second

    def imagined(self, module: IRIS, batch: Batch) -> Iterator[Moment]:
        """Imagined steps."""
        dreamt = imagined_drive(module, batch, self.dreamt, self.validations + 1)
        for step, (frame, action, reward) in enumerate(zip(*dreamt[:3], strict=True)):
            controls = dict(zip(module.control_names, action.tolist(), strict=True))
            yield frame, controls, float(reward), step == 0

    def state_dict(self) -> dict[str, object]:
        return {"validations": self.validations}

    def load_state_dict(self, state_dict: dict) -> None:
        self.validations = state_dict["validations"]


def collected(data: SegmentDataModule, names: tuple[str, ...]) -> Iterator[Moment]:
    """The newest complete episode of the first lane in the buffer; if there is none, the current one so far."""
    assert data.buffer is not None
    ring = data.buffer.experience.ring
    rows = np.arange(max(0, ring.steps - ring.rows), ring.steps)
    slots = rows % ring.rows * ring.lanes
    begins = np.flatnonzero(ring.first[slots])
    begin, end = (begins[-2], begins[-1]) if len(begins) > 1 else (begins[-1] if len(begins) else 0, len(slots))
    for place, slot in enumerate(slots[begin:end]):
        if not ring.valid[slot]:
            continue  # the last frame of an episode has no action
        controls = dict(zip(names, ring.actions[slot].tolist(), strict=True))
        yield ring.frames[slot], controls, float(ring.rewards[slot]), place == 0
