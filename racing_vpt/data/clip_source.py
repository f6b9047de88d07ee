"""The splits of a data module: opens shards and recordings, and builds loaders of their clips."""

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
from racing_vpt.data.loaders import WHOLE_BATCHES, ResumableLoader, workers
from racing_vpt.data.reader import EpisodeReader
from racing_vpt.data.remote import Remote
from racing_vpt.data.sampler import StepSampler
from racing_vpt.data.stores import open_store
from racing_vpt.types import Batch, FrameSpec
from racing_vpt.video.decode import Decoder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reading:
    """Options of reading shards and recordings.

    Args:
        frames: the model's input frames. None: those of the trainer's model.
        decoder: auto, decord, torchcodec or pyav.
        cache_gib: memory for decoded frames in GiB, for training and for validation each.
        codes: folder for encoded frames, for models that learn from codes instead of frames.
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
        spec: the model's input frames.
        reading: how shards and recordings are read.
        controls: source and weights of the controls.
        seed: seed of the split of plain recordings.
        val_fraction: fraction of the episodes of plain recordings in the split `val`.
        on_gpu: leave clips encoded, for decoding on a GPU in the main process.
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
        """Open a split; if there is none, that is logged and `name` stays undefined.

        Args:
            name: name for the split.
            paths: folders or URLs of shards, or folders of recordings.
            split: `train` or `val`.
            others: paths of the other split. Plain recordings in both are divided between them.

        Raises:
            FileNotFoundError: there is nothing to read.
            ValueError: the shards are damaged, or lack the split.
        """
        reading = self.reading
        fractions = {path: self.val_fraction if path in others else None for path in paths}
        decoder: Decoder = "auto" if self.on_gpu else reading.decoder  # for frames decoded on the CPU all the same
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
        """Number of frames of each episode of a split; empty if it is not open."""
        return self.readers[name].lengths if name in self.readers else []

    @property
    def control_names(self) -> tuple[str, ...]:
        """Names of the controls in the open data; empty for unlabelled video."""
        reader = next(iter(self.readers.values()))
        return tuple(reader.columns(0, 0, 1).controls)

    def clips(
        self, name: str, clip_frames: int, codes: Codes | None = None, seen: tuple[int, ...] | None = None
    ) -> ClipDataset:
        """The clips of a split, of `clip_frames` frames each, with codes instead of frames if given."""
        return ClipDataset(self.readers[name], clip_frames, self.controls, self.on_gpu, codes, seen)

    def examples(
        self, name: str, controls: list[str], episodes: int = 20, most: int = 350
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Sample stretches of a split: frames uint8 [T, H, W, 3] and controls float32 [T, C] of each.

        Args:
            name: name of the split.
            controls: names of the controls, in order.
            episodes: number of episodes, spread over the split.
            most: maximum number of frames of each, after its first second, in which CarRacing's camera zooms.
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
        """Loader of the sampler's clips."""
        return ResumableLoader(
            clips,
            sampler=steps,  # type: ignore[arg-type]
            **workers(num_workers),
            persistent_workers=num_workers > 0,
            **WHOLE_BATCHES,
        )

    def codes(self, name: str, trainer: Trainer | None) -> Codes | None:
        """Codes of a split's frames, if the trainer's model learns from codes; the first rank computes them."""
        model = trainer and trainer.lightning_module
        if trainer is None or not isinstance(model, CodesFrames):
            return None
        made = codes_of(self.readers[name], model, self.reading.codes) if trainer.is_global_zero else None
        trainer.strategy.barrier()
        return made or codes_of(self.readers[name], model, self.reading.codes)

    def frames_of(self, name: str, batch: Batch, row: int) -> np.ndarray:
        """The frames uint8 [T, H, W, 3] that belong to a row of codes in a batch of a split."""
        reader, (episode, _, start) = self.readers[name], batch.ids[row].rpartition(":")
        number = [reader.name(each) for each in range(len(reader.lengths))].index(episode)
        return reader.frames(number, int(start), int(start) + int(batch.valid[row].sum()))


def listed(paths: Iterable[str] | str | None) -> list[str]:
    """Paths as a list: none, one, or many."""
    return [] if paths is None else [paths] if isinstance(paths, str) else list(paths)
