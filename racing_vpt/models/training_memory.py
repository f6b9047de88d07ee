"""How much memory a training step takes, found without taking it.

Forward and backward pass run on tensors without contents (torch's FakeTensorMode), and whatever is alive is counted;
AdamW's averages are added. Not counted: what the GPU's runtime takes (0.5 to 1 GiB) and what its allocator wastes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, UntypedStorage
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from racing_vpt.models.vpt import VPT
from racing_vpt.types import Batch

GIB = 2**30


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes of a training step.

    Args:
        weights: all of the module's.
        gradients: of those that are trained.
        optimizer: AdamW's two averages of each.
        rest: what else is alive at the worst moment: frames, what is kept for the backward pass, temporaries.
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
    """Counts the bytes of all storages that come up within it and still live.

    Args:
        apart: tensors that do not count.
    """

    def __init__(self, apart: Iterable[Tensor]) -> None:
        super().__init__()
        self.apart = [StorageWeakRef(tensor.untyped_storage()) for tensor in apart]
        self.known = {reference.cdata for reference in self.apart}
        self.alive: dict[int, tuple[StorageWeakRef, int]] = {}  # by address, which is not used again while referred to
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
        """Count a storage from now until it dies."""
        reference, size = StorageWeakRef(storage), storage.nbytes()
        if reference.cdata in self.known or reference.cdata in self.alive:
            return
        if self.now + size > self.most:
            self.bury()
        self.alive[reference.cdata] = reference, size
        self.now += size
        self.most = max(self.most, self.now)

    def bury(self) -> None:
        """Forget the storages that died."""
        for address, (reference, size) in list(self.alive.items()):
            if reference.expired():
                self.now -= size
                del self.alive[address]


def training_memory(policy: VPT, batch_size: int, clip_frames: int) -> TrainingMemory:
    """The memory of a step of behavioural cloning in float32; under bf16 autocast it is less.

    Args:
        policy: what is trained; its weights may lie on the meta device.
        batch_size: clips in a batch on one device.
        clip_frames: frames in a clip.
    """
    with torch.device("meta"):  # torchmetrics copies its states, which of tensors without contents breaks the heap
        module = VPT(
            policy.frames, policy.scheme.name, policy.size, policy.stack.look_back, carry_memory=policy.carry_memory,
            null_filter=policy.null_filter, class_weighting=0.0, recompute=policy.net.recompute,
        ).train()  # fmt: skip
    with FakeTensorMode(allow_non_fake_inputs=True):
        module.to_empty(device="cpu")
        module.log = module.log_dict = lambda *args, **kwargs: None  # type: ignore[method-assign,assignment]
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
            loss, _, _ = module.clone(batch, "train")
            loss.backward()
            most = live.most
    return TrainingMemory(weights, trained, 2 * trained, most - trained)
