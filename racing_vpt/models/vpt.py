"""The policy: which controls an expert would use now, from what was seen so far.

VPT, Baker et al. 2022 (arXiv:2206.11795), sections 4.1 and appendix D.1: behavioural cloning of labels that an inverse
dynamics model gave to video. With `size: 2x`, 128x128 frames and the defaults it is OpenAI's network, key for key.
Unlike VPT: heads by control scheme with two-hot targets; labels weigh as much as the IDM trusted them; null actions are
kept unless asked otherwise (a car that coasts is driving, a Minecraft player who does nothing is not playing); and
remedies against a policy that copies its own last controls instead of looking at the road: `look_back` with a short
memory or none, and `forget`.
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Literal

import torch
from einops import rearrange
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor
from torch.utils._pytree import tree_map

from racing_vpt.models.control_metrics import ControlMetrics
from racing_vpt.models.finetune import checkpoint_size, frozen_names, policy_size
from racing_vpt.models.module import ControlModule, Schedule, adamw
from racing_vpt.models.processes import logged_size, shares
from racing_vpt.nn.heads import ActionHeads, ValueHead
from racing_vpt.nn.precision import bfloat16_weights
from racing_vpt.nn.sizes import NetSize
from racing_vpt.nn.stack import FrameStack, StackState
from racing_vpt.nn.transformer import NetState
from racing_vpt.nn.vpt_net import VPTNet
from racing_vpt.types import Batch, FrameSpec

LARGE = 20_000_000  # parameters
logger = logging.getLogger(__name__)
PolicyState = tuple[StackState, NetState]
"""What a policy remembers: earlier frames for its stack, keys and values for its attention."""


class VPT(ControlModule):
    """A causal policy, trained by behavioural cloning.

    Args:
        frames: what the model wants to see; OpenAI's checkpoints want 128x128.
        scheme: name of the control scheme; its heads are the policy's.
        size: `tiny`, `small`, `1x`, `2x`, `3x`, or all settings of the network; `init_from` as that checkpoint has it.
        look_back: pictures that the CNN sees at once as channels, in frames back; [0] is the frame alone (OpenAI),
            [0, 4] shows motion without a memory.
        memory_frames: frames that attention reaches back to, this one included; None as the size has it.
        recurrence_layers: transformer blocks; 0 for none, so that only look_back is seen; None as the size has it.
        carry_memory: whether row b of a batch continues row b of the one before; needs `--data.mode lanes`.
        burn_in: first frames of a clip that are seen but not learnt from, unless an episode starts there; None: as many
            as look_back misses.
        forget: probability at each frame of training that all before it is forgotten, as at an episode's start.
        act: `mean` takes the mean of each axis, which is smooth; `mode` its likeliest bin.
        act_temperature: what logits are divided by in driving: below 1 a mean leans to the likeliest bins, and rare
            bursts of other controls in the data pull it aside less.
        temperature: what logits are divided by, in training too (OpenAI: 2).
        null_filter: whether frames without any control are left out of the loss, as VPT does.
        confidence_power: p in loss weight = weight^p, where a batch's weights are the IDM's confidence
            (`--data.confidence_weighting true`); above 1 doubtful labels count still less.
        smoothing: share of the target that is spread over all classes.
        class_weighting: p in weight = frequency^-p of a class; 0 weighs all classes alike.
        optimizer: made from the trainable parameters; matrices and kernels alone get its weight decay.
        schedule: how the learning rate falls after the warm-up, over the steps of the run.
        warmup_steps: steps over which the learning rate rises from 0.
        compile: whether the network goes through torch.compile when it is trained.
        init_from: checkpoint whose weights training starts from (path, run folder, zoo:NAME or OpenAI's F.model). Heads
            of another scheme start at random, and its trunk must have this size.
        freeze: parts that are not trained, as beginnings of weights' names (`net.img_process`) or patterns.
        unfreeze: parts of them that are trained all the same.
        unfreeze_at: optimizer step from which all is trained; None: never. Until then frozen parts take their memory.
        recompute: activation checkpointing: nothing within the CNN and the transformer blocks is kept for the backward
            pass, which looks at so many frames at a time once more; None keeps all.
    """

    def __init__(
        self,
        frames: FrameSpec = FrameSpec(height=64, width=64),  # noqa: B008 - frozen
        scheme: str = "car",
        size: str | NetSize = "tiny",
        look_back: tuple[int, ...] = (0,),
        memory_frames: int | None = None,
        recurrence_layers: int | None = None,
        carry_memory: bool = False,
        burn_in: int | None = None,
        forget: float = 0.0,
        act: Literal["mean", "mode"] = "mean",
        act_temperature: float = 1.0,
        temperature: float = 1.0,
        null_filter: bool = False,
        confidence_power: float = 1.0,
        smoothing: float = 0.0,
        class_weighting: float = 0.0,
        optimizer: OptimizerCallable = adamw,
        schedule: Schedule = "cosine",
        warmup_steps: int = 100,
        compile: bool = False,
        init_from: str | None = None,
        freeze: tuple[str, ...] = (),
        unfreeze: tuple[str, ...] = (),
        unfreeze_at: int | None = None,
        recompute: int | None = None,
    ) -> None:
        super().__init__(frames, scheme, optimizer, schedule, warmup_steps, class_weighting, init_from)
        for name, share in (("forget", forget), ("smoothing", smoothing)):
            if not 0 <= share < 1:
                raise ValueError(f"{name} is a share in [0, 1), but {share} was given")
        if not act_temperature > 0:
            raise ValueError(f"act_temperature must be more than 0, but {act_temperature} was given")
        if not confidence_power > 0:
            raise ValueError(f"confidence_power must be more than 0, but {confidence_power} was given")
        for name, count in (("recompute", recompute), ("unfreeze_at", unfreeze_at)):
            if count is not None and count < 1:
                raise ValueError(f"{name} counts from 1, but {count} was given")
        self.size = policy_size(checkpoint_size(size, init_from), memory_frames, recurrence_layers)
        self.stack = FrameStack(tuple(look_back))
        channels = 3 * len(look_back)
        self.net = VPTNet(self.size, self.frames.height, self.frames.width, channels)  # OpenAI's names: net, pi_head
        self.pi_head = ActionHeads(self.size.hidsize, self.scheme.num_classes, temperature)
        self.value_head = ValueHead(self.size.hidsize).requires_grad_(False)  # cloning has no values to learn
        self.net.recompute = recompute
        self.frozen, self.unfreeze_at = frozen_names(self, freeze, unfreeze), unfreeze_at
        self.carry_memory = carry_memory
        self.burn_in = self.stack.past if burn_in is None else burn_in
        self.forget = forget
        self.act: Literal["mean", "mode"] = act
        self.act_temperature = act_temperature
        self.null_filter, self.smoothing = null_filter, smoothing
        self.confidence_power = confidence_power
        self.compiles = compile
        self.acts_in_bf16 = False
        self.metrics = ControlMetrics(self.scheme)
        self.memory: PolicyState | None = None  # of the lanes, from batch to batch
        self.training_memory: PolicyState | None = None  # kept while held-out clips are measured
        self.resumed: PolicyState | None = None  # of a checkpoint, until training starts

    def setup(self, stage: str) -> None:
        super().setup(stage)
        mode = getattr(getattr(self.trainer, "datamodule", None), "mode", None)
        if stage == "fit" and self.carry_memory and mode not in (None, "lanes"):
            raise ValueError(
                f"carry_memory continues each row of a batch in the next one, but the data module's mode is {mode!r}: "
                "give --data.mode lanes, or --model.carry_memory false"
            )
        if stage == "fit" and self.unfreeze_at is None:  # before the optimizer and DDP see the weights
            for name in self.frozen:
                self.get_parameter(name).requires_grad_(False)
        if stage == "fit" and self.compiles:
            self.net.compile()

    def on_fit_start(self) -> None:
        """Say what a step of a large network will take, before the GPU says that it has not so much."""
        data = getattr(self.trainer, "datamodule", None)
        shape = [int(getattr(data, name, 0)) for name in ("batch_size", "clip_frames")]
        if self.trainer.is_global_zero and sum(x.numel() for x in self.parameters()) > LARGE and all(shape):
            from racing_vpt.models.training_memory import training_memory

            logger.info("a training step takes about %s", training_memory(self, shape[0], shape[1]))

    def initial_state(self, n: int, device: torch.device | str = "cpu") -> PolicyState:
        """The memory before an episode's first frame, for n environments."""
        shape = (self.frames.height, self.frames.width, 3)
        return self.stack.initial_state(n, shape, device), self.net.initial_state(n, device)

    def forward(self, frames: Tensor, first: Tensor, state: PolicyState) -> tuple[dict[str, Tensor], PolicyState]:
        """Logits by head float32 [B, T, classes], and the memory.

        Args:
            frames: uint8 [B, T, H, W, 3], of the size in `self.frames`.
            first: bool [B, T], true where an episode starts: nothing earlier is seen from there on.
            state: `initial_state`, or what the last call returned.
        """
        stacked, stack_state = self.stack(frames, first, state[0])
        features, net_state = self.net(stacked, first, state[1])
        return self.pi_head(features), (stack_state, net_state)

    def glance(
        self, frames: Tensor, first: Tensor, state: PolicyState, wanted: Tensor
    ) -> tuple[dict[str, Tensor], PolicyState]:
        """As `forward` for a policy without a memory, at the `wanted` frames bool [B, T] alone; zeros elsewhere.

        A clip of five frames then costs what one frame does, and a batch holds hundreds of them that have nothing to do
        with each other, where long clips would show the same corner again and again.
        """
        wanted = wanted | ~wanted.any()  # a batch of padding alone must have a loss too
        chosen, stack_state = self.stack(frames, first, state[0], wanted)
        count = len(chosen)
        # few different numbers of pictures: a CPU's convolutions are compiled anew for each, which takes seconds
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
        """As `forward`, with probabilities instead of logits and no gradient: what an agent asks."""
        with torch.autocast(frames.device.type, torch.bfloat16, enabled=self.acts_in_bf16):
            logits, state = self(frames, first, state)
        return {name: (x / self.act_temperature).softmax(-1) for name, x in logits.items()}, state

    def hasten(self, *, bf16: bool = False, compiled: bool = False) -> VPT:
        """Make `policy` faster, in place and for good: this module is for acting from then on.

        Args:
            bf16: weights and activations of the trunk in bf16; worth it from 1x on, and 1e-4 from the original no more.
            compiled: one program of the trunk by torch.compile; the first steps take minutes.
        """
        if bf16:
            bfloat16_weights(self.net)
            self.acts_in_bf16 = True
        if compiled:
            self.net.compile()
        return self

    def learnt(self, batch: Batch, continued: bool) -> Tensor:
        """How much each frame counts in the loss, float32 [B, T]: validity, burn-in, confidence, null actions.

        Args:
            batch: the clips.
            continued: whether the memory of the frames before the clips is there, so that nothing is missed.
        """
        weight = batch.weight**self.confidence_power * batch.valid
        if self.burn_in and not continued:
            late = torch.arange(batch.first.shape[1], device=weight.device) >= self.burn_in
            weight = weight * (late | (batch.first.cumsum(1) > 0))
        if self.null_filter:
            weight = weight * ~self.scheme.is_null(batch.controls)
        return weight

    def clone(self, batch: Batch, stage: str) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """Loss, logits by head and weight of each frame [B, T]; keeps the lanes' memory."""
        B = len(batch.frames)
        continued = self.carry_memory and self.memory is not None and len(self.memory[0][0]) == B
        state = self.memory if continued and self.memory else self.initial_state(B, batch.frames.device)
        first = batch.first
        if self.training and self.forget:
            first = first | (torch.rand(first.shape, device=first.device) < self.forget)
        weight = self.learnt(batch, continued)
        if self.size.n_recurrence_layers:
            logits, after = self(batch.frames, first, state)
        else:
            logits, after = self.glance(batch.frames, first, state, weight > 0)
        if self.carry_memory:
            self.memory = detached(after)
        targets = self.targets(batch)
        if self.training and self.class_weighting:
            self.count_classes(targets, weight)
        relevant = self.scheme.relevant(self.scheme.encode(batch.controls))
        smoothing = self.smoothing if self.training else 0.0
        losses = self.cross_entropy(logits, targets, weight, smoothing, relevant)
        loss = torch.stack(list(losses.values())).sum()
        over_epoch = stage != "train"
        size = logged_size(self, weight.sum()) if over_epoch else B
        self.log(f"{stage}/loss", loss, prog_bar=True, batch_size=size, on_epoch=over_epoch, sync_dist=over_epoch)
        by_head = {f"{stage}/loss_{name}": x.detach() for name, x in losses.items()}
        self.log_dict(by_head, batch_size=size, on_epoch=over_epoch, sync_dist=over_epoch)
        return loss * shares(self, weight.sum()), logits, weight

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Leave the frozen parts alone for now: what has no gradient is neither moved nor decayed, nor clipped by."""
        if self.unfreeze_at is not None and self.global_step < self.unfreeze_at:
            for name in self.frozen:
                self.get_parameter(name).grad = None

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        """Write the size out: the checkpoint that it came from may be gone when this one is read."""
        checkpoint["resolved"] = {"size": asdict(self.size)}
        if self.carry_memory and self.memory is not None and self.trainer.world_size == 1:
            checkpoint["lanes"] = self.memory  # so that a run goes on as if it had not been stopped

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss, _, weight = self.clone(batch, "train")
        self.log("train/weight", weight.mean(), batch_size=len(batch.frames))
        return loss

    def measure(self, batch: Batch, stage: str) -> None:
        """Take a batch of held-out clips into the metrics."""
        _, logits, weight = self.clone(batch, stage)
        self.metrics.update({name: x.softmax(-1) for name, x in logits.items()}, batch.controls, weight > 0)

    def report(self, stage: str) -> None:
        """Log the metrics of an epoch, and go back to the lanes of training."""
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
        self.resumed = checkpoint.get("lanes") if self.carry_memory else None

    def on_validation_epoch_start(self) -> None:
        self.training_memory, self.memory = self.memory, None

    def on_test_epoch_start(self) -> None:
        self.training_memory = self.memory = None

    def on_validation_epoch_end(self) -> None:
        self.report("val")

    def on_test_epoch_end(self) -> None:
        self.report("test")


def detached(state: PolicyState) -> PolicyState:
    """The same memory without its gradient."""
    stack_state, blocks = state
    return stack_state, [(known, (keys.detach(), values.detach())) for known, (keys, values) in blocks]
