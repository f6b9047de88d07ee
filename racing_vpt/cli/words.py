"""Options on the command line before parsing: found, replaced or removed, in either spelling."""

from __future__ import annotations

from collections.abc import Callable, Sequence

STAGES = ("fit", "validate", "test", "predict")  # verbs whose options are LightningCLI's
Change = Callable[[str, str], Sequence[str] | None]
"""Replacement of an option `--name` and its value; None: the option is kept."""


def with_changes(words: Sequence[str], change: Change) -> list[str]:
    """The command line with options replaced.

    Args:
        words: words with options as `--name value` or `--name=value`.
        change: called with each option and the word after it ("" at the end).
    """
    rest: list[str] = []
    pending = list(words)
    while pending:
        word = pending.pop(0)
        name, joined, value = word.partition("=")
        found = None
        if name.startswith("--"):
            found = change(name, value if joined else next(iter(pending), ""))
        if found is None:
            rest.append(word)
            continue
        rest += found
        if not joined:
            del pending[:1]
    return rest


def with_nulls(words: Sequence[str]) -> list[str]:
    """The command line with options such as `--data.controls.labels null` as YAML.

    jsonargparse 4.53 parses their values twice, and null becomes the text None in between.
    """

    def change(name: str, value: str) -> list[str] | None:
        group, *inner = name.removeprefix("--").split(".")
        if value not in ("null", "~") or group not in ("data", "model") or len(inner) < 2:
            return None
        yaml = "null"
        for part in reversed([group, *inner]):
            yaml = f"{{{part}: {yaml}}}"
        return ["--config", yaml]

    return with_changes(words, change)
