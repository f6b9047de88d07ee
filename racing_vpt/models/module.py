"""What the models of controls share: frames and scheme, starting weights, soft cross entropy, optimizer and schedule.

Subclasses build a network whose heads are those of the scheme. Targets are soft (`ControlScheme.encode_soft`): a value
between two bins belongs to both, so that the mean of a prediction is not bound to the bins.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import OptimizerCallable
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from racing_vpt.games.controls import ControlScheme, control_scheme
from racing_vpt.types import Batch, FrameSpec, frame_spec

Schedule = Literal["constant", "cosine", "linear"]
logger = logging.getLogger(__name__)


def adamw(parameters: Iterable) -> torch.optim.Optimizer:
    """The optimizer where none is configured."""
    return torch.optim.AdamW(parameters, lr=3e-4, weight_decay=0.01)


class ControlModule(LightningModule):
    """Frames in, a distribution over each control out.

    Args:
        frames: what the model wants to see.
        scheme: name of the control scheme.
        optimizer: made from the trainable parameters; matrices and kernels alone get its weight decay.
        schedule: how the learning rate falls after the warm-up, over the steps of the run.
        warmup_steps: steps over which the learning rate rises from 0.
        class_weighting: p in weight = frequency^-p of a class, the weights' mean being 1; 0 weighs all samples alike.
        init_from: checkpoint whose weights training starts from (path, run folder or zoo:NAME).
    """

    class_counts: dict[str, Tensor]

    def __init__(
        self,
        frames: FrameSpec,
        scheme: str,
        optimizer: OptimizerCallable,
        schedule: Schedule,
        warmup_steps: int,
        class_weighting: float,
        init_from: str | None,
    ) -> None:
        super().__init__()
        if not 0 <= class_weighting <= 1:
            raise ValueError(f"class_weighting is a power in [0, 1], but {class_weighting} was given")
        if warmup_steps < 0:
            raise ValueError(f"warmup_steps counts steps from 0, but {warmup_steps} was given")
        self.frames = frame_spec(frames)
        self.scheme: ControlScheme = control_scheme(scheme)
        self.optimizer = optimizer
        self.schedule = schedule
        self.warmup_steps = warmup_steps
        self.class_weighting = class_weighting
        self.init_from = init_from
        for name, classes in self.scheme.num_classes.items():
            self.register_buffer(f"class_counts_{name}", torch.zeros(classes))

    def setup(self, stage: str) -> None:
        if stage == "fit" and self.init_from is not None and self.trainer.ckpt_path is None:
            from racing_vpt.checkpoints.load import read_checkpoint

            checkpoint = read_checkpoint(self.init_from)
            kind = type(self).__name__
            if {checkpoint.class_path.rsplit(".", 1)[-1], kind} == {"IDM", "VPT"}:
                raise ValueError(
                    f"init_from {self.init_from} holds a {checkpoint.class_path}, but a {kind} is to be trained: an "
                    "inverse dynamics model (IDM) and a policy (VPT) cannot start from each other"
                )
            self.take_weights(checkpoint.state_dict, self.init_from)

    def take_weights(self, state: Mapping[str, Tensor], name: str) -> None:
        """Load every weight whose name and shape are the module's own, and log those that are not, such as new heads'.

        Raises:
            ValueError: `name` is a checkpoint of another network, or its trunk (`net`) has another size.
        """
        own = self.state_dict()
        counts = {key for key in {*own, *state} if key.startswith("class_counts_")}
        fitting = {key: x for key, x in state.items() if key in own and x.shape == own[key].shape and key not in counts}
        unlike = [key for key in own if key.startswith("net.") and key in state and key not in fitting]
        if unlike or not any(key.startswith("net.") for key in fitting):
            shapes = [f"{key} {tuple(state[key].shape)} instead of {tuple(own[key].shape)}" for key in unlike[:3]]
            more = f" and {len(unlike) - 3} more" if len(unlike) > 3 else ""
            raise ValueError(
                f"init_from {name} has another network than this {type(self).__name__}: "
                f"{', '.join(shapes) or 'no weight of its trunk has a place here'}{more}; take its size and frames "
                "(a policy does with --model.size init_from), or another checkpoint"
            )
        self.load_state_dict(fitting, strict=False)
        left, foreign = sorted(own.keys() - fitting.keys() - counts), sorted(state.keys() - fitting.keys() - counts)
        if left or foreign:
            logger.warning("init_from %s: weights left at random: %s; not taken from it: %s", name, left, foreign)

    def fingerprint(self) -> str:
        """16 hexadecimal digits that name the weights, as in the checkpoint that they came from."""
        from racing_vpt.checkpoints.folder import fingerprint

        return fingerprint(self.state_dict())

    def check_controls(self, batch: Batch) -> None:
        """ValueError where the batch lacks a control of the scheme."""
        missing = [control for control in self.scheme.controls if control not in batch.controls]
        if missing:
            raise ValueError(
                f"the data has the controls {sorted(batch.controls)}, but scheme {self.scheme.name} of the model needs "
                f"{list(self.scheme.controls)}: choose data of that scheme, or another --model.scheme"
            )

    def targets(self, batch: Batch) -> dict[str, Tensor]:
        """Soft targets float32 [B, T, classes] by head."""
        self.check_controls(batch)
        return self.scheme.encode_soft(batch.controls)

    def count_classes(self, targets: Mapping[str, Tensor], weight: Tensor) -> None:
        """Take a training batch into the class frequencies that `class_weighting` uses; the same on every rank."""
        for name, target in targets.items():
            counts = torch.einsum("btc,bt->c", target, weight)
            getattr(self, f"class_counts_{name}").add_(self.trainer.strategy.reduce(counts, reduce_op="sum"))

    def class_weights(self, name: str) -> Tensor:
        """Weight float32 [classes] of each class of a head: frequency^-class_weighting, on average 1 over the data."""
        counts: Tensor = getattr(self, f"class_counts_{name}")
        frequency = (counts + 1e-3 * counts.sum() / len(counts) + 1e-6) / (counts.sum() * 1.001 + 1e-6 * len(counts))
        weights = frequency**-self.class_weighting
        return weights / (weights * frequency).sum()

    def cross_entropy(
        self,
        logits: Mapping[str, Tensor],
        targets: Mapping[str, Tensor],
        weight: Tensor,
        smoothing: float = 0.0,
        relevant: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Mean cross entropy of each head, a scalar by name.

        Args:
            logits: float [B, T, classes] by head.
            targets: soft targets of the same shape.
            weight: float32 [B, T], 0 where nothing is to be learnt.
            smoothing: share of the target that is spread over all classes.
            relevant: bool [B, T] by head, where it counts at all (`ControlScheme.relevant`). The sum of the losses is
                then the mean negative log-likelihood of controls whose heads depend on each other.
        """
        losses = {}
        for name, target in targets.items():
            weights = self.class_weights(name) if self.class_weighting else None
            spread = target.lerp(torch.full_like(target, 1 / target.shape[-1]), smoothing) if smoothing else target
            each = -(spread * logits[name].float().log_softmax(-1)).sum(-1)  # [B, T]
            full = weight if weights is None else weight * (target @ weights)
            if relevant is not None and name in relevant:
                full = full * relevant[name]
            losses[name] = (each * full).sum() / weight.sum().clamp(min=1.0)
        return losses

    def configure_optimizers(self) -> OptimizerLRScheduler:
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return with_schedule(self, self.optimizer(decay_groups(trained)), self.schedule, self.warmup_steps)


