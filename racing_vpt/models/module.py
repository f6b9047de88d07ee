"""Base of the models that predict controls: game scheme, initial weights, soft cross entropy, optimizer and schedule.

Subclasses build a network whose heads are those of the control scheme. Targets are soft (`ControlScheme.encode_soft`):
a value between two bins belongs to both, so that the mean of a prediction is not bound to the bins.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import OptimizerCallable
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from racing_vpt.games.controls import ControlScheme
from racing_vpt.games.game import ModelKind
from racing_vpt.games.read import as_game
from racing_vpt.nn.masked import masked_mean
from racing_vpt.types import Batch, FrameChanges, frame_spec

Schedule = Literal["constant", "cosine", "linear"]
logger = logging.getLogger(__name__)


class ControlModule(LightningModule):
    """Frames in, a distribution over each control out.

    Args:
        game: name or file of the game, or all that its file says; its controls determine the heads.
        frames: how the frames that the model sees differ from the game's.
        optimizer: built from the trainable parameters; weight decay applies to matrices and kernels only.
        schedule: shape of the learning rate after the warm-up, over the steps of the run.
        warmup_steps: steps over which the learning rate rises from 0.
        class_weighting: p in class weight = frequency^-p, normalized to mean 1; 0 weights all samples alike.
        min_class_count: number of frames as which rarer classes count in `class_weighting`.
        scheme: one of the game's control schemes; None: the one for this kind of model.
        init_from: checkpoint to take initial weights from (path, run folder or zoo:NAME).
    """

    kind: ModelKind
    class_counts: dict[str, Tensor]

    def __init__(
        self,
        *,
        game: str | dict,
        frames: FrameChanges,
        optimizer: OptimizerCallable,
        schedule: Schedule,
        warmup_steps: int,
        class_weighting: float,
        init_from: str | None,
        min_class_count: int = 0,
        scheme: str | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= class_weighting <= 1:
            raise ValueError(f"class_weighting must lie in [0, 1], but {class_weighting} was given")
        if warmup_steps < 0:
            raise ValueError(f"warmup_steps must be 0 or more, but {warmup_steps} was given")
        self.game = as_game(game)
        self.frames = frame_spec(frames, self.game.frames)
        self.scheme: ControlScheme = self.game.scheme(scheme, kind=self.kind)
        self.optimizer = optimizer
        self.schedule = schedule
        self.warmup_steps = warmup_steps
        self.class_weighting, self.min_class_count = class_weighting, min_class_count
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
        """Load every weight that matches in name and shape; log the others, such as those of new heads.

        Raises:
            ValueError: the checkpoint `name` holds another network, or a trunk (`net`) of another size.
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
                f"{', '.join(shapes) or 'no weight of its trunk has a place here'}{more}; give the same size and "
                "frames (for a policy: --model.network.size init_from), or another checkpoint"
            )
        self.load_state_dict(fitting, strict=False)
        twins = tuple(twin for twin, _ in getattr(self, "TWINS", ()))
        left = sorted(key for key in own.keys() - fitting.keys() - counts if not key.startswith(twins))
        foreign = sorted(key for key in state.keys() - fitting.keys() - counts if not key.startswith(twins))
        if left or foreign:
            logger.warning(
                "init_from %s: weights left at their initial values: %s; not loaded: %s", name, left, foreign
            )

    def fingerprint(self) -> str:
        """16 hexadecimal digits that identify the weights, as in the checkpoint that they came from."""
        from racing_vpt.checkpoints.folder import fingerprint

        return fingerprint(self.state_dict())

    def check_controls(self, batch: Batch) -> None:
        """Raise ValueError if the batch lacks a control of the scheme."""
        missing = [control for control in self.scheme.controls if control not in batch.controls]
        if missing:
            raise ValueError(
                f"the data has the controls {sorted(batch.controls)}, but the game {self.scheme.name} has "
                f"{list(self.scheme.controls)}: give data of that game, or the data's game with --game"
            )

    def targets(self, batch: Batch) -> dict[str, Tensor]:
        """Soft targets float32 [B, T, classes] by head."""
        self.check_controls(batch)
        return self.scheme.encode_soft(batch.controls)

    def count_classes(self, targets: Mapping[str, Tensor], weight: Tensor) -> None:
        """Add a training batch to the class frequencies that `class_weighting` uses, summed over all ranks."""
        for name, target in targets.items():
            counts = torch.einsum("btc,bt->c", target, weight)
            getattr(self, f"class_counts_{name}").add_(self.trainer.strategy.reduce(counts, reduce_op="sum"))

    def class_weights(self, name: str) -> Tensor:
        """Weights float32 [classes] of a head's classes: frequency^-class_weighting, with mean 1 over the data."""
        counts: Tensor = getattr(self, f"class_counts_{name}").clamp(min=self.min_class_count)
        frequency = (counts + 1e-3 * counts.sum() / len(counts) + 1e-6) / (counts.sum() * 1.001 + 1e-6 * len(counts))
        weights = frequency**-self.class_weighting
        return weights / (weights * frequency).sum()

    def cross_entropy(
        self,
        logits: Mapping[str, Tensor],
        targets: Mapping[str, Tensor],
        weight: Tensor,
        label_smoothing: float = 0.0,
        relevant: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Mean cross entropy of each head, a scalar by name.

        Args:
            logits: float [B, T, classes] by head.
            targets: soft targets of the same shape.
            weight: float32 [B, T], 0 where nothing is to be learned.
            label_smoothing: share of the target that is spread over all classes.
            relevant: bool [B, T] by head, where the head counts at all (`ControlScheme.relevant`). The losses then sum
                to the mean negative log-likelihood of controls whose heads depend on each other.
        """
        losses = {}
        for name, target in targets.items():
            weights = self.class_weights(name) if self.class_weighting else None
            spread = smoothed(target, label_smoothing)
            each = -(spread * logits[name].float().log_softmax(-1)).sum(-1)  # [B, T]
            full = weight if weights is None else weight * (target @ weights)
            if relevant is not None and name in relevant:
                full = full * relevant[name]
            losses[name] = masked_mean(each, full, count=weight.sum())
        return losses

    def configure_optimizers(self) -> OptimizerLRScheduler:
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return with_schedule(self, self.optimizer(decay_groups(trained)), self.schedule, self.warmup_steps)


def smoothed(target: Tensor, share: float) -> Tensor:
    """A soft target [..., classes] with a share of it spread over all classes (label smoothing)."""
    return target.lerp(torch.full_like(target, 1 / target.shape[-1]), share) if share else target


def decay_groups(parameters: Sequence[torch.nn.Parameter]) -> list[dict]:
    """Parameter groups that apply weight decay to matrices and kernels, not to biases and gains."""
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
    """Factor on the learning rate at `step` of `steps`: linear warm-up, then the schedule down to 0.01."""
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    if schedule == "constant" or not math.isfinite(steps):
        return 1.0
    done = min(1.0, (step - warmup_steps) / max(1, steps - warmup_steps))
    return max(0.01, 0.5 * (1 + math.cos(math.pi * done)) if schedule == "cosine" else 1 - done)
