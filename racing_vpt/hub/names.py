"""Names of repositories on the Hub: `hf:OWNER/NAME`, `hf:OWNER/NAME@REVISION`, `hf:datasets/OWNER/NAME`."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

PREFIX = "hf:"
MAIN = "main"  # the branch that a name without a revision means
FORM = "hf:OWNER/NAME or hf:OWNER/NAME@REVISION"
COMMIT = re.compile(r"[0-9a-f]{40}")
NAME = re.compile(
    r"hf:(?P<data>datasets/)?(?P<repo>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(@(?P<revision>\w[\w./-]*))?", re.ASCII
)
Kind = Literal["model", "dataset"]


@dataclass(frozen=True)
class RepoName:
    """A repository at a revision.

    Args:
        kind: model or dataset.
        repo: OWNER/NAME.
        revision: a branch, a tag or a commit.
    """

    kind: Kind
    repo: str
    revision: str = MAIN

    def __str__(self) -> str:
        of_data = "datasets/" if self.kind == "dataset" else ""
        at = "" if self.revision == MAIN else f"@{self.revision}"
        return f"{PREFIX}{of_data}{self.repo}{at}"

    @property
    def pinned(self) -> bool:
        """Whether the revision is a commit, which stays what it is."""
        return COMMIT.fullmatch(self.revision) is not None

    def at(self, commit: str) -> RepoName:
        """The repository at a commit."""
        return replace(self, revision=commit)


def is_hub(name: object) -> bool:
    """Whether a name means a repository on the Hub; `hf://` is an address of fsspec's, which is read as any other."""
    text = str(name)
    return text.startswith(PREFIX) and not text.startswith(f"{PREFIX}//")


def parse(name: object, kind: Kind) -> RepoName:
    """The repository of that name, of this kind unless the name says `datasets/`.

    Raises:
        ValueError: it is not such a name.
    """
    found = NAME.fullmatch(str(name))
    if found is None or any(part in str(name) for part in ("..", "--", "//")):
        raise ValueError(f"{name} is not the name of a repository on the Hugging Face Hub; expected {FORM}")
    return RepoName("dataset" if found["data"] else kind, found["repo"], found["revision"] or MAIN)
