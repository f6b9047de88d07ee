"""Inverse dynamics: which controls were used between two frames.

VPT, Baker et al. 2022 (arXiv:2206.11795), section 3 and appendix D.2. It sees past and future frames, so attention is
not causal, and it needs far less labelled data than a policy. Unlike VPT: heads come from the control scheme, targets
are soft, labels are the mean of an axis rather than its most likely bin, confidence is calibrated by temperature
scaling, and the parts of the frame that show the controls are hidden (`FrameSpec`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from einops import rearrange
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn
from torch.nn import functional as F

from racing_vpt.frames import pixels_of
from racing_vpt.games.controls import Axis, ControlScheme
from racing_vpt.models.idm_config import IDMConfig, IDMLossConfig, View
from racing_vpt.models.idm_labels import LabelKind, label, mean_losses
from racing_vpt.models.idm_metrics import HeldOut, fit_temperature, measure, places_of
from racing_vpt.models.idm_motion import GlobalMotion
from racing_vpt.models.idm_net import Senses, build_close_branch, build_senses, reach_mask
from racing_vpt.models.likeness import Prediction
from racing_vpt.models.module import ControlModule, Schedule
from racing_vpt.models.processes import logged_size, shares
from racing_vpt.models.training_mean import TrainingMean
from racing_vpt.nn.heads import ActionHeads
from racing_vpt.nn.sizes import IDM_SIZES, NetSize, named_size
from racing_vpt.nn.transformer import Mask
from racing_vpt.nn.vpt_net import VPTNet
from racing_vpt.types import Batch, FrameChanges, FrameSpec

Stage = Literal["val", "test"]
VIEW_MARGIN = 4  # pixels around the view: the car is longer than its wheels


class IDM(TrainingMean, ControlModule):
    """An inverse dynamics model.

    Args:
        game: name or file of the game, or all that its file says; its controls determine the heads.
        frames: how the frames that the model sees differ from the game's; OpenAI's checkpoints need 128x128.
        network: size and inputs of the network.
        label: label of an axis: the `mean` of its distribution, or its `mode`.
        stops: value of an axis beyond which commands look alike; None: those of the game.
        loss: parts of the training loss.
        margin: frames at the ends of a held-out clip that are not measured, because they lack context (labelling keeps
            the middle of its windows). An end that is the episode's own is measured.
        optimizer: built from the trainable parameters; weight decay applies to matrices and kernels only.
        schedule: shape of the learning rate after the warm-up, over the steps of the run.
        warmup_steps: steps over which the learning rate rises from 0.
        init_from: checkpoint to take initial weights from (path, run folder or zoo:NAME).
    """

    kind = "idm"

    def __init__(
        self,
        game: str | dict = "carracing",
        frames: FrameChanges = FrameChanges(),  # noqa: B008 - frozen
        network: IDMConfig = IDMConfig(),  # noqa: B008 - frozen
        label: LabelKind = "mean",
        stops: dict[str, float] | None = None,
        loss: IDMLossConfig = IDMLossConfig(),  # noqa: B008 - frozen
        margin: int = 8,
        optimizer: OptimizerCallable = lambda weights: torch.optim.AdamW(weights, lr=3e-4, weight_decay=0.01),
        schedule: Schedule = "cosine",
        warmup_steps: int = 100,
        init_from: str | None = None,
    ) -> None:
        super().__init__(
            game=game, frames=frames, optimizer=optimizer, schedule=schedule, warmup_steps=warmup_steps,
            class_weighting=loss.class_weighting, init_from=init_from, min_class_count=loss.min_class_count,
            scheme=network.scheme,
        )  # fmt: skip
        if margin < 0:
            raise ValueError(f"margin must be at least 0, but {margin} was given")
        self.network = network.of_game(self.game, self.frames)
        self.loss = loss
        self.label: LabelKind = label
        self.stops = checked_stops(self.game.stops if stops is None else stops, self.scheme)
        self.margin = margin
        size = named_size(network.size, IDM_SIZES, "IDM")
        self.build(size)
        for name in self.scheme.num_classes:
            self.register_buffer(f"temperature_{name}", torch.ones(()))
        self.add_training_mean()
        self.held_out = HeldOut(self.scheme)

    def build(self, size: NetSize) -> None:
        """Build the network; the order matters, because it is that of the random initial weights."""
        config, classes, view = self.network, self.scheme.num_classes, self.network.view
        height, width = self.frames.height, self.frames.width
        if view is not None and (view.top + view.height > height or view.left + view.width > width):
            raise ValueError(f"{view} does not lie within a frame of {height}x{width} pixels")
        if unknown := sorted({*(config.close_heads or ())} - {*classes}):
            raise ValueError(f"close_heads must be among {[*classes]}, but {unknown} were given")
        self.net = VPTNet(size, height, width, causal=False)  # OpenAI's names: net, pi_head
        if not config.cnn:
            del self.net.img_process
            if size.conv3d_outchan is not None:
                del self.net.conv3d_layer
        for parameter in self.net.parameters():
            if parameter.numel() == 0:  # bias bands of a memory, which an IDM lacks; DDP would wait for their gradient
                parameter.requires_grad_(False)
        self.pi_head = ActionHeads(size.hidsize, classes, packs=self.scheme.packs)
        self.senses: Senses | None = None
        if config.has_senses:
            motion = None
            if config.motion:
                motion = GlobalMotion(
                    ignored_pixels(self.frames, view),
                    finest=config.motion_finest,
                    remembered=config.motion_remembered,
                )
            self.senses = build_senses(config, motion, size.hidsize)
        if config.close_heads:
            self.close = build_close_branch(config, size.hidsize)
            self.close_ln = nn.LayerNorm(size.hidsize)
        self.dropout = nn.Dropout(config.dropout)

    @property
    def temperatures(self) -> dict[str, Tensor]:
        """Divisor of the logits of each head, fitted on held-out frames."""
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
        if self.network.cnn:
            pictures = net.pictures(frames, valid).contiguous(memory_format=torch.channels_last)
            features = rearrange(net.img_process(pictures), "(b t) d -> b t d", b=B)
        if self.senses is not None:
            features = features + self.senses(frames, valid)
        features = self.dropout(features)
        mask = reach_mask(T, self.network.reach, valid, frames.device)
        for block, state in zip(net.recurrent_layer.blocks, net.initial_state(B, frames.device), strict=True):
            features, _ = block(features, Mask(mask, state[0]), state)
        logits = self.pi_head(self.dropout(net.final_ln(F.relu(features))))
        if self.network.close_heads:
            close = self.pi_head(self.dropout(self.close_ln(F.relu(self.close(frames, valid)))))
            logits |= {name: close[name] for name in self.network.close_heads}
        return logits

    @property
    def context(self) -> int | None:
        """Frames to either side that a label depends on; None where it is the whole window."""
        if self.network.reach is None:
            return None
        size = self.net.size
        over_time = size.conv3d_kernel[0] // 2 if self.network.cnn and size.conv3d_outchan is not None else 0
        sensed = self.senses.context if self.senses is not None else 0
        return max(over_time, sensed) + self.network.reach * size.n_recurrence_layers

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
        """Controls float32 [B, T] by name to write for probabilities [B, T, classes] by head."""
        return label(self.scheme, probabilities, self.label, self.stops)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        targets = self.targets(batch)
        weight = batch.weight * batch.valid
        self.add_to_training_mean(batch.controls, weight)
        if self.class_weighting:
            self.count_classes(targets, weight)
        logits = self(batch.frames, batch.valid)
        losses = self.cross_entropy(logits, targets, weight, self.loss.label_smoothing)
        if self.loss.mean_weight:
            means = mean_losses(self.scheme, logits, batch.controls, weight, self.stops)
            losses |= {name: self.loss.mean_weight * loss for name, loss in means.items()}
        loss = torch.stack(list(losses.values())).sum()
        self.log("train/loss", loss, prog_bar=True)
        self.log_dict({f"train/loss_{name}": each for name, each in losses.items()})
        return loss * shares(self, weight.sum())

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.hold_out(batch, "val")

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self.hold_out(batch, "test")

    def predict_step(self, batch: Batch, batch_idx: int) -> Prediction:
        return Prediction(self.label_frames(batch.frames, batch.valid), None)

    def hold_out(self, batch: Batch, stage: Stage) -> None:
        """Keep the predictions for a held-out batch and log its loss."""
        counts = self.measured(batch)
        logits, targets = self(batch.frames, batch.valid), self.targets(batch)
        losses = self.cross_entropy(logits, targets, counts.float())
        loss = torch.stack(list(losses.values())).sum()
        self.log(f"{stage}/loss", loss, prog_bar=True, batch_size=logged_size(self, counts.sum()), sync_dist=True)
        self.held_out.update(logits, batch.controls, counts, places_of(batch))

    def measured(self, batch: Batch) -> Tensor:
        """Frames bool [B, T] that are measured: with context on both sides, or at an end of their episode."""
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
        """Log the metrics of an epoch; if `fits`, after fitting the temperatures that the checkpoint keeps."""
        logits, truth, places = self.held_out.compute()
        self.held_out.reset()
        if not len(next(iter(truth.values()))):
            raise ValueError(
                f"no frame is left to measure: clips must be longer than twice the margin of {self.margin} frames; "
                "set --data.clip_frames or --model.margin"
            )
        if fits:
            for name, classes in self.scheme.encode(truth).items():
                getattr(self, f"temperature_{name}").fill_(fit_temperature(logits[name], classes))
        probabilities = calibrated(logits, self.temperatures)
        figures = measure(self.scheme, probabilities, self.labels(probabilities), truth)
        self.log_dict({f"{stage}/{name}": value for name, value in figures.items()})
        self.log_dict({f"{stage}/temperature_{name}": value for name, value in self.temperatures.items()})
        self.judged_last, self.judged_places = (probabilities, truth), places

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        """Save the temperatures as fitted: a weight average (EMA) would average them over the run."""
        for name, temperature in self.temperatures.items():
            checkpoint["state_dict"][f"temperature_{name}"] = temperature.detach().clone()
        checkpoint["state_dict"] = self.set_only(checkpoint["state_dict"])


def checked_stops(stops: Mapping[str, float], scheme: ControlScheme) -> dict[str, float]:
    """The stops; ValueError where one is not positive or not that of an axis."""
    axes = [name for name, head in scheme.heads.items() if isinstance(head, Axis)]
    if not {*stops} <= {*axes} or min(stops.values(), default=1.0) <= 0:
        raise ValueError(f"stops are positive numbers for {axes}, but {dict(stops)} was given")
    return dict(stops)


def calibrated(logits: dict[str, Tensor], temperatures: dict[str, Tensor]) -> dict[str, Tensor]:
    """Probabilities float32 [..., classes] by head of logits divided by the head's temperature."""
    return {name: (each.float() / temperatures[name]).softmax(-1) for name, each in logits.items()}


def ignored_pixels(frames: FrameSpec, view: View | None) -> Tensor:
    """Bool [H, W]: the hidden part of the frame and the view with a margin, which do not move with the world."""
    ignored = torch.zeros(frames.height, frames.width, dtype=torch.bool, device="cpu")  # it is looked at, not only kept
    for rectangle in frames.hide:
        ignored[pixels_of(rectangle, frames.height, frames.width)] = True
    if view is not None:
        rows = slice(max(0, view.top - VIEW_MARGIN), view.top + view.height + VIEW_MARGIN)
        ignored[rows, max(0, view.left - VIEW_MARGIN) : view.left + view.width + VIEW_MARGIN] = True
    return ignored
