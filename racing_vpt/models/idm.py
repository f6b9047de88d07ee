"""Inverse dynamics: which controls were used between two frames.

VPT, Baker et al. 2022 (arXiv:2206.11795), section 3 and appendix D.2. It sees past and future, so attention is not
causal, and it needs far less labelled data than a policy. Unlike VPT: heads are factored by control scheme, targets are
soft, the mean of an axis is written rather than its likeliest bin, confidence is calibrated by temperature scaling, and
the frame's instrument strip is masked (`FrameSpec.mask_bottom`).
"""

from __future__ import annotations

from typing import Literal

import torch
from einops import rearrange
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn
from torch.nn import functional as F

from racing_vpt.games.controls import Axis
from racing_vpt.models.idm_labels import LabelKind, label, mean_losses
from racing_vpt.models.idm_metrics import HeldOut, fit_temperature, measure
from racing_vpt.models.idm_motion import GlobalMotion
from racing_vpt.models.idm_net import Senses, View, reach_mask
from racing_vpt.models.module import ControlModule, Schedule, adamw
from racing_vpt.models.processes import logged_size, shares
from racing_vpt.nn.heads import ActionHeads
from racing_vpt.nn.sizes import IDM_SIZES, NetSize, named_size
from racing_vpt.nn.transformer import Mask
from racing_vpt.nn.vpt_net import VPTNet
from racing_vpt.types import Batch, FrameSpec

Stage = Literal["val", "test"]
AROUND = 4  # pixels of margin around the view: the car is longer than its wheels


