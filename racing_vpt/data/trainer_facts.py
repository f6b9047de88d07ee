"""What a data module asks its trainer; each has an answer where there is no trainer, as in a script."""

from __future__ import annotations

from lightning.pytorch import LightningDataModule

from racing_vpt.types import FrameSpec


def wanted_frames(data: LightningDataModule, given: FrameSpec | None) -> FrameSpec:
    """What frames should look like: as given, or as the trainer's model says, or the default."""
    if given is not None:
        return given
    spec = getattr(data.trainer and data.trainer.lightning_module, "frames", None)
    return spec if isinstance(spec, FrameSpec) else FrameSpec()


def steps_done(data: LightningDataModule) -> int:
    """Training batches so far, over all epochs and before a stop."""
    if data.trainer is None:
        return 0
    return data.trainer.fit_loop.epoch_loop.batch_progress.total.processed  # type: ignore[attr-defined]


def rank_of(data: LightningDataModule) -> int:
    """Number of this process among all that train."""
    return data.trainer.global_rank if data.trainer is not None else 0


def world_size_of(data: LightningDataModule) -> int:
    """Number of processes that train."""
    return data.trainer.world_size if data.trainer is not None else 1