def decay_groups(parameters: Sequence[torch.nn.Parameter]) -> list[dict]:
    """Groups for an optimizer whose weight decay is for matrices and kernels, not for biases and gains."""
    groups: list[dict] = [
        {"params": [parameter for parameter in parameters if parameter.ndim > 1]},
        {"params": [parameter for parameter in parameters if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def with_schedule(
    module: LightningModule, optimizer: torch.optim.Optimizer, schedule: Schedule, warmup_steps: int
) -> OptimizerLRScheduler:
    """The optimizer with a learning rate that rises for `warmup_steps` and then falls over the steps of the run."""
    steps = module.trainer.estimated_stepping_batches
    factor = LambdaLR(optimizer, lambda step: learning_rate(step, warmup_steps, steps, schedule))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": factor, "interval": "step"}}


def learning_rate(step: int, warmup_steps: int, steps: float, schedule: Schedule) -> float:
    """Factor on the learning rate at `step` of `steps`: a linear rise, then the schedule down to a hundredth."""
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    if schedule == "constant" or not math.isfinite(steps):
        return 1.0
    done = min(1.0, (step - warmup_steps) / max(1, steps - warmup_steps))
    return max(0.01, 0.5 * (1 + math.cos(math.pi * done)) if schedule == "cosine" else 1 - done)
