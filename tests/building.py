"""Modules from options as the command line writes them: `build(VPT, {"network.size": "tiny", "recompute": 4})`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from racing_vpt.checkpoints.structured import structured_arguments

Module = TypeVar("Module")


def nested(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options by dotted names as nested dictionaries."""
    found: dict[str, Any] = {}
    for dotted, value in options.items():
        *outer, name = dotted.split(".")
        place = found
        for part in outer:
            place = place.setdefault(part, {})
        place[name] = value
    return found


def build(kind: type[Module], options: Mapping[str, Any]) -> Module:
    """A module with these options, its groups of options built."""
    return kind(**structured_arguments(kind, nested(options)))
