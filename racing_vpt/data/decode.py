"""Decoding (more follows)."""

from __future__ import annotations

from pathlib import Path


def probe(path: Path) -> tuple[int, float]:
    """Frames and frames per second of a video."""
    raise NotImplementedError
