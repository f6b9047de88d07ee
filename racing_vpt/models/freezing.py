"""Which parts of a network are not trained.

VPT, Baker et al. 2022 (arXiv:2206.11795), section 4.3 and appendix H, fine-tunes all weights; freezing is an addition,
for few recordings or little memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from torch import nn


def named_parts(module: nn.Module, patterns: Iterable[str]) -> set[str]:
    """Names of the parameters that match prefixes of names (`net.img_process`) or patterns (`*.b_nd`).

    Raises:
        ValueError: a pattern matches nothing; it lists what there is.
    """
    names = [name for name, _ in module.named_parameters()]
    found: set[str] = set()
    for pattern in patterns:
        matched = {
            name for name in names if name == pattern or name.startswith(f"{pattern}.") or fnmatchcase(name, pattern)
        }
        if not matched:
            parts = sorted({".".join(name.split(".")[:2]) for name in names})
            raise ValueError(f"no weight is called {pattern!r}; there are {', '.join(parts)}, and parts of them")
        found |= matched
    return found


def frozen_names(module: nn.Module, freeze: Sequence[str], keep: Sequence[str]) -> set[str]:
    """Names of the parameters that `freeze` matches and `keep` does not.

    Raises:
        ValueError: nothing would be left to train, or a pattern matches nothing.
    """
    frozen = named_parts(module, freeze) - named_parts(module, keep)
    if not [name for name, weight in module.named_parameters() if weight.requires_grad and name not in frozen]:
        raise ValueError(
            f"freeze {list(freeze)} leaves nothing to train; except a part with --model.freezing.keep, such as pi_head"
        )
    return frozen
