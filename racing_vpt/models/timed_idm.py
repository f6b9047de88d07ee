"""An inverse dynamics model for ordinary video: any codec, size and frame rate, without a given view rectangle.

As `IDM` (VPT, arXiv:2206.11795, section 3), but

- frames are read with their own times; features are interpolated to a clock of 50 ticks per second, and the results
  back to the frames (`nn/timed.py`);
- three readers, of a view, of the whole picture's motion and of both, are pooled according to their uncertainty; the
  pool is fitted on the validation split, whose drivers the readers were not trained on (`idm_experts.py`,
  `idm_pool.py`);
- the view is found in the training recordings (`view_finder.py`).
"""

from __future__ import annotations

import logging

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor

from racing_vpt.games.controls import Axis
from racing_vpt.models.idm import IDM, Stage, calibrated, checked_stops, ignored_pixels
from racing_vpt.models.idm_config import View
from racing_vpt.models.idm_experts import READERS, Experts, Read, TimedIDMConfig, held_after
from racing_vpt.models.idm_labels import LabelKind, mean_losses
from racing_vpt.models.idm_metrics import PRESSED, HeldOut, places_of
from racing_vpt.models.idm_motion import NUM_MOTION, GlobalMotion
from racing_vpt.models.idm_pool import Held, Pool, evidence
from racing_vpt.models.idm_trust import trust_figures
from racing_vpt.models.likeness import Likeness, Prediction, vector_width
from racing_vpt.models.module import ControlModule, Schedule
from racing_vpt.models.processes import shares
from racing_vpt.models.view_finder import control_scores, find_view
from racing_vpt.types import Batch, FrameChanges

log = logging.getLogger(__name__)


