"""Threads that follow the load of the machine while a model trains or labels."""

from __future__ import annotations

import logging
import sys

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from racing_vpt.free_cores import THREADS_VARIABLE, CoreWatch, num_cores

log = logging.getLogger(__name__)


class FollowLoad(Callback):
    """Computes with as many threads as cores are free, also after other programs start or end.

    Two threads of which one shares its core wait for each other: labelling took four times as long beside a program
    that started after it. Nothing changes with several processes, on a GPU, or in what torch.compile compiled, which it
    would compile again for another number of threads.
    """

    def __init__(self) -> None:
        self.watch: CoreWatch | None = None
        self.said = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if trainer.world_size == 1 and trainer.strategy.root_device.type == "cpu":
            self.watch = CoreWatch()

    def follow(self) -> None:
        """Change the number of threads if that of the free cores has changed."""
        threads = self.watch.threads() if self.watch is not None else None
        if threads is None or threads == torch.get_num_threads() or _compiled():
            return
        if threads < torch.get_num_threads() and not self.said:
            self.said = True
            log.warning(
                "other programs have begun to use the processor: this run goes on with %d thread%s of %d until they "
                "end; %s=%d takes all",
                threads, "s" * (threads > 1), num_cores(), THREADS_VARIABLE, num_cores(),
            )  # fmt: skip
        torch.set_num_threads(threads)

    def on_train_batch_end(self, *about: object) -> None:
        self.follow()

    def on_validation_batch_end(self, *about: object) -> None:
        self.follow()

    def on_test_batch_end(self, *about: object) -> None:
        self.follow()

    def on_predict_batch_end(self, *about: object) -> None:
        self.follow()


def _compiled() -> bool:
    """Whether torch.compile has compiled anything in this process."""
    dynamo = sys.modules.get("torch._dynamo.utils")  # importing it takes seconds
    return dynamo is not None and bool(dynamo.counters["stats"])
