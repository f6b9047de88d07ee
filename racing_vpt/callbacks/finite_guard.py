"""Detects NaN and infinity in loss and gradients before the optimizer step.

Data is checked when it is read, actions by the environments (`envs/actions.py`), weights when a checkpoint is written
(`checkpoint_io.py`).
"""

import logging
from collections.abc import Iterator
from typing import Literal

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.optim import Optimizer

from racing_vpt.types import Batch

log = logging.getLogger(__name__)


class FiniteGuard(Callback):
    """Checks the loss and the norm of all gradients at each step.

    Args:
        on_found: `stop` the run, or `skip` the step: the gradients are dropped and the weights stay as they are.
        most_skips: skipped steps in a row after which the run stops anyway, as the weights cannot recover.
    """

    def __init__(self, on_found: Literal["stop", "skip"] = "stop", most_skips: int = 10) -> None:
        if on_found not in ("stop", "skip") or most_skips < 1:
            raise ValueError(
                f"on_found must be stop or skip, most_skips at least 1, but they are {on_found}, {most_skips}"
            )
        self.on_found, self.most_skips = on_found, most_skips
        self.skipped = self.in_a_row = 0
        self.loss: Tensor | None = None
        self.batch: object = None

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        self.batch = batch

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        self.loss = loss.detach()

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Drop the gradients, or stop, if they or the loss are not finite."""
        if getattr(trainer.precision_plugin, "scaler", None) is not None:
            return  # float16: the gradient scaler expects infinities and skips such steps itself
        gradients = [x.grad for group in optimizer.param_groups for x in group["params"] if x.grad is not None]
        found = not self.all_finite(gradients)
        if trainer.world_size > 1:
            found = trainer.strategy.reduce_boolean_decision(found, all=False)
        if not found:
            self.in_a_row = 0
            return
        self.skipped, self.in_a_row = self.skipped + 1, self.in_a_row + 1
        what = f"step {trainer.global_step}: {explain(pl_module, self.loss, self.batch)}"
        if self.on_found == "stop":
            raise ValueError(f"{what}; to skip such steps, set on_found: skip of FiniteGuard in the config")
        if self.in_a_row > self.most_skips:
            raise ValueError(f"{what}; {self.most_skips} steps before it were skipped for the same reason")
        log.warning("skipped %s", what)
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        self.batch = None  # free the batch before the next one is loaded
        if self.on_found == "skip":
            pl_module.log("train/skipped_steps", float(self.skipped))

    def all_finite(self, gradients: list[Tensor]) -> bool:
        """Whether loss and gradients are finite; synchronises with the device once."""
        norms = [torch.stack(torch._foreach_norm(gradients)).isfinite().all()] if gradients else []
        if self.loss is not None:
            norms.append(self.loss.isfinite().all().to(norms[0].device if norms else self.loss.device))
        return bool(torch.stack(norms).all()) if norms else True


def explain(module: nn.Module, loss: Tensor | None, batch: object) -> str:
    """Which of loss, weights, gradients and frames of the batch are not finite, by name."""
    weights = [name for name, x in module.named_parameters() if not x.isfinite().all()]
    gradients = [name for name, x in module.named_parameters() if x.grad is not None and not x.grad.isfinite().all()]
    parts = [] if loss is None else [f"the loss is {loss.float().mean().item():g}"]
    parts += [f"{kind} not finite in {_some(names)}" for kind, names in
              (("gradients are", gradients), ("weights were already", weights)) if names]  # fmt: skip
    if isinstance(batch, Batch):
        data = list(bad_frames(batch))
        parts.append(f"data not finite: {_some(data)}" if data else f"the data is finite; clips {_some(batch.ids)}")
    return "; ".join(parts)


def bad_frames(batch: Batch) -> Iterator[str]:
    """Episode, frame and field of each non-finite number in a batch."""
    fields = {**batch.controls, "weight": batch.weight}
    if batch.rewards is not None:
        fields["reward"] = batch.rewards
    for name, values in fields.items():
        for row, place in (~values.isfinite()).nonzero().tolist():
            episode, _, start = (batch.ids[row] if row < len(batch.ids) else f"row {row}:0").rpartition(":")
            yield f"{name} of {episode}, frame {int(start) + place}"


def _some(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
