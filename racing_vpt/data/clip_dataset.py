"""Data set whose items are whole batches of clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch.utils.data import Dataset

from racing_vpt.data.clip_controls import ClipControls
from racing_vpt.data.codes import Codes
from racing_vpt.data.reader import EpisodeReader
from racing_vpt.data.sampler import ClipIndex
from racing_vpt.frames import prepare
from racing_vpt.types import Batch, FrameSpec
from racing_vpt.video.decode import open_video, padded_times

MIRRORED = frozenset({"steering", "camera_yaw"})  # controls whose sign changes when mirrored
SWAPPED = {"left": "right", "right": "left"}  # keys that swap when mirrored


@dataclass
class EncodedBatch(Batch):
    """A `Batch` whose frames are still encoded, for decoding on a GPU in the main process.

    Args:
        encoded: for each row its stored clips: an mp4 and the indices of its frames.
        mirrored: for each row, whether it is mirrored.
    """

    encoded: list[list[tuple[bytes, list[int]]]] = field(default_factory=list)
    mirrored: list[bool] = field(default_factory=list)

    def decode(self, spec: FrameSpec, decoder: Literal["decord", "torchcodec"], device: torch.device) -> Batch:
        """The batch with decoded frames, on the device."""
        frames = torch.zeros(*self.valid.shape, spec.height, spec.width, 3, dtype=torch.uint8)
        for row, (clips, mirror) in enumerate(zip(self.encoded, self.mirrored, strict=True)):
            at = 0
            for mp4, indices in clips:
                part = prepare(open_video(mp4, decoder, "cuda").read(indices), spec)
                part = part[:, :, ::-1] if mirror else part
                frames[row, at : at + len(part)] = torch.from_numpy(np.ascontiguousarray(part))
                at += len(part)
        return Batch(
            frames.to(device), self.controls, self.first, self.valid, self.weight, self.rewards, self.ids,
            times=self.times,
        )  # fmt: skip


class ClipDataset(Dataset[Batch]):
    """Batches of clips; an index stands for a whole batch: a list of `ClipIndex`.

    Args:
        reader: reader of the episodes.
        clip_frames: frames per clip, T.
        controls: source and weights of the controls.
        encoded: leave the frames encoded, for decoding on a GPU.
        codes: codes of the reader's frames, read instead of the frames.
        seen: increasing numbers of the frames of a clip that the model looks at; the others stay black, except in clips
            in which an episode starts. None: all.
    """

    def __init__(
        self,
        reader: EpisodeReader,
        clip_frames: int,
        controls: ClipControls,
        encoded: bool = False,
        codes: Codes | None = None,
        seen: Sequence[int] | None = None,
    ) -> None:
        self.codes = codes
        self.seen = None if seen is None else np.array(seen, np.int64)
        self.reader, self.clip_frames, self.controls, self.encoded = reader, clip_frames, controls, encoded

    def __getitem__(self, items: list[ClipIndex]) -> Batch:
        B, T, spec = len(items), self.clip_frames, self.reader.spec
        names = self._control_names(items)
        unseen = self.encoded or self.codes is not None
        codes = None if self.codes is None else np.zeros((B, T, self.codes.width), np.float32)
        frames = np.zeros((B, 0 if unseen else T, spec.height, spec.width, 3), np.uint8)
        controls = {name: np.zeros((B, T), np.float32) for name in names}
        first, valid = np.zeros((B, T), bool), np.zeros((B, T), bool)
        weight, rewards = np.zeros((B, T), np.float32), np.zeros((B, T), np.float32)
        step = spec.stride / spec.frames_per_second
        times = np.tile(step * np.arange(T, dtype=np.float32), (B, 1))
        rewarded, ids = True, []
        clips: list[list[tuple[bytes, list[int]]]] = []
        for row, item in enumerate(items):
            clips.append([])
            if item.episode < 0:
                ids.append("")
                continue
            stop = min(item.start + T, self.reader.lengths[item.episode])
            length = stop - item.start
            if self.codes is not None and codes is not None:
                codes[row, :length] = self.codes.read(item.episode, item.start, stop)
            elif self.encoded:
                clips[-1] = self._encoded(item, stop)
            times[row] = padded_times(self.reader.times(item.episode, item.start, stop), T, step)
            columns = self.reader.columns(item.episode, item.start, stop)
            if not unseen:
                self._read(item, columns.first, frames[row])
            known, weight[row, :length] = self.controls.apply(columns)
            for name in names:
                if name not in known:
                    raise ValueError(
                        f"episode {self.reader.name(item.episode)} has controls {sorted(known)}, but others have "
                        f"{sorted(names)}; label the videos with: racing-vpt predict, and pack them with --labels"
                    )
                sign = -1 if item.mirror and name in MIRRORED else 1
                shown = SWAPPED.get(name, name) if item.mirror else name
                controls[name][row, :length] = sign * known.get(shown, known[name])
            first[row, :length], valid[row, :length] = columns.first, True
            rewarded = rewarded and columns.reward is not None
            rewards[row, :length] = 0 if columns.reward is None else columns.reward
            ids.append(f"{self.reader.name(item.episode)}:{item.start}")
        batch = Batch(
            frames=torch.from_numpy(frames),
            controls={name: torch.from_numpy(column) for name, column in controls.items()},
            first=torch.from_numpy(first),
            valid=torch.from_numpy(valid),
            weight=torch.from_numpy(weight),
            rewards=torch.from_numpy(rewards) if rewarded else None,
            ids=ids,
            codes=None if codes is None else torch.from_numpy(codes),
            times=torch.from_numpy(times),
        )
        if self.encoded and codes is None:
            return EncodedBatch(**vars(batch), encoded=clips, mirrored=[item.mirror for item in items])
        return batch

    def _read(self, item: ClipIndex, first: np.ndarray, to: np.ndarray) -> None:
        """Read the frames of a clip that the model looks at into uint8 [T, H, W, 3]."""
        if self.seen is None or first.any():
            _copy(self.reader.frames(item.episode, item.start, item.start + len(first)), to[: len(first)], item.mirror)
            return
        seen = self.seen[self.seen < len(first)]
        for number, frame in zip(seen, self.reader.frames_at(item.episode, item.start + seen), strict=True):
            _copy(frame, to[number], item.mirror)

    def _control_names(self, items: list[ClipIndex]) -> list[str]:
        known = [self.reader.columns(item.episode, 0, 1).controls for item in items[:1] if item.episode >= 0]
        known = known or [self.reader.columns(0, 0, 1).controls]
        return list(known[0])

    def _encoded(self, item: ClipIndex, stop: int) -> list[tuple[bytes, list[int]]]:
        store = self.reader.store(item.episode)
        parts = self.reader.parts(item.episode, item.start, stop)
        return [(store.encoded(part.clip), part.rows[low:high].tolist()) for part, low, high in parts]


def _copy(frames: np.ndarray, to: np.ndarray, mirror: bool) -> None:
    """Copy frames uint8 [..., H, W, 3], mirrored if asked for; pixel by pixel takes half the time of byte by byte."""
    if mirror:
        to.view("V3")[...] = frames.view("V3")[..., ::-1, :]
    else:
        to[...] = frames
