"""How far a world model's imagination can be believed: against true frames, and against other controls.

From the middle of each clip it imagines with the true controls, without draws, and with those of another clip. Frames
before the 50th of an episode do not count (CarRacing zooms in there), and none that the frames' specification cuts off
or masks (CarRacing's instruments).
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from racing_vpt.frames import film_strip
from racing_vpt.nn.imagination import led_here
from racing_vpt.nn.outcomes import numbers_of
from racing_vpt.nn.tokenizer_net import frames_of, pictures_of
from racing_vpt.types import Batch, Frame

if TYPE_CHECKING:
    from racing_vpt.models.token_world import TokenWorld

HORIZONS = (1, 5, 7, 10, 20)  # steps ahead; at three frames a step the third is 20 frames
ZOOMED = 50  # frames at CarRacing's 50 a second, until when it zooms in
ROWS = 16  # clips of a batch that are looked at
SHOWN = 6  # frames in a picture
INTERVAL = 1.96  # deviations of a mean to either side of it: 95%


class LookAhead:
    """Gathers, over validation batches, PSNRs [clips, horizons] in dB."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget all clips."""
        self.imagined: list[Tensor] = []
        self.still: list[Tensor] = []
        self.other: list[Tensor] = []

    @torch.no_grad()
    def add(self, world: TokenWorld, batch: Batch) -> None:
        """Look ahead on the clips of a batch that are long enough."""
        T = batch.valid.shape[1]
        ahead = min(max(HORIZONS), T - 2)
        middle = T - 1 - ahead
        rows = [
            row for row in range(len(batch.valid))
            if bool(batch.valid[row].all()) and not bool(batch.first[row, 1:].any())
            and (starts(batch, row) + middle) * world.frames.stride >= ZOOMED
        ][:ROWS]  # fmt: skip
        horizons = [horizon for horizon in HORIZONS if horizon <= ahead]
        if not rows or not horizons:
            return
        tokens, actions = world.tokens_in(batch)[rows], numbers_of(batch.controls, world.scheme)[rows]
        wrong = actions.roll(1, 0)
        if len(rows) == 1:
            wrong = actions.flip(1)
        truth = torch.stack([true_pictures(world, batch, row)[middle:] for row in rows])  # (R, 1 + ahead, 3, H, W)
        seen = world.observe(tokens[:, : middle + 1], led_here(actions)[:, : middle + 1], world.initial(len(rows)))
        for answers, found in ((actions, self.imagined), (wrong, self.other)):
            dreamt = dream_on(world, seen.copy(), answers[:, middle:-1], 0.0)  # (R, ahead, K)
            errors = [psnr(world.show(dreamt[:, at - 1]), truth[:, at]) for at in horizons]
            found.append(torch.stack(errors, 1).cpu())
        self.still.append(torch.stack([psnr(truth[:, 0], truth[:, at]) for at in horizons], 1).cpu())

    @property
    def all(self) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """PSNRs of what was imagined, of the last seen frame, and with other controls."""
        return self.imagined, self.still, self.other

    def gather(self, processes: int) -> None:
        """Take over what so many processes gathered; all of them must ask."""
        found: list[tuple[list[Tensor], ...]] = [()] * processes
        torch.distributed.all_gather_object(found, self.all)
        self.imagined, self.still, self.other = ([*chain.from_iterable(lists)] for lists in zip(*found, strict=True))

    def figures(self) -> dict[str, float]:
        """What was found, by name.

        `psnr_K` after K imagined frames; `psnr_still_K` of the last seen frame, repeated; `psnr_gain_K`, by how much
        the first is better, paired; `action_sensitivity`, how many dB other controls cost at the farthest horizon.
        Where a name has `_low` behind it, it is the lower end of the 95% interval of a mean over clips.
        """
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
    return {name: mean, f"{name}_low": mean - INTERVAL * float(differences.std()) / len(differences) ** 0.5}


def psnr(pictures: Tensor, truth: Tensor) -> Tensor:
    """Peak signal to noise ratio [N], dB, of pictures float [N, 3, H, W] in [0, 1]; at most 50."""
    return -10 * (pictures - truth).square().flatten(1).mean(1).clamp(min=1e-5).log10()


def starts(batch: Batch, row: int) -> int:
    """Number in its episode of a clip's first frame; a clip without a name is far from its episode's start."""
    _, _, start = batch.ids[row].rpartition(":") if row < len(batch.ids) else ("", "", "")
    return int(start) if start else ZOOMED


def dream_on(world: TokenWorld, state: object, actions: Tensor, tau: float) -> Tensor:
    """Tokens int64 [B, T, K] that follow a state with actions [B, T, A]."""
    dreamt = []
    for answer in actions.unbind(1):
        dreamt.append(step := world.imagine(answer, state, tau))  # type: ignore[arg-type]
        state = step.state
    return torch.stack([step.observation for step in dreamt], 1)


def true_pictures(world: TokenWorld, batch: Batch, row: int) -> Tensor:
    """The frames float [T, 3, H, W] in [0, 1] of a clip; where there are none, what its tokens stand for."""
    if batch.frames.shape[1]:
        return pictures_of(batch.frames[row])
    frames_behind = getattr(getattr(world._trainer, "datamodule", None), "frames_of", None)
    if frames_behind is None:
        return world.show(world.tokens_in(batch)[row])
    return pictures_of(torch.from_numpy(np.ascontiguousarray(frames_behind(batch, row)))).to(batch.valid.device)


@torch.no_grad()
def next_frames(world: TokenWorld, batch: Batch) -> Frame:
    """True frames, what the tokenizer makes of them, and what was imagined from the middle on at tau 0 and 1; uint8."""
    row = int(batch.valid.sum(1).argmax())
    T = int(batch.valid[row].sum())
    tokens, actions = world.tokens_in(batch)[row : row + 1, :T], numbers_of(batch.controls, world.scheme)[[row], :T]
    middle = max(0, T - 1 - max(HORIZONS))
    places = torch.linspace(min(middle + 1, T - 1), T - 1, SHOWN).round().long()
    shown = [true_pictures(world, batch, row)[places], world.show(tokens[0, places])]
    if T > 1:
        seen = world.observe(tokens[:, : middle + 1], led_here(actions)[:, : middle + 1], world.initial(1))
        for tau in (0.0, 1.0):
            dreamt = dream_on(world, seen.copy(), actions[:, middle:-1], tau)[0]
            shown.append(world.show(dreamt[places - middle - 1]))
    pictures = frames_of(torch.cat(shown)).cpu().numpy()
    return film_strip(pictures, columns=SHOWN, scale=2)
