"""Pictures of an IDM's mistakes in tensorboard: a confusion matrix per head, and clips with their controls."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib
import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from racing_vpt.frames import film_strip
from racing_vpt.games.controls import Axis, Head
from racing_vpt.models.idm import IDM
from racing_vpt.models.idm_metrics import confidence, confusion
from racing_vpt.types import Batch


class IdmPictures(Callback):
    """Draws the pictures after each validation.

    Args:
        strips: number of clips of the first batch to show.
        columns: frames of a clip to show.
    """

    def __init__(self, strips: int = 4, columns: int = 12) -> None:
        if strips < 0 or columns < 1:
            raise ValueError(f"strips from 0 and columns from 1 were expected, but {strips} and {columns} were given")
        self.strips, self.columns = strips, columns
        self.first: Batch | None = None

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if batch_idx == 0 and dataloader_idx == 0:
            assert isinstance(pl_module, IDM)
            self.first = batch
            self.said = pl_module.label_frames(batch.frames[: self.strips], batch.valid[: self.strips])

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        experiments = [getattr(logger, "experiment", None) for logger in trainer.loggers]
        writers = [each for each in experiments if each is not None and hasattr(each, "add_image")]
        if trainer.sanity_checking or not writers or self.first is None or not trainer.is_global_zero:
            return
        assert isinstance(pl_module, IDM)
        pictures = {}
        probabilities, truth = pl_module.judged_last
        classes = pl_module.scheme.encode(truth)
        for name, head in pl_module.scheme.heads.items():
            if is_unused(head, truth):
                continue
            counts = confusion(head, probabilities[name], classes[name])
            pictures[f"val/confusion_{name}"] = draw_confusion(head, counts)
        labels = pl_module.labels(self.said)
        for row in range(min(self.strips, len(self.first.frames))):
            pictures[f"val/strip_{row}"] = draw_strip(
                self.first.frames[row],
                {name: self.first.controls[name][row] for name in pl_module.scheme.controls},
                {name: labels[name][row] for name in pl_module.scheme.controls},
                confidence(self.said)[row],
                self.columns,
            )
        for writer in writers:
            for tag, picture in pictures.items():
                writer.add_image(tag, picture, trainer.global_step, dataformats="HWC")
        self.first = None


def is_unused(head: Head, truth: Mapping[str, Tensor]) -> bool:
    """Whether the head is `gear_change` and the gear never changes, as in CarRacing."""
    return head.controls == ("gear_change",) and not bool(truth["gear_change"].any())


def draw_confusion(head: Head, counts: Tensor) -> np.ndarray:
    """Picture uint8 [H, W, 3] of counts [true class, predicted class], each row normalised."""
    shares = (counts / counts.sum(1, keepdim=True).clamp(min=1)).cpu().numpy()
    figure = Figure(figsize=(5, 4.5), dpi=80, layout="constrained")
    axes = figure.add_subplot()
    shown = axes.imshow(shares, vmin=0, vmax=1, cmap=matplotlib.colormaps["viridis"])
    if isinstance(head, Axis):
        places = range(0, head.bins, max(1, head.bins // 6))
        values = [f"{head.table[place, 0].item():.2f}" for place in places]
        axes.set_xticks(places, values, fontsize=8)
        axes.set_yticks(places, values, fontsize=8)
    axes.set(xlabel="likeliest", ylabel="true", title=f"{head.name}: share of each true class")
    figure.colorbar(shown)
    return pixels(figure)


def draw_strip(
    frames: Tensor, truth: Mapping[str, Tensor], labels: Mapping[str, Tensor], trust: Tensor, columns: int
) -> np.ndarray:
    """Picture uint8 [H, W, 3] of a clip: frames uint8 [T, H, W, 3], true and predicted controls [T], confidence [T]."""
    moving = [name for name in truth if name != "gear_change" or bool(truth[name].any())]
    figure = Figure(figsize=(11, 1.6 + 1.2 * len(moving)), dpi=80, layout="constrained")
    grid = figure.add_gridspec(len(moving) + 1, 1, height_ratios=[1.4] + [1.0] * len(moving))
    film = figure.add_subplot(grid[0])
    places = torch.linspace(0, len(frames) - 1, min(columns, len(frames))).long().cpu()
    film.imshow(film_strip(frames.cpu()[places].numpy(), columns=len(places)), aspect="auto")
    film.set_axis_off()
    for row, name in enumerate(moving, 1):
        axes = figure.add_subplot(grid[row])
        axes.plot(truth[name].float().cpu(), color="black", label="true")
        axes.plot(labels[name].float().cpu(), color="tab:red", label="labelled")
        axes.fill_between(range(len(trust)), 0, trust.float().cpu(), color="tab:blue", alpha=0.15, label="confidence")
        axes.set_ylabel(name)
        axes.set_xlim(0, len(frames) - 1)
        if row == 1:
            axes.legend(loc="upper right", fontsize=7, ncols=3)
    return pixels(figure)


def pixels(figure: Figure) -> np.ndarray:
    """The figure as uint8 [H, W, 3]."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
