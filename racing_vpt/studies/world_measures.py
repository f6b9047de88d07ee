"""Measurements of tokenizers and world models on held-out episodes, with 95% intervals."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from racing_vpt.checkpoints.load import load_module
from racing_vpt.data.clip_controls import ClipControls
from racing_vpt.data.clip_datamodule import ClipDataModule
from racing_vpt.data.clip_source import Reading
from racing_vpt.models.look_ahead import HORIZONS, ROWS
from racing_vpt.models.token_world import TokenWorld
from racing_vpt.models.tokenizer import Tokenizer
from racing_vpt.models.worlds import token_world_of
from racing_vpt.nn.outcomes import numbers_of
from racing_vpt.nn.picture_losses import psnr
from racing_vpt.nn.quantizer import perplexity, usage
from racing_vpt.nn.tokenizer_net import pictures_of
from racing_vpt.statistics import bootstrap_interval
from racing_vpt.types import Batch, FrameSpec

SPEED_ROWS, SPEED_FRAMES = 16, 20  # number and length of dreams
MEASURED = (7, 20)  # of `HORIZONS`: about 20 frames of the environment at three a step, and 20 steps


def held_out(recordings: str, frames: FrameSpec, clip_frames: int, rows: int) -> ClipDataModule:
    """Clips of the split `val`, with frames prepared for a model."""
    data = ClipDataModule(
        val=recordings,
        clip_frames=clip_frames,
        batch_size=rows,
        controls=ClipControls(mean=True),
        reading=Reading(frames),
    )
    data.setup("validate")
    return data


def measure_eye(run: Path, recordings: str, clips: int) -> dict[str, object]:
    """PSNR (dB) of a tokenizer's reconstructions of `clips` frames, codebook use, and encoding speed (frames/s)."""
    module = load_module(run)
    assert isinstance(module, Tokenizer), f"{run} is a run of the tokenizer stage"
    columns = module.net.grid(module.frames.height, module.frames.width)[1]
    counts, found, seconds = torch.zeros(module.net.vocabulary), [], 0.0
    for batch in spread(held_out(recordings, module.frames, 1, 32), clips // 32):
        frames = batch.frames[batch.valid]
        with torch.inference_mode():
            begun = time.perf_counter()
            tokens = module.net.tokens(frames)
            seconds += time.perf_counter() - begun
            found.append(psnr(module.net.pictures(tokens, columns), pictures_of(frames)))
        counts += usage(tokens, module.net.vocabulary)
    values = torch.cat(found)
    use = {"codebook_use": float((counts > 0).float().mean()), "codebook_perplexity": float(perplexity(counts))}
    return {"psnr": with_interval(values.numpy()), **use, "frames_per_second": len(values) / seconds}


def measure_world(run: Path, recordings: str, clips: int) -> dict[str, object]:
    """Cross entropy of the true next tokens (nats), look-ahead (`models/look_ahead.py`), imagination speed (frames/s).

    For an IRIS, its world model is measured.
    """
    module = token_world_of(load_module(run))
    assert module is not None, f"{run} is a run of a stage with a world model"
    data = held_out(recordings, module.frames, max(HORIZONS) + module.size.window + 1, ROWS)
    costs = []
    for batch in spread(data, clips // ROWS):
        with torch.inference_mode():
            coded = module.code(batch.frames.flatten(0, 1))
            batch.codes = coded.view(*batch.valid.shape, -1).float()
            module.look(batch)
            costs.append(nats(module, batch))
    if not module.ahead.imagined:
        raise ValueError(f"{recordings} holds no held-out clip of {data.clip_frames} frames after an episode's 50th")
    imagined, still, other = (torch.cat(x).numpy() for x in module.ahead.all)  # [clips, horizons]
    actions, rows = torch.rand(SPEED_ROWS, len(module.controls)), torch.arange(SPEED_ROWS)
    with torch.inference_mode():
        state = module.begin(rows)
        begun = time.perf_counter()
        for _ in range(SPEED_FRAMES):
            state = module.imagine(actions, state).state  # type: ignore[assignment]
    speed = SPEED_ROWS * SPEED_FRAMES / (time.perf_counter() - begun)
    found: dict[str, object] = {"clips": len(imagined), "frames_per_second": speed}
    found["token_ce"] = with_interval(torch.cat(costs).numpy())
    for ahead in MEASURED:
        column = HORIZONS.index(ahead)
        found[f"psnr_{ahead}"] = with_interval(imagined[:, column])
        found[f"psnr_gain_{ahead}"] = with_interval(imagined[:, column] - still[:, column])
    return found | {"action_sensitivity": with_interval(imagined[:, -1] - other[:, -1])}


def nats(world: TokenWorld, batch: Batch) -> Tensor:
    """Mean cross entropy of the true next tokens of each clip without padding, nats per token, float32 [clips]."""
    whole = batch.valid.all(1)
    actions = numbers_of(batch.controls, world.scheme)[whole]
    tokens = world.tokens_in(batch)[whole]
    return world.net.judge(tokens, actions, batch.first[whole], tokens).nats.mean(1)


def spread(data: ClipDataModule, count: int) -> list:
    """`count` evenly spaced held-out batches; all if there are fewer."""
    loader = data.val_dataloader()
    assert not isinstance(loader, list)
    steps = list(loader.sampler)
    chosen = np.linspace(0, len(steps) - 1, max(1, min(count, len(steps)))).round().astype(int)
    dataset: Callable = loader.dataset.__getitem__
    return [dataset(steps[number]) for number in chosen]


def with_interval(values: np.ndarray) -> list[float]:
    """Mean and the limits of its 95% interval."""
    return [float(values.mean()), *bootstrap_interval(values)]