class IDM(ControlModule):
    """An inverse dynamics model.

    Args:
        frames: what the model wants to see; OpenAI's checkpoint wants 128x128.
        scheme: name of the control scheme.
        size: `tiny`, `small`, `4x`, or all settings of the network.
        view: part of the frame that is looked at in full resolution besides, such as the car; None for none.
        motion: whether the motion of the whole picture is measured besides; the view and the masked strip are left out.
        motion_finest: how often the picture is halved for the finest look at its motion: 0 tells more of the pedals, 1
            costs half the time.
        over_time: frames that each convolution over view and motion sees, odd.
        convolutions: how many of them follow each other.
        close_heads: heads that are read from the view alone, over `over_time` frames: `[steering]` where wheels show
            it. A model that sees where the car goes learns what drivers do there, and fails on one who does otherwise.
        close_convolutions: how many convolutions over time follow each other there.
        close_channels: between them; few, because what a driver did just before soon tells more than the wheels.
        cnn: whether the whole picture is looked at by VPT's CNN; without it only view and motion are, which is faster.
        reach: frames to either side that attention sees in each block; None for the whole window.
        dropout: share of the features that is dropped in training.
        label: what is written for an axis: the `mean` of its distribution, or its `mode`.
        stops: where an axis' effect ends, such as `{steering: 0.4}` in CarRacing: commands beyond it look alike.
        mean_weight: of the error of the axes' means in the loss, beside the cross entropy of their distributions.
        label_smoothing: share of the target that is spread over all classes.
        class_weighting: p in weight = frequency^-p of a class, against the rareness of braking; 0 weighs all alike.
        margin: frames at the ends of a held-out clip that are not judged, for want of context: labelling keeps the
            middle of its windows. Not at an end that is the episode's own.
        optimizer: made from the trainable parameters; matrices and kernels alone get its weight decay.
        schedule: how the learning rate falls after the warm-up, over the steps of the run.
        warmup_steps: steps over which the learning rate rises from 0.
        init_from: checkpoint whose weights training starts from (path, run folder or zoo:NAME).
    """

    def __init__(
        self,
        frames: FrameSpec = FrameSpec(),  # noqa: B008 - frozen
        scheme: str = "car",
        size: str | NetSize = "small",
        view: View | None = None,
        motion: bool = False,
        motion_finest: int = 0,
        over_time: int = 9,
        convolutions: int = 2,
        close_heads: tuple[str, ...] = (),
        close_convolutions: int = 1,
        close_channels: int = 128,
        cnn: bool = True,
        reach: int | None = None,
        dropout: float = 0.0,
        label: LabelKind = "mean",
        stops: dict[str, float] | None = None,
        mean_weight: float = 0.0,
        label_smoothing: float = 0.0,
        class_weighting: float = 0.0,
        margin: int = 8,
        optimizer: OptimizerCallable = adamw,
        schedule: Schedule = "cosine",
        warmup_steps: int = 100,
        init_from: str | None = None,
    ) -> None:
        super().__init__(frames, scheme, optimizer, schedule, warmup_steps, class_weighting, init_from)
        for name, share in (("dropout", dropout), ("label_smoothing", label_smoothing)):
            if not 0 <= share < 1:
                raise ValueError(f"{name} is a share in [0, 1), but {share} was given")
        if margin < 0:
            raise ValueError(f"margin counts frames from 0, but {margin} was given")
        if reach is not None and reach < 1:
            raise ValueError(f"attention must reach 1 frame to either side or more, but reach {reach} was given")
        if not (cnn or motion or view is not None):
            raise ValueError("without cnn, view and motion the model would see nothing; turn one of them on")
        size, view = named_size(size, IDM_SIZES, "IDM"), View(**view) if isinstance(view, dict) else view
        height, width, classes = self.frames.height, self.frames.width, self.scheme.num_classes
        if view is not None and (view.top + view.height > height or view.left + view.width > width):
            raise ValueError(f"{view} does not lie within a frame of {height}x{width} pixels")
        self.net = VPTNet(size, height, width, causal=False)  # OpenAI's names: net, pi_head
        if not cnn:
            del self.net.img_process
            if size.conv3d_outchan is not None:
                del self.net.conv3d_layer
        for parameter in self.net.parameters():
            if parameter.numel() == 0:  # bands of a memory that an IDM has not; DDP would wait for their gradient
                parameter.requires_grad_(False)
        self.pi_head = ActionHeads(size.hidsize, classes, packs=self.scheme.packs)
        self.cnn = cnn
        self.senses: Senses | None = None
        if motion or view is not None:
            ignored = ignored_pixels(self.frames, view) if motion else None
            looks = GlobalMotion(ignored, finest=motion_finest) if ignored is not None else None
            self.senses = Senses(view, looks, size.hidsize, over_time, convolutions, dropout=dropout)
        self.close_heads = tuple(close_heads)
        if self.close_heads:
            unknown = sorted({*self.close_heads} - {*classes})
            if view is None or unknown:
                raise ValueError(f"close_heads need a view and must be among {[*classes]}; not so: {unknown or 'view'}")
            self.close = Senses(view, None, size.hidsize, over_time, close_convolutions, close_channels, dropout)
            self.close_ln = nn.LayerNorm(size.hidsize)
        self.reach = reach
        self.dropout = nn.Dropout(dropout)
        self.label: LabelKind = label
        self.stops = dict(stops or {})
        axes = [name for name, head in self.scheme.heads.items() if isinstance(head, Axis)]
        if not {*self.stops} <= {*axes} or min(self.stops.values(), default=1.0) <= 0:
            raise ValueError(f"stops are positive numbers for {axes}, but {self.stops} was given")
        self.mean_weight = mean_weight
        self.label_smoothing = label_smoothing
        self.margin = margin
        for name in classes:
            self.register_buffer(f"temperature_{name}", torch.ones(()))
        self.held_out = HeldOut(self.scheme)

    @property
    def temperatures(self) -> dict[str, Tensor]:
        """What the logits of each head are divided by."""
        return {name: getattr(self, f"temperature_{name}") for name in self.scheme.heads}

    def forward(self, frames: Tensor, valid: Tensor | None = None) -> dict[str, Tensor]:
        """Logits by head, float32 [B, T, classes], not yet calibrated.

        Args:
            frames: uint8 [B, T, H, W, 3], windows of consecutive frames.
            valid: bool [B, T], false for padding that no frame may see; None where there is none.
        """
        net, (B, T) = self.net, frames.shape[:2]
        net.check(frames, torch.zeros(B, T, dtype=torch.bool))
        features = torch.zeros((), device=frames.device)
        if self.cnn:
            pictures = net.pictures(frames, valid).contiguous(memory_format=torch.channels_last)
            features = rearrange(net.img_process(pictures), "(b t) d -> b t d", b=B)
        if self.senses is not None:
            features = features + self.senses(frames, valid)
        features = self.dropout(features)
        mask = reach_mask(T, self.reach, valid, frames.device)
        for block, state in zip(net.recurrent_layer.blocks, net.initial_state(B, frames.device), strict=True):
            features, _ = block(features, Mask(mask, state[0]), state)
        logits = self.pi_head(self.dropout(net.final_ln(F.relu(features))))
        if self.close_heads:
            close = self.pi_head(self.dropout(self.close_ln(F.relu(self.close(frames, valid)))))
            logits |= {name: close[name] for name in self.close_heads}
        return logits

    @property
    def context(self) -> int | None:
        """Frames to either side that a label depends on; None where it is the whole window."""
        if self.reach is None:
            return None
        size = self.net.size
        over_time = size.conv3d_kernel[0] // 2 if self.cnn and size.conv3d_outchan is not None else 0
        sensed = self.senses.context if self.senses is not None else 0
        return max(over_time, sensed) + self.reach * size.n_recurrence_layers

    @torch.no_grad()
    def label_frames(self, frames: Tensor, valid: Tensor | None = None) -> dict[str, Tensor]:
        """Calibrated probabilities by head, float32 [B, T, classes], of frames uint8 [B, T, H, W, 3].

        Args:
            frames: windows of consecutive frames, prepared as `self.frames` says.
            valid: bool [B, T], false for padding; None where there is none.
        """
        if valid is not None and bool(valid.all()):
            valid = None
        return calibrated(self(frames, valid), self.temperatures)

    def labels(self, probabilities: dict[str, Tensor]) -> dict[str, Tensor]:
        """Controls float32 [B, T] by name that are written for probabilities [B, T, classes] by head."""
        return label(self.scheme, probabilities, self.label, self.stops)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        targets = self.targets(batch)
        weight = batch.weight * batch.valid
        if self.class_weighting:
            self.count_classes(targets, weight)
        logits = self(batch.frames, batch.valid)
        losses = self.cross_entropy(logits, targets, weight, self.label_smoothing)
        if self.mean_weight:
            means = mean_losses(self.scheme, logits, batch.controls, weight, self.stops)
            losses |= {name: self.mean_weight * loss for name, loss in means.items()}
        loss = torch.stack(list(losses.values())).sum()
        self.log("train/loss", loss, prog_bar=True)
        self.log_dict({f"train/loss_{name}": each for name, each in losses.items()})
        return loss * shares(self, weight.sum())

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.hold_out(batch, "val")

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self.hold_out(batch, "test")

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        return self.label_frames(batch.frames, batch.valid)

    def hold_out(self, batch: Batch, stage: Stage) -> None:
        """Keep what is predicted for a held-out batch, and log its loss."""
        counts = self.judged(batch)
        logits, targets = self(batch.frames, batch.valid), self.targets(batch)
        losses = self.cross_entropy(logits, targets, counts.float())
        loss = torch.stack(list(losses.values())).sum()
        self.log(f"{stage}/loss", loss, prog_bar=True, batch_size=logged_size(self, counts.sum()), sync_dist=True)
        self.held_out.update(logits, batch.controls, counts)

    def judged(self, batch: Batch) -> Tensor:
        """Which frames bool [B, T] are judged: those with context on both sides, or at an end of their episode."""
        T = batch.valid.shape[1]
        place = torch.arange(T, device=batch.valid.device)
        early, late = place < self.margin, place >= T - self.margin
        ends_inside = ~batch.valid[:, -1:]
        return batch.valid & (~early | batch.first[:, :1]) & (~late | ends_inside)

    def on_validation_epoch_end(self) -> None:
        self.conclude("val", fits=not self.trainer.sanity_checking and self.trainer.state.fn == "fit")

    def on_test_epoch_end(self) -> None:
        self.conclude("test", fits=False)

    def conclude(self, stage: Stage, fits: bool) -> None:
        """Log the figures of an epoch; where it `fits`, with new temperatures that go into the checkpoint."""
        logits, truth = self.held_out.compute()
        self.held_out.reset()
        if not len(next(iter(truth.values()))):
            raise ValueError(
                f"no frame is left to be judged: clips must be longer than twice the margin of {self.margin} frames; "
                "set --data.clip_frames or --model.margin"
            )
        if fits:
            for name, classes in self.scheme.encode(truth).items():
                getattr(self, f"temperature_{name}").fill_(fit_temperature(logits[name], classes))
        probabilities = calibrated(logits, self.temperatures)
        figures = measure(self.scheme, probabilities, self.labels(probabilities), truth)
        self.log_dict({f"{stage}/{name}": value for name, value in figures.items()})
        self.log_dict({f"{stage}/temperature_{name}": value for name, value in self.temperatures.items()})
        self.judged_last = probabilities, truth

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        """Keep the temperatures as fitted: an average of weights (EMA) would average them over the run."""
        for name, temperature in self.temperatures.items():
            checkpoint["state_dict"][f"temperature_{name}"] = temperature.detach().clone()


def calibrated(logits: dict[str, Tensor], temperatures: dict[str, Tensor]) -> dict[str, Tensor]:
    """Probabilities float32 [..., classes] by head of logits divided by the head's temperature."""
    return {name: (each.float() / temperatures[name]).softmax(-1) for name, each in logits.items()}


def ignored_pixels(frames: FrameSpec, view: View | None) -> Tensor:
    """Bool [H, W]: the masked strip and the view with a margin, which do not move with the world."""
    ignored = torch.zeros(frames.height, frames.width, dtype=torch.bool)
    ignored[frames.height - round(frames.mask_bottom * frames.height) :] = True
    if view is not None:
        rows = slice(max(0, view.top - AROUND), view.top + view.height + AROUND)
        ignored[rows, max(0, view.left - AROUND) : view.left + view.width + AROUND] = True
    return ignored
