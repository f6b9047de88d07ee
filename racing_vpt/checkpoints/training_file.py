"""What `fit` saves: a `.ckpt` of Lightning, with each part of the kind that it should be."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from racing_vpt.checkpoints.torch_file import describe_file, load_tensors

KINDS: dict[str, type] = {
    "state_dict": dict, "current_model_state": dict, "hyper_parameters": dict, "callbacks": dict, "loops": dict,
    "resolved": dict, "optimizer_states": list, "lr_schedulers": list, "epoch": int, "global_step": int,
}  # fmt: skip


def read_training(path: Path) -> dict:
    """A training checkpoint: tensors and plain data.

    Raises:
        ValueError: it is damaged, or a part is not what Lightning writes; it names the file and the part.
    """
    saved = load_tensors(path)
    if "state_dict" not in saved:
        raise ValueError(f"{path} has no state_dict; expected a checkpoint that racing-vpt fit wrote")
    for part, kind in KINDS.items():
        if part in saved and type(saved[part]) is not kind and not (kind is dict and isinstance(saved[part], dict)):
            raise ValueError(f"{path}: {part} is a {type(saved[part]).__name__}; it should be a {kind.__name__}")
    for part, kind in (("state_dict", Tensor), ("current_model_state", Tensor), ("callbacks", dict)):
        _check_values(saved.get(part, {}), kind, f"{path}: {part}")
    for part in ("optimizer_states", "lr_schedulers"):
        _check_values({str(at): state for at, state in enumerate(saved.get(part, []))}, dict, f"{path}: {part}")
    return saved


def step_of(path: Path) -> int:
    """The training step at which a checkpoint was saved, read without its tensors; -1 where it does not say."""
    try:
        step = describe_file(path).get("global_step")
    except (ValueError, OSError):
        return -1
    return step if type(step) is int else -1


def newest_first(paths: list[Path]) -> list[Path]:
    """Checkpoints by their step, the last one first; of the same step, as the clock says."""
    return sorted(paths, key=lambda path: (step_of(path), path.stat().st_mtime_ns), reverse=True)


def _check_values(part: Mapping, kind: type, what: str) -> None:
    for name, value in part.items():
        if not isinstance(value, kind) or not isinstance(name, str):
            raise ValueError(f"{what} holds {str(name)[:80]!r}, a {type(value).__name__}; expected a {kind.__name__}")
