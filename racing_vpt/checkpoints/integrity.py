"""Checks the integrity of checkpoints: checksums, and that all numbers are finite.

torch does not verify the checksums of the zip files that it reads (`torch_file.py` does), and it saves NaN without a
warning.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from racing_vpt.checkpoints.training_file import newest_first, read_training

PREVIOUS = ".previous"  # `last.ckpt.previous` is the version before `last.ckpt`
MUST_BE_FINITE = ("state_dict", "current_model_state", "optimizer_states")


def fault_of(path: Path) -> str | None:
    """Description of the fault of a `.ckpt`; None if it is complete, plain data and finite."""
    try:
        saved = read_training(path)
    except (ValueError, OSError) as error:
        return str(error) if str(path) in str(error) else f"{path}: {error}"
    bad = next(non_finite(saved), None)
    return None if bad is None else f"{path}: {bad} holds NaN or infinity"


def non_finite(checkpoint: Mapping) -> Iterator[str]:
    """Names of the tensors of weights and optimizers that contain NaN or infinity."""
    for part in MUST_BE_FINITE:
        yield from _non_finite(checkpoint.get(part), part)


def newest_whole(wanted: Path) -> tuple[Path, list[str]]:
    """The checkpoint to resume from: `wanted` (`checkpoints/last.ckpt`), unless it is damaged.

    Returns:
        `wanted`, or else the intact one of the highest step in its folder; and the faults of those skipped.

    Raises:
        FileNotFoundError: there is no checkpoint.
        ValueError: none is intact; the message names the fault of each.
    """
    others = [*wanted.parent.glob("*.ckpt"), *wanted.parent.glob(f"*.ckpt{PREVIOUS}")]
    if not wanted.is_file() and not others:
        raise FileNotFoundError(f"{wanted} does not exist; without --ckpt_path the run starts from the beginning")
    fault = fault_of(wanted) if wanted.is_file() else f"{wanted} does not exist"
    if fault is None:
        return wanted, []
    faults = [fault]
    for path in newest_first(sorted({*others} - {wanted})):
        fault = fault_of(path)
        if fault is None:
            return path, faults
        faults.append(fault)
    raise ValueError(f"no checkpoint in {wanted.parent} can be resumed: {'; '.join(faults)}")


def _non_finite(value: object, name: str) -> Iterator[str]:
    if isinstance(value, torch.Tensor):
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            yield name
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _non_finite(inner, f"{name}.{key}")
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _non_finite(inner, f"{name}.{index}")
