"""The splits that a data module reads: opens shards and recordings, and makes loaders of their clips."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader

from racing_vpt.data.clip_controls import ClipControls
from racing_vpt.data.clip_dataset import ClipDataset
from racing_vpt.data.codes import Codes, CodesFrames, codes_of
from racing_vpt.data.loaders import WHOLE_BATCHES, ResumableLoader
from racing_vpt.data.reader import EpisodeReader
from racing_vpt.data.remote import Remote
from racing_vpt.data.sampler import StepSampler
from racing_vpt.data.stores import open_store
from racing_vpt.types import Batch, FrameSpec
from racing_vpt.video.decode import Decoder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reading:
    """How shards and recordings are read.

    Args:
        frames: what the model sees. None: as the trainer's model says.
        decoder: auto, decord, torchcodec or pyav.
        cache_gib: memory for decoded frames, once for training and once for validation.
        codes: folder that keeps encoded frames, for models that learn from codes instead of frames.
        remote: how shards at a URL are read.
    """

    frames: FrameSpec | None = None
    decoder: Decoder = "auto"
    cache_gib: float = 0.0
    codes: Path = Path("data/codes")
    remote: Remote = Remote()


class ClipSource:
    """Readers of splits by name, and loaders of their clips.

    Args:
        spec: what the model sees.
        reading: how shards and recordings are read.
        controls: which controls the frames have.
        seed: of the split of plain recordings.
        val_fraction: fraction of the episodes of plain recordings that is their split `val`.
        on_gpu: leave clips encoded, to be decoded on a GPU by whoever takes the batch.
    """

    def __init__(
        self,
        spec: FrameSpec,
        reading: Reading,
        controls: ClipControls = ClipControls(),
        seed: int = 0,
        val_fraction: float = 0.1,
        on_gpu: bool = False,
    ) -> None:
        self.spec, self.reading, self.controls = spec, reading, controls
        self.seed, self.val_fraction, self.on_gpu = seed, val_fraction, on_gpu
        self.readers: dict[str, EpisodeReader] = {}

    def open(self, name: str, paths: list[str], split: str, others: list[str]) -> None:
        """Open a split; where there is none, that is logged and `name` stays unknown.

        Args:
            name: what the split is called from now on.
            paths: folders or URLs of shards, or folders of recordings.
            split: `train` or `val`.
            others: paths of the other split. Plain recordings that are among both are divided between them.

        Raises:
            FileNotFoundError: there is nothing to read.
            ValueError: the shards are damaged, or lack the split.
        """
        reading = self.reading
        fractions = {path: self.val_fraction if path in others else None for path in paths}
        decoder: Decoder = "auto" if self.on_gpu else reading.decoder  # for what is read on the CPU all the same
        options = (self.seed, self.controls.labels, decoder, reading.remote)
        opened = [open_store(path, split, fractions[path], *options) for path in paths]
        stores = [store for store in opened if store is not None]
        if not stores:
            log.warning("%s has no split %r, so there is no %s data", ", ".join(paths), split, name)
            return
        mean, drop_null = self.controls.mean, self.controls.drop_null
        reader = EpisodeReader(stores, self.spec, mean, reading.cache_gib, drop_null)
        frames, count = sum(reader.lengths), len(reader.lengths)
        log.info("%s: %d episodes, %d frames at %g per second", name, count, frames, self.spec.frames_per_second)
        self.readers[name] = reader

    def __contains__(self, name: str) -> bool:
        return name in self.readers

    def lengths(self, name: str) -> list[int]:
        """Frames of each episode of a split; none where it is not open."""
        return self.readers[name].lengths if name in self.readers else []

    @property
    def control_names(self) -> tuple[str, ...]:
        """The controls in the data that is open; empty for unlabelled video."""
        reader = next(iter(self.readers.values()))
        return tuple(reader.columns(0, 0, 1).controls)

    def clips(self, name: str, clip_frames: int, codes: Codes | None = None) -> ClipDataset:
        """The clips of a split, `clip_frames` frames each; their codes in place of their frames where given."""
        return ClipDataset(self.readers[name], clip_frames, self.controls, encoded=self.on_gpu, codes=codes)

    def examples(
        self, name: str, controls: list[str], episodes: int = 20, most: int = 350
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Stretches of a split: frames uint8 [T, H, W, 3] and controls float32 [T, C] of each.

        Args:
            name: of the split.
            controls: their names, in order.
            episodes: number of episodes, spread over the split.
            most: frames of each, after its first second, in which CarRacing's camera zooms.
        """
        reader, frames, values = self.readers[name], [], []
        count = len(reader.lengths)
        for episode in np.linspace(0, count - 1, min(episodes, count)).astype(int).tolist():
            length = reader.lengths[episode]
            start = max(0, min(round(self.spec.frames_per_second), length - most))
            stop = min(length, start + most)
            columns = reader.columns(episode, start, stop).controls
            frames.append(reader.frames(episode, start, stop))
            values.append(np.stack([columns[control] for control in controls], -1))
        return frames, values

    def loader(self, clips: ClipDataset, steps: StepSampler, num_workers: int = 0) -> DataLoader:
        """Batches of the clips that the sampler names."""
        return ResumableLoader(
            clips,
            sampler=steps,  # type: ignore[arg-type]
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            **WHOLE_BATCHES,
        )

    def codes(self, name: str, trainer: Trainer | None) -> Codes | None:
        """Codes of a split's frames where the trainer's model learns from codes; the first process makes them."""
        model = trainer and trainer.lightning_module
        if trainer is None or not isinstance(model, CodesFrames):
            return None
        made = codes_of(self.readers[name], model, self.reading.codes) if trainer.is_global_zero else None
        trainer.strategy.barrier()
        return made or codes_of(self.readers[name], model, self.reading.codes)

    def frames_of(self, name: str, batch: Batch, row: int) -> np.ndarray:
        """The frames uint8 [T, H, W, 3] behind a row of a batch of a split, where the batch holds codes."""
        reader, (episode, _, start) = self.readers[name], batch.ids[row].rpartition(":")
        number = [reader.name(each) for each in range(len(reader.lengths))].index(episode)
        return reader.frames(number, int(start), int(start) + int(batch.valid[row].sum()))


def listed(paths: Iterable[str] | str | None) -> list[str]:
    """Paths as a list: none, one, or many."""
    return [] if paths is None else [paths] if isinstance(paths, str) else list(paths)