class TimedIDM(IDM):
    """An inverse dynamics model that reads video at any rate.

    Args:
        game: name or file of the game, or all that its file says; its controls determine the heads.
        frames: how the frames that the model sees differ from the game's; every frame with its time by default.
        network: sizes of the view and of the three readers.
        label: label of an axis: the `mean` of its distribution, or its `mode`.
        stops: value of an axis beyond which commands look alike; None: those of the game.
        mean_weight: weight of the error of the axes' means, beside the cross entropy of their distributions.
        margin: frames at the ends of a held-out clip that are not measured, because they lack context.
        optimizer: built from the trainable parameters; weight decay applies to matrices and kernels only.
        schedule: shape of the learning rate after the warm-up, over the steps of the run.
        warmup_steps: steps over which the learning rate rises from 0.
        init_from: checkpoint to take initial weights from (path, run folder or zoo:NAME).
    """

    ADDED = (*IDM.ADDED, "likeness.")
    net: Experts  # type: ignore[assignment]
    place: Tensor

    def __init__(
        self,
        game: str | dict = "carracing",
        frames: FrameChanges = FrameChanges(every_frame=True),  # noqa: B008 - frozen
        network: TimedIDMConfig = TimedIDMConfig(),  # noqa: B008 - frozen
        label: LabelKind = "mean",
        stops: dict[str, float] | None = None,
        mean_weight: float = 20.0,
        margin: int = 18,
        optimizer: OptimizerCallable = lambda weights: torch.optim.AdamW(weights, lr=1.5e-3, weight_decay=0.1),
        schedule: Schedule = "cosine",
        warmup_steps: int = 100,
        init_from: str | None = None,
    ) -> None:
        ControlModule.__init__(  # skips IDM's constructor, which would build its network
            self, game=game, frames=frames, optimizer=optimizer, schedule=schedule, warmup_steps=warmup_steps,
            class_weighting=0.0, init_from=init_from,
        )  # fmt: skip
        if margin < 0:
            raise ValueError(f"margin must be at least 0, but {margin} was given")
        classes = self.scheme.num_classes
        self.view = network.view()
        if self.view.height > self.frames.height or self.view.width > self.frames.width:
            raise ValueError(f"{self.view} is larger than a frame of {self.frames.height}x{self.frames.width} pixels")
        self.net = Experts(network, classes)
        self.pool = Pool(classes).requires_grad_(False)
        self.likeness = Likeness(
            vector_width(self.view.height, self.view.width, NUM_MOTION, len(classes), len(READERS))
        )
        self.register_buffer("place", torch.full((2,), -1))  # top and left of the view; -1 until it is found
        self.motion: GlobalMotion | None = None
        self.label, self.mean_weight, self.margin = label, mean_weight, margin
        self.stops = checked_stops(self.game.stops if stops is None else stops, self.scheme)
        for name in classes:
            self.register_buffer(f"temperature_{name}", torch.ones(()))
        self.add_training_mean()
        self.held_out = HeldOut(self.scheme)
        self.held: list[Held] = []

    @property
    def context(self) -> int | None:
        """Frames to either side that a label depends on, at 50 frames/s."""
        return self.net.context + self.pool.around // 2

    def on_fit_start(self) -> None:
        """Find the view, unless it is known already."""
        if int(self.place[0]) >= 0:
            return
        source = self.trainer.datamodule.source  # type: ignore[attr-defined]
        videos, controls = source.examples("train", list(self.scheme.controls))
        found = find_view(control_scores(videos, controls), self.view.height, self.view.width)
        if found is None:
            log.warning("no part of the picture shows the controls; using the bottom centre as view")
            rows = int((~ignored_pixels(self.frames, None)).any(1).nonzero().max()) + 1
            found = max(0, rows - self.view.height), (self.frames.width - self.view.width) // 2
        top, left = found
        bottom, right = top + self.view.height, left + self.view.width
        log.info("the view is rows %d to %d, columns %d to %d", top, bottom, left, right)
        self.place.copy_(torch.tensor(found))

    def sense(self, frames: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """The view's pixels float32 [B, T, h, w, 3] and the motion float32 [B, T, 7] of frames uint8."""
        top, left = self.place.tolist()
        if top < 0:
            raise ValueError("this model was not trained: the place of its view is not known; run racing-vpt fit first")
        if self.motion is None:
            view = View(top, left, self.view.height, self.view.width)
            self.motion = GlobalMotion(ignored_pixels(self.frames, view)).to(frames.device)
        crop = frames[:, :, top : top + self.view.height, left : left + self.view.width].float()
        num_frames = valid.sum(1, keepdim=True)
        return held_after(crop, num_frames - 1), held_after(self.motion(frames, valid), num_frames - 2)

    def read(self, frames: Tensor, valid: Tensor, times: Tensor | None) -> Read:
        """Logits by reader and head; arguments as `forward`."""
        times = self.times_of(frames, times)
        with torch.autocast(frames.device.type, enabled=False):  # bf16 would lose changes of speed
            return self.net(*self.sense(frames, valid), times, valid)

    def read_videos(self, frames: Tensor, valid: Tensor, times: Tensor | None) -> tuple[Read, Tensor]:
        """As `read`, and what each video is like, float32 [B, D]."""
        times = self.times_of(frames, times)
        with torch.autocast(frames.device.type, enabled=False):
            senses = self.sense(frames, valid)
            read = self.net(*senses, times, valid)
            return read, self.net.vectors(*senses, times, valid, read)

    def times_of(self, frames: Tensor, times: Tensor | None) -> Tensor:
        """The times [B, T], or those at the rate of `self.frames`."""
        if times is not None:
            return times
        step = self.frames.stride / self.frames.frames_per_second
        return (step * torch.arange(frames.shape[1], device=frames.device)).expand(len(frames), -1)

    def forward(self, frames: Tensor, valid: Tensor | None = None, times: Tensor | None = None) -> dict[str, Tensor]:
        """Pooled logits by head, float32 [B, T, classes], not yet calibrated.

        Args:
            frames: uint8 [B, T, H, W, 3], windows of consecutive frames.
            valid: bool [B, T], false for padding at the end; None where there is none.
            times: float32 [B, T], seconds, rising; None: at the rate of `self.frames`.
        """
        if valid is None:
            valid = torch.ones(frames.shape[:2], dtype=torch.bool, device=frames.device)
        return self.pool(self.read(frames, valid, times), valid)

    def labels(self, probabilities: dict[str, Tensor]) -> dict[str, Tensor]:
        """Controls float32 [B, T] by name; a pedal is labelled as pressed only if it is probably pressed."""
        labels = super().labels(probabilities)
        for name, head in self.scheme.heads.items():
            if isinstance(head, Axis) and head.low == 0 and self.label == "mean":
                centres = head.table[:, 0].to(labels[name].device)
                off = (probabilities[name].float() * (centres <= PRESSED)).sum(-1) > 0.5
                labels[name] = torch.where(off, labels[name].clamp(max=PRESSED), labels[name].clamp(min=PRESSED + 1e-3))
        return labels

    def predict_step(self, batch: Batch, batch_idx: int) -> Prediction:
        read, vectors = self.read_videos(batch.frames, batch.valid, batch.times)
        likeness = self.likeness(vectors) if self.likeness.fitted else None
        return Prediction(calibrated(self.pool(read, batch.valid), self.temperatures), likeness)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        targets, weight = self.targets(batch), batch.weight * batch.valid
        self.add_to_training_mean(batch.controls, weight)
        losses = []
        for reader, logits in self.read(batch.frames, batch.valid, batch.times).items():
            entropies = torch.stack([*self.cross_entropy(logits, targets, weight).values()]).sum()
            means = mean_losses(self.scheme, logits, batch.controls, weight, self.stops)
            losses.append(entropies + self.mean_weight * sum(means.values()))
            self.log(f"train/loss_{reader}", losses[-1])
        loss = torch.stack(losses).sum()
        self.log("train/loss", loss, prog_bar=True)
        return loss * shares(self, weight.sum())

    def hold_out(self, batch: Batch, stage: Stage) -> None:
        """Store the readers' predictions for a held-out batch."""
        counts, targets = self.measured(batch), self.targets(batch)
        read, vectors = self.read_videos(batch.frames, batch.valid, batch.times)
        found = {head: evidence(read, head, self.pool.around, batch.valid) for head in self.scheme.heads}
        self.held.append(
            Held(
                {head: logs[counts] for head, (logs, _) in found.items()},
                {head: entropy[counts] for head, (_, entropy) in found.items()},
                {head: target[counts] for head, target in targets.items()},
                {name: batch.controls[name][counts] for name in self.scheme.controls},
                places_of(batch)[counts],
                vectors[batch.valid.all(1)],
            )
        )

    def conclude(self, stage: Stage, fits: bool) -> None:
        """Log the metrics of an epoch; if `fits`, after fitting pool and temperatures, which the checkpoint keeps."""
        held, self.held = self.held, []
        if fits and any(len(next(iter(each.targets.values()))) for each in held):
            self.fit_pool(held)
        losses, num_frames = [], 0
        for each in held:
            logits = {head: self.pool.weigh(head, each.logs[head], each.entropy[head]) for head in self.scheme.heads}
            counts = torch.ones_like(next(iter(each.controls.values())))
            self.held_out.update(logits, each.controls, counts.bool(), each.places)
            losses.append(torch.stack([*self.cross_entropy(logits, each.targets, counts).values()]).sum() * len(counts))
            num_frames += len(counts)
        super().conclude(stage, fits)
        loss = torch.stack(losses).sum() / max(1, num_frames)
        self.log(f"{stage}/loss", loss, prog_bar=True, sync_dist=True)
        probabilities, truth = self.judged_last
        figures = trust_figures(self.scheme, probabilities, self.labels(probabilities), truth, self.stops)
        self.log_dict({f"{stage}/{name}": value for name, value in figures.items()})

    def fit_pool(self, held: list[Held]) -> None:
        """Fit the pool's weights, and what is usual for a video, on the held-out clips of the first rank."""
        self.likeness.fit(torch.cat([each.vectors for each in held]))
        with torch.inference_mode(False), torch.enable_grad():
            for head in self.scheme.heads:
                parts = [(each.logs[head], each.entropy[head], each.targets[head]) for each in held]
                logs, entropy, targets = (torch.cat(part).clone() for part in zip(*parts, strict=True))
                self.pool.fit(head, logs, entropy, targets)
        for part in (self.pool, self.likeness):
            part.load_state_dict(self.trainer.strategy.broadcast(part.state_dict()))

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        """Save what was fitted as it was: a weight average (EMA) would average it over the run."""
        for part in ("pool", "likeness"):
            for name, value in getattr(self, part).state_dict().items():
                checkpoint["state_dict"][f"{part}.{name}"] = value.detach().clone()
        super().on_save_checkpoint(checkpoint)
