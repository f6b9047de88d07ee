"""Builds modules from dotted options, as the command line does: `build(VPT, {"network.size": "tiny"})`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from racing_vpt.checkpoints.structured import structured_arguments

Module = TypeVar("Module")


def nested(options: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted options as nested dictionaries."""
    found: dict[str, Any] = {}
    for dotted, value in options.items():
        *outer, name = dotted.split(".")
        place = found
        for part in outer:
            place = place.setdefault(part, {})
        place[name] = value
    return found


def build(kind: type[Module], options: Mapping[str, Any]) -> Module:
    """A module with these options."""
    return kind(**structured_arguments(kind, nested(options)))
