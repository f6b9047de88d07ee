"""Accuracy of a world model's imagination, compared with true frames and with other controls.

From the middle of each clip the model imagines with the true controls, at temperature 0, and with those of another
clip. The first 50 frames of an episode do not count (CarRacing zooms in there), nor do parts of the picture that the
frame specification cuts off or hides (CarRacing's instruments).
"""

from __future__ import annotations

from itertools import chain
from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor

from racing_vpt.frames import film_strip
from racing_vpt.nn.imagination import World, led_here
from racing_vpt.nn.picture_losses import psnr
from racing_vpt.nn.tokenizer_net import frames_of
from racing_vpt.statistics import normal_interval
from racing_vpt.types import Batch, Frame

HORIZONS = (1, 5, 7, 10, 20)  # steps ahead; with three frames per step the third is about 20 frames
ZOOMED = 50  # frames of an episode at CarRacing's 50 a second during which it zooms in
ROWS = 16  # clips used per batch
SHOWN = 6  # frames in a picture
MOST_DB = 50.0  # upper limit of a PSNR


class LookAhead:
    """Collects PSNRs [clips, horizons] in dB over validation batches."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget all clips."""
        self.imagined: list[Tensor] = []
        self.still: list[Tensor] = []
        self.other: list[Tensor] = []

    @torch.no_grad()
    def add(self, world: World[Any], observations: Tensor, actions: Tensor, truth: Tensor) -> None:
        """Imagine the last frames of clips from those before, and add the PSNRs.

        Args:
            world: the world model.
            observations: [R, T, ...], as the world model codes the frames.
            actions: float32 [R, T, A]; action t answers frame t.
            truth: true pictures float [R, T or less, 3, H, W] in [0, 1] of the last frames, `steps_ahead(T) + 1` at
                least.
        """
        rows, T = observations.shape[:2]
        ahead = steps_ahead(T)
        middle = T - 1 - ahead
        horizons = [horizon for horizon in HORIZONS if horizon <= ahead]
        if not rows or not horizons:
            return
        wrong = actions.roll(1, 0) if rows > 1 else actions.flip(1)
        truth = truth[:, -1 - ahead :]
        seen = world.observe(observations[:, : middle + 1], led_here(actions)[:, : middle + 1], world.initial(rows))
        for answers, found in ((actions, self.imagined), (wrong, self.other)):
            dreamt = dream_on(world, seen.copy(), answers[:, middle:-1], 0.0)  # (R, ahead, ...)
            errors = [psnr(world.show(dreamt[:, at - 1]), truth[:, at], MOST_DB) for at in horizons]
            found.append(torch.stack(errors, 1).cpu())
        still = [psnr(truth[:, 0], truth[:, at], MOST_DB) for at in horizons]
        self.still.append(torch.stack(still, 1).cpu())

    @property
    def all(self) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """PSNRs of imagined frames, of the last seen frame, and of frames imagined with other controls."""
        return self.imagined, self.still, self.other

    def gather(self, trainer: Trainer | None) -> None:
        """Gather the values of all ranks of a trainer; a collective call."""
        if trainer is None or trainer.world_size == 1:
            return
        found: list[tuple[list[Tensor], ...]] = [()] * trainer.world_size
        torch.distributed.all_gather_object(found, self.all)
        self.imagined, self.still, self.other = ([*chain.from_iterable(lists)] for lists in zip(*found, strict=True))

    def figures(self, trainer: Trainer | None = None) -> dict[str, float]:
        """Metrics by name, over all processes of a trainer.

        `psnr_K` after K imagined frames; `psnr_still_K` of the last seen frame, repeated; `psnr_gain_K`, the paired
        difference of the two; `action_sensitivity`, dB lost with other controls at the farthest horizon. A name ending
        in `_low` is the lower end of the 95% interval of a mean over clips.
        """
        self.gather(trainer)
        if not self.imagined:
            return {}
        imagined, still, other = (torch.cat(x) for x in (self.imagined, self.still, self.other))
        found = {"look_ahead_clips": float(len(imagined))}
        for column, horizon in zip(range(imagined.shape[1]), HORIZONS, strict=False):
            found[f"psnr_{horizon}"] = float(imagined[:, column].mean())
            found[f"psnr_still_{horizon}"] = float(still[:, column].mean())
            found |= paired(f"psnr_gain_{horizon}", imagined[:, column] - still[:, column])
        return found | paired("action_sensitivity", imagined[:, -1] - other[:, -1])


def paired(name: str, differences: Tensor) -> dict[str, float]:
    """Mean of differences [N] and the lower end of its 95% interval."""
    mean = float(differences.mean())
    if len(differences) < 2:
        return {name: mean}
    return {name: mean, f"{name}_low": normal_interval(mean, float(differences.std()), len(differences))[0]}


def steps_ahead(frames: int) -> int:
    """Steps that are imagined at the end of a clip of so many frames."""
    return min(max(HORIZONS), frames - 2)


def long_enough(batch: Batch, stride: int) -> list[int]:
    """Rows of a batch whose clips can be looked at: without padding, of one episode, imagined after its first frames.

    Args:
        batch: the clips.
        stride: frames of the game between two frames of a clip.
    """
    T = batch.valid.shape[1]
    middle = T - 1 - steps_ahead(T)
    return [
        row for row in range(len(batch.valid))
        if bool(batch.valid[row].all()) and not bool(batch.first[row, 1:].any())
        and (starts(batch, row) + middle) * stride >= ZOOMED
    ]  # fmt: skip


def starts(batch: Batch, row: int) -> int:
    """Number in its episode of a clip's first frame; a clip without an id counts as far from the episode's start."""
    _, _, start = batch.ids[row].rpartition(":") if row < len(batch.ids) else ("", "", "")
    return int(start) if start else ZOOMED


def dream_on(world: World[Any], state: Any, actions: Tensor, tau: float) -> Tensor:
    """Observations [B, T, ...] imagined from a state with actions [B, T, A] at temperature tau."""
    observations = []
    for answer in actions.unbind(1):
        step = world.imagine(answer, state, tau)
        observations.append(step.observation)
        state = step.state
    return torch.stack(observations, 1)


@torch.no_grad()
def next_frames(world: World[Any], observations: Tensor, actions: Tensor, truth: Tensor) -> Frame:
    """A picture uint8 [H, W, 3]: true frames, their reconstructions, and imagined ones at tau 0 and 1, row by row.

    Args:
        world: the world model.
        observations: [T, ...] of one clip.
        actions: float32 [T, A].
        truth: true pictures float [T or more, 3, H, W] in [0, 1].
    """
    T = len(observations)
    middle = max(0, T - 1 - max(HORIZONS))
    places = torch.linspace(min(middle + 1, T - 1), T - 1, SHOWN).round().long()
    shown = [truth[places], world.show(observations[places])]
    if T > 1:
        leading = led_here(actions.unsqueeze(0))[:, : middle + 1]
        seen = world.observe(observations[None, : middle + 1], leading, world.initial(1))
        for tau in (0.0, 1.0):
            dreamt = dream_on(world, seen.copy(), actions[None, middle:-1], tau)[0]
            shown.append(world.show(dreamt[places - middle - 1]))
    return film_strip(frames_of(torch.cat(shown)).cpu().numpy(), columns=SHOWN, scale=2)
