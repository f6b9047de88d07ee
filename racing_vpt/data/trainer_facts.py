"""What a data module needs to know from its trainer, with defaults where there is none, as in a script."""

from __future__ import annotations

from lightning.pytorch import LightningDataModule

from racing_vpt.types import FrameSpec


def wanted_frames(data: LightningDataModule, given: FrameSpec | None) -> FrameSpec:
    """Frame specification: as given, or that of the trainer's model, or the default."""
    if given is not None:
        return given
    spec = getattr(data.trainer and data.trainer.lightning_module, "frames", None)
    return spec if isinstance(spec, FrameSpec) else FrameSpec()


def frames_seen(data: LightningDataModule, clip_frames: int) -> tuple[int, ...] | None:
    """Numbers of the frames of a clip that the trainer's model looks at; None: all."""
    ask = getattr(data.trainer and data.trainer.lightning_module, "frames_seen", None)
    return None if ask is None else ask(clip_frames)


def steps_done(data: LightningDataModule) -> int:
    """Number of training batches so far, over all epochs, including those before a resume."""
    if data.trainer is None:
        return 0
    return data.trainer.fit_loop.epoch_loop.batch_progress.total.processed  # type: ignore[attr-defined]


def rank_of(data: LightningDataModule) -> int:
    """Rank of this process."""
    return data.trainer.global_rank if data.trainer is not None else 0


def world_size_of(data: LightningDataModule) -> int:
    """Number of training processes."""
    return data.trainer.world_size if data.trainer is not None else 1
