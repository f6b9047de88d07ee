"""Training progress in steps: how many, how fast, time left, next validation."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Mapping

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint, ProgressBar
from torch import Tensor
from tqdm import tqdm

log = logging.getLogger(__name__)


class FitProgress(ProgressBar):
    """One line, redrawn on a terminal, or written anew every half minute where output goes to a file.

    It replaces Lightning's progress bar, which counts the batches of an epoch and not the steps or the time left.

    Args:
        seconds_between_redraws: on a terminal.
        seconds_between_lines: elsewhere.
    """

    def __init__(self, seconds_between_redraws: float = 0.5, seconds_between_lines: float = 30.0) -> None:
        super().__init__()
        self.on_terminal = sys.stderr.isatty()
        self.pause = seconds_between_redraws if self.on_terminal else seconds_between_lines
        self.enabled = True
        self.bar: tqdm | None = None
        self.shown = -math.inf  # when the line was last written
        self.first_step = self.waited = self.paused_at = 0.0
        self.began = time.monotonic()

    def disable(self) -> None:
        """Show nothing; Lightning calls this on all ranks but the first."""
        self.enabled = False

    def enable(self) -> None:
        """Show progress again."""
        self.enabled = True

    def print(self, *values: object, **options: object) -> None:
        """Write a line above the bar."""
        if self.enabled:
            tqdm.write(" ".join(map(str, values)), file=sys.stderr)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.first_step, self.began, self.waited = trainer.global_step, time.monotonic(), 0.0
        if not self.enabled:
            return
        total, validation = total_steps(trainer), next_validation(trainer)
        steps = "steps without an end" if total is None else f"{total:,} steps"
        start = f", from step {trainer.global_step:,} on" if trainer.global_step else ""
        first = "no validation" if validation is None else f"next validation at step {validation:,}"
        self.print(
            f"{trainer.default_root_dir}: {steps}{start}, {first}; stop with Ctrl-C, continue with --ckpt_path last"
        )
        if self.on_terminal:
            self.bar = tqdm(bar_format="{desc}", file=sys.stderr, leave=True)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        last = trainer.global_step == total_steps(trainer)
        if last or time.monotonic() - self.shown >= self.pause:
            seconds = time.monotonic() - self.began - self.waited
            text = progress_line(
                trainer.global_step, total_steps(trainer), int(self.first_step), seconds, next_validation(trainer)
            )
            self.show(text + self.losses(trainer, pl_module))

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.paused_at = time.monotonic()  # validation does not count towards the rate

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if self.bar is not None and time.monotonic() - self.shown >= self.pause:
            (batches, *_) = trainer.num_val_batches or [math.inf]
            of = f" of {batches:,}" if math.isfinite(batches) else ""
            self.show(f"validation at step {trainer.global_step:,}: {batch_idx + 1:,}{of} batches")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.sanity_checking:
            return
        self.waited += time.monotonic() - self.paused_at
        watched = {
            callback.monitor
            for callback in trainer.checkpoint_callbacks
            if isinstance(callback, ModelCheckpoint) and callback.monitor
        }
        values = [f"{name} {trainer.callback_metrics[name]:.4g}" for name in watched & trainer.callback_metrics.keys()]
        if values:
            self.print(f"validation at step {trainer.global_step:,}: {', '.join(sorted(values))}")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self.close()

    def close(self) -> None:
        """End the line."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def show(self, text: str) -> None:
        """Redraw the line, or write a new one where output goes to a file."""
        self.shown = time.monotonic()
        if self.bar is not None:
            self.bar.set_description_str(text)
        elif self.enabled:
            self.print(text)

    def losses(self, trainer: Trainer, pl_module: LightningModule) -> str:
        """Metrics logged with `prog_bar=True`, formatted."""
        values: Mapping[str, object] = self.get_metrics(trainer, pl_module)
        numbers = {name: float(value) for name, value in values.items() if isinstance(value, (int, float, Tensor))}
        return "".join(f", {name} {value:.4g}" for name, value in numbers.items() if name != "v_num")


def progress_line(step: int, total: int | None, first: int, seconds: float, validation: int | None) -> str:
    """`85 of 6,000 steps, 1.87 steps/s, 52:43 left, next validation at step 1,000`.

    Args:
        step: training steps done.
        total: total number of steps; None for endless training.
        first: step at which this process started.
        seconds: training time of this process, without validation.
        validation: step of the next validation.
    """
    rate = (step - first) / seconds if seconds > 0 else 0.0
    parts = [f"{step:,} steps" if total is None else f"{step:,} of {total:,} steps", f"{rate:.3g} steps/s"]
    if total is not None and rate > 0:
        parts.append(f"{tqdm.format_interval((total - step) / rate)} left")
    if validation is not None:
        parts.append(f"next validation at step {validation:,}")
    return ", ".join(parts)


def total_steps(trainer: Trainer) -> int | None:
    """Total number of training steps; None if endless or unknown."""
    steps = [trainer.max_steps] if trainer.max_steps > 0 else []
    batches, epochs = trainer.num_training_batches, trainer.max_epochs
    if epochs is not None and epochs > 0 and math.isfinite(batches):
        steps.append(math.ceil(batches / trainer.accumulate_grad_batches) * epochs)
    return min(steps) if steps else None


def next_validation(trainer: Trainer) -> int | None:
    """Step of the next validation; None if there is none before the end, or the epoch's length is unknown."""
    interval, epoch = trainer.val_check_batch, trainer.num_training_batches
    if not trainer.enable_validation or interval is None or not math.isfinite(interval):
        return None
    loop = trainer.fit_loop.epoch_loop
    if trainer.check_val_every_n_epoch is None:
        batches = interval - (loop.total_batch_idx + 1) % interval
    elif math.isfinite(epoch):
        passed, within = divmod(loop.batch_idx + 1, epoch)  # passed: 1 after the last batch of an epoch
        others = -(trainer.current_epoch + passed + 1) % trainer.check_val_every_n_epoch
        batches = others * epoch + (interval - within if others else interval - within % interval)
    else:
        return None
    step = trainer.global_step + math.ceil(batches / trainer.accumulate_grad_batches)
    total = total_steps(trainer)
    return step if total is None or step <= total else None
