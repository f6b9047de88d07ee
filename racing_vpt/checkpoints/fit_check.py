"""Whether weights are those of the module that settings describe, before there is memory for either.

Settings come from a file and may ask for a network of any size. So it is first built on PyTorch's meta device, where
tensors have shapes and no numbers, and building stops once it has more than the weights explain.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

SPARE_TENSORS = 256  # parameters that a module may make beyond its weights: copies of a network that are not stored
SPARE_NUMBERS = 1 << 22
COPIES = 4  # of a network within a module: target networks and averages


class WeightsError(ValueError):
    """Weights that do not fit the network."""


@contextmanager
def no_larger_than(state_dict: Mapping[str, Tensor], name: str) -> Iterator[None]:
    """Within the block modules are built on the meta device, and no larger than weights explain.

    Raises:
        WeightsError: there are more parameters, or more numbers in them.
    """
    tensors = SPARE_TENSORS + COPIES * len(state_dict)
    numbers = SPARE_NUMBERS + COPIES * sum(tensor.numel() for tensor in state_dict.values())

    def count(module: nn.Module, parameter_name: str, parameter: nn.Parameter | None) -> None:
        nonlocal tensors, numbers
        if parameter is None:
            return
        tensors, numbers = tensors - 1, numbers - math.prod(parameter.shape)
        if tensors < 0 or numbers < 0:
            held = sum(tensor.numel() for tensor in state_dict.values())
            raise WeightsError(
                f"{name}: its settings ask for a larger network than its weights are of: they are {len(state_dict)} "
                f"tensors of {held} numbers"
            )

    hook = register_module_parameter_registration_hook(count)
    try:
        with torch.device("meta"):
            yield
    finally:
        hook.remove()


def check_weights(
    module: nn.Module, state_dict: Mapping[str, Tensor], name: str, *, allow_extra: bool = False
) -> list[str]:
    """Names of unused tensors; WeightsError if `load_strictly` would fail."""
    own = module.state_dict()
    missing, unexpected = sorted(own.keys() - state_dict.keys()), sorted(state_dict.keys() - own.keys())
    missing = [key for key in missing if not key.startswith(getattr(module, "ADDED", ()))]
    shapes = [
        f"{key} {tuple(state_dict[key].shape)} instead of {tuple(own[key].shape)}"
        for key in own
        if key in state_dict and state_dict[key].shape != own[key].shape
    ]
    found = [f"{what}: {', '.join(keys)}" for what, keys in (
        ("missing", missing), ("unexpected", [] if allow_extra else unexpected), ("of another shape", shapes)
    ) if keys]  # fmt: skip
    if found:
        kind = type(module).__name__
        raise WeightsError(f"{name}: the weights are not those of a {kind} so built; {'; '.join(found)}")
    return unexpected


def with_twins(module: nn.Module, state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights, with what they may lack restored.

    That are copies of networks that an export leaves out (`TWINS` of the module), and buffers that older checkpoints
    lack and that are then unset (its `ADDED`).
    """
    held = dict(state_dict)
    for key, value in module.state_dict().items():
        if key.startswith(getattr(module, "ADDED", ())):
            held.setdefault(key, value)
    for twin, original in getattr(module, "TWINS", ()):
        for key in module.state_dict():
            source = original + key.removeprefix(twin)
            if key.startswith(twin) and key not in held and source in held:
                held[key] = held[source]
    return held
