"""The policy: which controls an expert would use now, given the frames so far.

VPT, Baker et al. 2022 (arXiv:2206.11795), section 4.1 and appendix D.1: behavioural cloning of labels that an inverse
dynamics model wrote for videos. With `network.size: 2x`, 128x128 frames and the defaults it is OpenAI's network, key
for key. Unlike VPT: heads come from the control scheme, with two-hot targets; labels are weighted by the IDM's
confidence; null actions are kept by default (a car that coasts is driving, a Minecraft player who does nothing is not
playing). Two remedies against a policy that copies its own previous controls instead of looking at the road are
`look_back` with little or no memory, and `forget`.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Literal

import torch
from einops import rearrange
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor
from torch.utils._pytree import tree_map

from racing_vpt.models.control_metrics import ControlMetrics
from racing_vpt.models.freezing import frozen_names
from racing_vpt.models.module import ControlModule, Schedule
from racing_vpt.models.processes import logged_size, shares
from racing_vpt.models.vpt_config import ActingConfig, CloningConfig, FreezingConfig, PolicyConfig
from racing_vpt.nn.heads import ActionHeads, ValueHead
from racing_vpt.nn.precision import bfloat16_weights
from racing_vpt.nn.stack import FrameStack, StackState
from racing_vpt.nn.transformer import NetState
from racing_vpt.nn.vpt_net import VPTNet
from racing_vpt.types import Batch, FrameChanges

PolicyState = tuple[StackState, NetState]
"""Memory of a policy: earlier frames for the frame stack, keys and values for attention."""


class VPT(ControlModule):
    """A causal policy, trained by behavioural cloning.

    Args:
        game: name or file of the game, or all that its file says; its controls determine the heads.
        frames: how the frames that the model sees differ from the game's; OpenAI's checkpoints need 128x128.
        network: size and memory of the network.
        cloning: options of behavioural cloning.
        acting: choice of controls when driving.
        freezing: parts that are not trained.
        optimizer: built from the trainable parameters; weight decay applies to matrices and kernels only.
        schedule: shape of the learning rate after the warm-up, over the steps of the run.
        warmup_steps: steps over which the learning rate rises from 0.
        init_from: checkpoint to take initial weights from (path, run folder, zoo:NAME or OpenAI's F.model). Heads of
            another scheme keep their random weights; the trunk must have this size.
        compile: run the network through torch.compile in training.
        recompute: activation checkpointing: activations within the CNN and the transformer blocks are not kept for the
            backward pass but computed again, this many frames at a time; None keeps all.
    """

    kind = "policy"

    def __init__(
        self,
        game: str | dict = "carracing",
        frames: FrameChanges = FrameChanges(height=64, width=64),  # noqa: B008 - frozen
        network: PolicyConfig = PolicyConfig(),  # noqa: B008 - frozen
        cloning: CloningConfig = CloningConfig(),  # noqa: B008 - frozen
        acting: ActingConfig = ActingConfig(),  # noqa: B008 - frozen
        freezing: FreezingConfig = FreezingConfig(),  # noqa: B008 - frozen
        optimizer: OptimizerCallable = lambda weights: torch.optim.AdamW(weights, lr=3e-4, weight_decay=0.01),
        schedule: Schedule = "cosine",
        warmup_steps: int = 100,
        init_from: str | None = None,
        compile: bool = False,
        recompute: int | None = None,
    ) -> None:
        super().__init__(
            game=game, frames=frames, optimizer=optimizer, schedule=schedule, warmup_steps=warmup_steps,
            class_weighting=cloning.class_weighting, init_from=init_from, min_class_count=cloning.min_class_count,
            scheme=network.scheme,
        )  # fmt: skip
        if recompute is not None and recompute < 1:
            raise ValueError(f"recompute must be at least 1, but {recompute} was given")
        self.size = network.resolved(init_from)
        self.stack = FrameStack(network.look_back)
        channels = 3 * len(network.look_back)
        self.net = VPTNet(self.size, self.frames.height, self.frames.width, channels)  # OpenAI's names: net, pi_head
        self.pi_head = ActionHeads(self.size.hidsize, self.scheme.num_classes, network.temperature)
        self.value_head = ValueHead(self.size.hidsize).requires_grad_(False)  # cloning has no values to learn
        self.net.recompute = recompute
        self.frozen = frozen_names(self, freezing.freeze, freezing.keep)
        self.unfreeze_at = freezing.until_step
        self.cloning = cloning
        self.acting = acting
        self.act: Literal["mean", "mode"] = acting.choice
        self.burn_in = self.stack.past if cloning.burn_in is None else cloning.burn_in
        self.compiles = compile
        self.acts_in_bf16 = False
        self.metrics = ControlMetrics(self.scheme)
        self.memory: PolicyState | None = None  # of the lanes, from batch to batch
        self.training_memory: PolicyState | None = None  # kept while held-out clips are measured
        self.resumed: PolicyState | None = None  # of a checkpoint, until training starts

    def setup(self, stage: str) -> None:
        super().setup(stage)
        mode = getattr(getattr(self.trainer, "datamodule", None), "mode", None)
        if stage == "fit" and self.cloning.carry_memory and mode not in (None, "lanes"):
            raise ValueError(
                f"carry_memory continues each row of a batch in the next one, but the data module's mode is {mode!r}: "
                "give --data.mode lanes, or --model.cloning.carry_memory false"
            )
        if stage == "fit" and self.unfreeze_at is None:  # before the optimizer and DDP see the weights
            for name in self.frozen:
                self.get_parameter(name).requires_grad_(False)
        if stage == "fit" and self.compiles:
            self.net.compile()

    def initial_state(self, n: int, device: torch.device | str = "cpu") -> PolicyState:
        """Memory before an episode's first frame, for n environments."""
        shape = (self.frames.height, self.frames.width, 3)
        return self.stack.initial_state(n, shape, device), self.net.initial_state(n, device)

    def forward(self, frames: Tensor, first: Tensor, state: PolicyState) -> tuple[dict[str, Tensor], PolicyState]:
        """Logits by head float32 [B, T, classes], and the new memory.

        Args:
            frames: uint8 [B, T, H, W, 3], of the size in `self.frames`.
            first: bool [B, T], true at the first frame of an episode; earlier frames are not seen from there on.
            state: `initial_state`, or the state returned by the previous call.
        """
        stacked, stack_state = self.stack(frames, first, state[0])
        features, net_state = self.net(stacked, first, state[1])
        return self.pi_head(features), (stack_state, net_state)

    def forward_selected(
        self, frames: Tensor, first: Tensor, state: PolicyState, wanted: Tensor
    ) -> tuple[dict[str, Tensor], PolicyState]:
        """`forward` of a policy without attention, at the `wanted` frames bool [B, T] only; zeros elsewhere.

        A clip of five frames then costs as much as one frame, so that a batch can hold hundreds of unrelated clips
        instead of a few long ones that show the same corner again and again.
        """
        wanted = wanted | ~wanted.any()  # a batch of padding alone must have a loss too
        chosen, stack_state = self.stack(frames, first, state[0], wanted)
        count = len(chosen)
        # few different batch sizes, because a CPU compiles its convolutions for each of them, which takes seconds
        chosen = torch.cat([chosen, chosen[:1].expand(-count % 32, -1, -1, -1)])
        pictures = rearrange(chosen, "n h w c -> n 1 h w c")
        features, _ = self.net(pictures, torch.ones_like(pictures[:, :, 0, 0, 0], dtype=torch.bool))
        logits = {}
        for name, x in self.pi_head(features).items():
            logits[name] = x.new_zeros(*wanted.shape, x.shape[-1])
            logits[name][wanted] = x[:count, 0]
        return logits, (stack_state, state[1])

    @torch.no_grad()
    def policy(self, frames: Tensor, first: Tensor, state: PolicyState) -> tuple[dict[str, Tensor], PolicyState]:
        """As `forward`, with probabilities instead of logits and without gradient; used by agents."""
        with torch.autocast(frames.device.type, torch.bfloat16, enabled=self.acts_in_bf16):
            logits, state = self(frames, first, state)
        return {name: (x / self.acting.temperature).softmax(-1) for name, x in logits.items()}, state

    def hasten(self, *, bf16: bool = False, compiled: bool = False) -> VPT:
        """Make `policy` faster, in place and irreversibly: afterwards the module can only act.

        Args:
            bf16: keep the trunk's weights and activations in bf16; faster from size 1x on, but less exact than 1e-4.
            compiled: run the trunk through torch.compile; the first steps take minutes.
        """
        if bf16:
            bfloat16_weights(self.net)
            self.acts_in_bf16 = True
        if compiled:
            self.net.compile()
        return self

    def frames_seen(self, clip_frames: int) -> tuple[int, ...] | None:
        """Numbers of the frames that the loss of a clip depends on, unless an episode starts in it; None: all.

        They are read instead of the whole clip: two of five frames with the settings of `configs/vpt.yaml`.
        """
        if self.size.n_recurrence_layers or self.cloning.carry_memory or self.cloning.forget:
            return None
        if clip_frames <= self.burn_in:
            raise ValueError(
                f"clips of {clip_frames} frames have none to learn from after the first {self.burn_in}, which warm up "
                f"the network (model.cloning.burn_in); give --data.clip_frames {self.burn_in + 1} or more"
            )
        seen = {max(0, frame - back) for frame in range(self.burn_in, clip_frames) for back in self.stack.look_back}
        return tuple(sorted(seen))

    def loss_weight(self, batch: Batch, continued: bool) -> Tensor:
        """Weight of each frame in the loss, float32 [B, T]: validity, burn-in, confidence, null actions.

        Args:
            batch: the clips.
            continued: the memory holds the frames before the clips, so that no burn-in is needed.
        """
        weight = batch.weight**self.cloning.confidence_power * batch.valid
        if self.burn_in and not continued:
            late = torch.arange(batch.first.shape[1], device=weight.device) >= self.burn_in
            weight = weight * (late | (batch.first.cumsum(1) > 0))
        if self.cloning.null_filter:
            weight = weight * ~self.scheme.is_null(batch.controls)
        return weight

    def losses(self, batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor]:
        """Loss of each head (a scalar by name), logits by head and weight of each frame [B, T]; keeps lanes' memory."""
        B = len(batch.frames)
        continued = self.cloning.carry_memory and self.memory is not None and len(self.memory[0][0]) == B
        state = self.memory if continued and self.memory else self.initial_state(B, batch.frames.device)
        first = batch.first
        if self.training and self.cloning.forget:
            first = first | (torch.rand(first.shape, device=first.device) < self.cloning.forget)
        weight = self.loss_weight(batch, continued)
        if self.size.n_recurrence_layers:
            logits, after = self(batch.frames, first, state)
        else:
            logits, after = self.forward_selected(batch.frames, first, state, weight > 0)
        if self.cloning.carry_memory:
            self.memory = detached(after)
        targets = self.targets(batch)
        if self.training and self.class_weighting:
            self.count_classes(targets, weight)
        relevant = self.scheme.relevant(self.scheme.encode(batch.controls))
        label_smoothing = self.cloning.label_smoothing if self.training else 0.0
        return self.cross_entropy(logits, targets, weight, label_smoothing, relevant), logits, weight

    def clone(self, batch: Batch, stage: str) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """Loss, logits by head and weight of each frame [B, T]; logs the losses."""
        losses, logits, weight = self.losses(batch)
        loss = torch.stack(list(losses.values())).sum()
        over_epoch = stage != "train"
        size = logged_size(self, weight.sum()) if over_epoch else len(batch.frames)
        self.log(f"{stage}/loss", loss, prog_bar=True, batch_size=size, on_epoch=over_epoch, sync_dist=over_epoch)
        by_head = {f"{stage}/loss_{name}": x.detach() for name, x in losses.items()}
        self.log_dict(by_head, batch_size=size, on_epoch=over_epoch, sync_dist=over_epoch)
        return loss * shares(self, weight.sum()), logits, weight

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Drop gradients of frozen parts: without one, weights are not updated, decayed or counted in clipping."""
        if self.unfreeze_at is not None and self.global_step < self.unfreeze_at:
            for name in self.frozen:
                self.get_parameter(name).grad = None

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        """Save the resolved size: the checkpoint that it came from may be gone when this one is read."""
        checkpoint["resolved"] = {"size": asdict(self.size)}
        if self.cloning.carry_memory and self.memory is not None and self.trainer.world_size == 1:
            checkpoint["lanes"] = self.memory  # so that a resumed run equals one that was never stopped

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss, _, weight = self.clone(batch, "train")
        self.log("train/weight", weight.mean(), batch_size=len(batch.frames))
        return loss

    def measure(self, batch: Batch, stage: str) -> None:
        """Update the metrics with a batch of held-out clips."""
        _, logits, weight = self.clone(batch, stage)
        self.metrics.update({name: x.softmax(-1) for name, x in logits.items()}, batch.controls, weight > 0)

    def report(self, stage: str) -> None:
        """Log the metrics of an epoch and restore the memory of the training lanes."""
        self.log_dict({f"{stage}/{name}": x for name, x in self.metrics.compute().items()})
        self.metrics.reset()
        self.memory = self.training_memory

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.measure(batch, "val")

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self.measure(batch, "test")

    def on_train_start(self) -> None:
        resumed, self.resumed = self.resumed, None
        self.memory = None if resumed is None else tree_map(lambda x: x.to(self.device), resumed)

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        self.resumed = checkpoint.get("lanes") if self.cloning.carry_memory else None

    def on_validation_epoch_start(self) -> None:
        self.training_memory, self.memory = self.memory, None

    def on_test_epoch_start(self) -> None:
        self.training_memory = self.memory = None

    def on_validation_epoch_end(self) -> None:
        self.report("val")

    def on_test_epoch_end(self) -> None:
        self.report("test")


def detached(state: PolicyState) -> PolicyState:
    """The memory, detached from the graph."""
    stack_state, blocks = state
    return stack_state, [(known, (keys.detach(), values.detach())) for known, (keys, values) in blocks]
