"""Recordings, labels or shards in a dataset repository of the Hugging Face Hub, fetched as a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from racing_vpt.data.manifest import MANIFEST
from racing_vpt.hub.fetch import Listed, fetch, pin
from racing_vpt.hub.names import is_hub, parse
from racing_vpt.video.decoders import VIDEO_SUFFIXES

SUFFIXES = frozenset({".json", ".jsonl", ".tar", ".png", ".csv", ".parquet", ".npy", ".jpg", ".md"} | VIDEO_SUFFIXES)


def at_hand(path: str) -> str:
    """The path itself, or, of `hf:OWNER/NAME[@REVISION]`, the folder with the data of that dataset.

    Raises:
        FileNotFoundError: there is no such dataset or revision.
        ValueError: it holds nothing that can be read, or what came is not what is listed.
        ConnectionError: the Hub does not answer, and the cache does not have it.
    """
    if not is_hub(path):
        return path
    name = pin(parse(path, "dataset"))

    def readable(listed: Mapping[str, Listed]) -> list[str]:
        found = [path for path in listed if PurePosixPath(path).suffix.lower() in SUFFIXES]
        if MANIFEST not in found and not any(PurePosixPath(path).suffix.lower() in VIDEO_SUFFIXES | {".png", ".jsonl"}
                                             for path in found):  # fmt: skip
            there = ", ".join(sorted(listed)[:5]) or "nothing"
            raise ValueError(
                f"{name} holds {there}, but neither shards ({MANIFEST}) nor recordings; give a dataset that racing-vpt "
                "push wrote"
            )
        return found

    return str(fetch(name, readable))


def folder_at_hand(path: Path) -> Path:
    """`at_hand` for a path."""
    return Path(at_hand(str(path))) if is_hub(path) else path
