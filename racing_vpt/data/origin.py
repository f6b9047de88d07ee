"""Who made data, with what, and under which licence: fields that recordings, labels and shards carry on.

What data says of itself is never replaced: whoever copies it cannot change its licence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from racing_vpt import __version__
from racing_vpt.files import read_json

ORIGIN = ("license", "author", "made_with")
LONGEST = 200  # characters


def origin_of(verb: str, license: str | None = None, author: str | None = None) -> dict[str, object]:
    """Fields of a meta file for new data; null where nothing is stated.

    Args:
        verb: what of racing-vpt makes it.
        license: its licence, such as CC-BY-4.0.
        author: who made it, as they want to be named.

    Raises:
        ValueError: a text has no letters, several lines or more than 200 characters.
    """
    for name, text in {"--license": license, "--author": author}.items():
        if text is not None and (not text.strip() or len(text) > LONGEST or not text.isprintable()):
            raise ValueError(f"{name} is {text[:40]!r}; one line of up to {LONGEST} characters is expected")
    return {"license": license, "author": author, "made_with": f"racing-vpt {__version__} {verb}"}


def carried(about: Mapping[str, object], origin: Mapping[str, object]) -> dict[str, object]:
    """Origin of data that is carried on: what it says of itself, otherwise what `origin` says."""
    return {name: origin.get(name) if about.get(name) is None else about[name] for name in ORIGIN}


def keeps(about: Mapping[str, object], origin: Mapping[str, object]) -> list[str]:
    """Sentences where data keeps a licence or author other than `origin` states."""
    words = {"license": "licence", "author": "author"}
    return [
        f"it keeps its {word}, {about[name]}"
        for name, word in words.items()
        if about.get(name) is not None and origin.get(name) is not None and about[name] != origin[name]
    ]


def origin_of_labels(lines: Path | None) -> dict[str, object]:
    """The origin that the meta file of labels NAME.jsonl states; empty for None."""
    if lines is None:
        return {}
    meta = read_json(lines.with_name(f"{lines.stem}.meta.json"))
    return {name: meta[name] for name in ORIGIN if meta.get(name) is not None}


def joined(values: Iterable[object]) -> str | None:
    """Licences or names of several parts: those that are stated, once each, joined by AND as in SPDX; None if none."""
    return " AND ".join(sorted({str(value) for value in values if value is not None})) or None


def origin_of_all(parts: Iterable[Mapping[str, object]]) -> dict[str, object]:
    """The origin of data that consists of several parts, with those of their labels."""
    flat: list[Mapping[str, object]] = []
    for part in parts:
        labels = part.get("labels")
        flat += [part, *([labels] if isinstance(labels, Mapping) else [])]
    return {name: joined(part.get(name) for part in flat) for name in ORIGIN}
