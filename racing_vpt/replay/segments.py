"""Clips of recordings as segments of experience (`types.Segments`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from racing_vpt.data.reader import EpisodeReader
from racing_vpt.data.sampler import ClipIndex
from racing_vpt.types import Batch, Segments

PADDING = -(1 << 62)  # index of padding frames


def segments_of(
    batch: Batch, items: Sequence[ClipIndex], reader: EpisodeReader, names: Sequence[str], begins: np.ndarray
) -> Segments:
    """Clips of recordings as segments.

    Args:
        batch: the clips.
        items: indices of the clips.
        reader: reader of their episodes.
        names: names of the components of an action.
        begins: index of each episode's first frame, int64.

    Raises:
        ValueError: rewards or a control are missing.
    """
    missing = [name for name in names if name not in batch.controls]
    if missing or batch.rewards is None:
        raise ValueError(
            f"clips {batch.ids[:2]} have {'no rewards' if batch.rewards is None else f'no {missing}'}, which a world "
            "model learns from; record with: racing-vpt collect"
        )
    B, T = batch.valid.shape
    terminated = torch.zeros(B, T, dtype=torch.bool)
    index = torch.arange(T).repeat(B, 1)
    for row, item in enumerate(items):
        last = reader.lengths[item.episode] - 1 - item.start
        if last < T:
            terminated[row, last] = reader.finished(item.episode)
        index[row] += int(begins[item.episode]) + item.start
    mirrored = torch.tensor([item.mirror for item in items], dtype=torch.int64)
    index = torch.where(batch.valid, 2 * index + mirrored[:, None], PADDING)
    actions = torch.stack([batch.controls[name] for name in names], -1)
    return Segments(
        batch.frames, actions, batch.rewards, batch.first, terminated, torch.zeros_like(terminated), batch.valid,
        index, batch.codes,
    )  # fmt: skip
