"""Writes a folder to a repository on the Hub: one commit, which is there whole or not at all."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping
from pathlib import Path

import yaml

from racing_vpt.hub.client import LOGIN, api, is_offline, library, page_of, plain_errors, shown_endpoint
from racing_vpt.hub.fetch import TIMEOUT, Listed, fetch, list_files
from racing_vpt.hub.names import MAIN, RepoName

log = logging.getLogger(__name__)
CARD = "README.md"
TAG = "racing-vpt"  # in the tags of every card that we write, by which a later push knows the repository as ours
NOT_CONTENT = (".gitattributes", ".gitignore")
MOST_FILES = 10_000  # more than the Hub recommends in a repository
HEAD = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)


def upload(
    name: RepoName, files: Mapping[str, Path], message: str, private: bool, stale: re.Pattern | None = None
) -> str:
    """Write files to the main branch of a repository, which is created if there is none; returns the commit.

    Args:
        name: the repository.
        files: local files by their path in it; among them its card.
        message: of the commit.
        private: whether a new repository can be read by its owner only.
        stale: paths of earlier files that go where `files` no longer has them. The Hub keeps their history.

    Raises:
        PermissionError: no token, or one that may not write there.
        ValueError: it holds files of others, or is refused.
        OutOfReach: the Hub does not answer.
    """
    if name.revision != MAIN:
        raise ValueError(f"push writes to the main branch; give hf:{page_of(name)} without @{name.revision}")
    if is_offline():
        raise ValueError(f"HF_HUB_OFFLINE is set, so nothing is written to {name}: unset it")
    hub = library()
    if hub.get_token() is None:
        raise PermissionError(f"writing to {name} needs a token that may write there: {LOGIN}")
    if len(files) > MOST_FILES:
        raise ValueError(
            f"{len(files)} files are too many for a repository on the Hub; pack them first: racing-vpt pack"
        )
    before, listed = _state_of(name)
    if before is not None:
        _check_ours(name, before, listed)
    operations: list = [hub.CommitOperationAdd(path, file) for path, file in files.items()]
    gone = [path for path in listed if stale and stale.fullmatch(path) and path not in files]
    operations += [hub.CommitOperationDelete(path) for path in gone]
    with plain_errors(name):
        if before is None:
            api().create_repo(name.repo, repo_type=name.kind, private=private)
            log.info("%s: a new %s repository", name, "private" if private else "public")
        made = api().create_commit(
            name.repo, operations, commit_message=message, repo_type=name.kind, parent_commit=before
        )
    _check_arrived(name.at(made.oid), files)
    return made.oid


def _state_of(name: RepoName) -> tuple[str | None, dict[str, Listed]]:
    """Last commit and files of a repository; None and none if there is none."""
    hub = library()
    with plain_errors(name):
        try:
            info = api().repo_info(name.repo, repo_type=name.kind, timeout=TIMEOUT)
        except hub.errors.GatedRepoError:
            raise
        except hub.errors.RepositoryNotFoundError:
            return None, {}
    commit = str(info.sha)
    return commit, list_files(name.at(commit))


def _check_ours(name: RepoName, commit: str, listed: Mapping[str, Listed]) -> None:
    """Raise ValueError if a repository holds what racing-vpt did not write."""
    content = sorted(set(listed) - set(NOT_CONTENT))
    if not content:
        return
    tags: object = None
    if CARD in listed and listed[CARD].size < 1 << 20:
        text = (fetch(name.at(commit), lambda _: [CARD]) / CARD).read_text(errors="replace")
        tags = front_matter(text).get("tags")
    if not isinstance(tags, list) or TAG not in tags:
        raise ValueError(
            f"{name} holds {', '.join(content[:3])}, and its card has no tag {TAG}, so racing-vpt did not write it: "
            "nothing is replaced; choose another name, or add the tag to its card if this is yours"
        )


def _check_arrived(name: RepoName, files: Mapping[str, Path]) -> None:
    """Raise ValueError if the commit lists another file than the one that was sent."""
    listed = list_files(name)
    for path, file in files.items():
        content = file.read_bytes()
        there = listed.get(path)
        found = there and (there.sha256 or there.blob)
        kinds = (hashlib.sha256(content), hashlib.sha1(b"blob %d\0%s" % (len(content), content), usedforsecurity=False))
        if found not in [kind.hexdigest() for kind in kinds]:
            raise ValueError(
                f"{shown_endpoint()} lists {path} of {name} with hash {found}, which is not that of {file}"
            )


def front_matter(text: str) -> dict:
    """The YAML at the top of a card; empty if there is none."""
    found = HEAD.match(text)
    if found is None:
        return {}
    try:
        fields = yaml.safe_load(found[1])
    except yaml.YAMLError:
        return {}
    return fields if isinstance(fields, dict) else {}


def without_front_matter(text: str) -> str:
    """A card without the YAML at its top."""
    return HEAD.sub("", text).lstrip("\n")
