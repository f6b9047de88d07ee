"""Estimated memory of a training step, logged before training runs out of it.

Forward and backward pass run on tensors without data (torch's FakeTensorMode) and the bytes of live tensors are
counted; AdamW's averages are added. Not counted: the GPU's runtime (0.5 to 1 GiB) and fragmentation of its allocator.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, UntypedStorage
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from racing_vpt.games.read import fields_of
from racing_vpt.models.vpt import VPT
from racing_vpt.models.vpt_config import CloningConfig, PolicyConfig
from racing_vpt.types import Batch, FrameChanges

GIB = 2**30
LARGE = 20_000_000  # parameters; below, the estimate is not worth the seconds it takes
log = logging.getLogger(__name__)


class MemoryEstimate(Callback):
    """Logs the estimated memory of a training step of a large policy before training starts."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        data = getattr(trainer, "datamodule", None)
        shape = [int(getattr(data, name, 0)) for name in ("batch_size", "clip_frames")]
        if not (isinstance(pl_module, VPT) and trainer.is_global_zero and all(shape)):
            return
        if sum(x.numel() for x in pl_module.parameters()) > LARGE:
            log.info("a training step takes about %s", training_memory(pl_module, shape[0], shape[1]))


@dataclass(frozen=True)
class TrainingMemory:
    """Memory of a training step in bytes.

    Args:
        weights: all weights of the module.
        gradients: gradients of the trained weights.
        optimizer: AdamW's two averages of each trained weight.
        rest: all other tensors at the peak: frames, activations kept for the backward pass, temporaries.
    """

    weights: int
    gradients: int
    optimizer: int
    rest: int

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.optimizer + self.rest

    def __str__(self) -> str:
        return (
            f"{self.total / GIB:.1f} GiB (weights {self.weights / GIB:.2f}, gradients {self.gradients / GIB:.2f}, "
            f"AdamW {self.optimizer / GIB:.2f}, frames and activations {self.rest / GIB:.2f})"
        )


class LiveBytes(TorchDispatchMode):
    """Context that counts the bytes of live storages created within it.

    Args:
        apart: tensors to leave out.
    """

    def __init__(self, apart: Iterable[Tensor]) -> None:
        super().__init__()
        self.apart = [StorageWeakRef(tensor.untyped_storage()) for tensor in apart]
        self.known = {reference.cdata for reference in self.apart}
        self.alive: dict[int, tuple[StorageWeakRef, int]] = {}  # key: address, which is not reused while referenced
        self.now = self.most = 0

    def __torch_dispatch__(
        self, func: Callable, types: tuple, args: tuple = (), kwargs: Mapping | None = None
    ) -> object:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self.see(leaf.untyped_storage())
        return result

    def see(self, storage: UntypedStorage) -> None:
        """Count the storage of a tensor until it is freed."""
        reference, size = StorageWeakRef(storage), storage.nbytes()
        if reference.cdata in self.known or reference.cdata in self.alive:
            return
        if self.now + size > self.most:
            self.bury()
        self.alive[reference.cdata] = reference, size
        self.now += size
        self.most = max(self.most, self.now)

    def bury(self) -> None:
        """Stop counting freed storages."""
        for address, (reference, size) in list(self.alive.items()):
            if reference.expired():
                self.now -= size
                del self.alive[address]


def training_memory(policy: VPT, batch_size: int, clip_frames: int) -> TrainingMemory:
    """Memory of a step of behavioural cloning in float32, an upper bound for bf16 autocast.

    Args:
        policy: the trained module; its weights may be on the meta device.
        batch_size: clips in a batch on one device.
        clip_frames: frames in a clip.
    """
    with torch.device("meta"):  # torchmetrics copies its states, and copying fake tensors corrupts the heap
        module = VPT(
            game=fields_of(policy.game), frames=FrameChanges(**vars(policy.frames)),
            network=PolicyConfig(policy.size, policy.stack.look_back),
            cloning=CloningConfig(carry_memory=policy.cloning.carry_memory, null_filter=policy.cloning.null_filter),
            recompute=policy.net.recompute,
        ).train()  # fmt: skip
    with FakeTensorMode(allow_non_fake_inputs=True):
        module.to_empty(device="cpu")
        for name in policy.frozen if policy.unfreeze_at is None else ():
            module.get_parameter(name).requires_grad_(False)
        weights = sum(weight.nbytes for weight in module.parameters())
        trained = sum(weight.nbytes for weight in module.parameters() if weight.requires_grad)
        shape = (batch_size, clip_frames)
        with LiveBytes(module.parameters()) as live:
            batch = Batch(
                frames=torch.zeros(*shape, module.frames.height, module.frames.width, 3, dtype=torch.uint8),
                controls={name: torch.zeros(shape) for name in module.scheme.controls},
                first=torch.zeros(shape, dtype=torch.bool),
                valid=torch.ones(shape, dtype=torch.bool),
                weight=torch.ones(shape),
            )
            losses, _, _ = module.losses(batch)
            torch.stack(list(losses.values())).sum().backward()
            most = live.most
    return TrainingMemory(weights, trained, 2 * trained, most - trained)
