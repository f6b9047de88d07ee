"""The keys that configs/README.md explains under "What is logged", as patterns."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

PAGE = Path(__file__).parents[1] / "configs" / "README.md"
STANDS_FOR = {"STAGE": "(train|val|test)", "CONTROL": r"\w+", "NAME": r"\w+", "K": r"\d+", "...": r"\w+"}


@cache
def patterns() -> tuple[re.Pattern[str], ...]:
    """One for each key in the first column of the table."""
    table = PAGE.read_text().split("## What is logged")[1].split("\n## ")[0]
    keys = [
        key
        for line in table.splitlines()
        if line.startswith("| `")
        for key in re.findall("`([^`]+)`", line.split("|")[1])
    ]
    words = "|".join(map(re.escape, STANDS_FOR))
    return tuple(re.compile(re.sub(words, lambda word: STANDS_FOR[word[0]], key)) for key in keys)


def is_explained(key: str) -> bool:
    """Whether the page has a row for a key."""
    return any(pattern.fullmatch(key) for pattern in patterns())
