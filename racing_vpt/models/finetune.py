"""Going on from another checkpoint: its size, and which parts of the network are trained.

VPT, Baker et al. 2022 (arXiv:2206.11795), section 4.3 and appendix H, fine-tunes all weights; freezing is an addition,
for few recordings or little memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from torch import nn

from racing_vpt.checkpoints.lightning_run import FROM_CHECKPOINT
from racing_vpt.nn.sizes import POLICY_SIZES, NetSize, named_size


def policy_size(size: str | NetSize | dict, memory_frames: int | None, recurrence_layers: int | None) -> NetSize:
    """The size of that name, or the one given, with another memory or depth where asked for."""
    size = named_size(size, POLICY_SIZES, "policy")
    if memory_frames is not None:
        if memory_frames < 1:
            raise ValueError(
                f"memory_frames counts the frame itself, so it is 1 or more, but {memory_frames} was given"
            )
        size = replace(size, attention_memory_size=size.timesteps + memory_frames)
    if recurrence_layers is not None:
        size = replace(size, n_recurrence_layers=recurrence_layers)
    return size


def checkpoint_size(size: str | NetSize | dict, init_from: str | None) -> str | NetSize | dict:
    """The size itself, but for `init_from`: that of the checkpoint that training starts from.

    Raises:
        ValueError: there is none, or it holds no policy.
    """
    from racing_vpt.checkpoints.load import read_checkpoint

    if size != FROM_CHECKPOINT:
        return size
    if init_from is None:
        raise ValueError(
            f"size {FROM_CHECKPOINT} is that of the checkpoint that training starts from, and none was given: name one "
            "with --model.init_from, such as OpenAI's F.model"
        )
    checkpoint = read_checkpoint(init_from)
    if not checkpoint.class_path.endswith(".VPT"):
        raise ValueError(f"init_from {init_from} holds a {checkpoint.class_path}, but a policy (VPT) is to be trained")
    given = checkpoint.init_args
    return policy_size(given.get("size", "tiny"), given.get("memory_frames"), given.get("recurrence_layers"))


def named_parts(module: nn.Module, patterns: Iterable[str]) -> set[str]:
    """Names of the parameters that are meant by beginnings of names (`net.img_process`) or patterns (`*.b_nd`).

    Raises:
        ValueError: a pattern means nothing; it lists what there is.
    """
    names = [name for name, _ in module.named_parameters()]
    found: set[str] = set()
    for pattern in patterns:
        meant = {
            name for name in names if name == pattern or name.startswith(f"{pattern}.") or fnmatchcase(name, pattern)
        }
        if not meant:
            parts = sorted({".".join(name.split(".")[:2]) for name in names})
            raise ValueError(f"no weight is called {pattern!r}; there are {', '.join(parts)}, and parts of them")
        found |= meant
    return found


def frozen_names(module: nn.Module, freeze: Sequence[str], keep: Sequence[str]) -> set[str]:
    """Names of the parameters that `freeze` means and `keep` does not.

    Raises:
        ValueError: nothing would be left to train, or a name means nothing.
    """
    frozen = named_parts(module, freeze) - named_parts(module, keep)
    if not [name for name, weight in module.named_parameters() if weight.requires_grad and name not in frozen]:
        raise ValueError(f"freeze {list(freeze)} leaves nothing to train; keep a part with unfreeze, such as pi_head")
    return frozen
