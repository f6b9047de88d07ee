"""The client of the Hugging Face Hub: where it is, which token, how long to wait, and its errors in one line each.

The library `huggingface_hub` (the extra `[hub]`) speaks with the Hub. `HF_ENDPOINT`, `HF_HUB_CACHE`, `HF_HOME`,
`HF_HUB_OFFLINE` and `HF_TOKEN` mean what they mean there. What an error or a warning says is scrubbed: tokens and the
signatures of addresses are removed, whoever wrote the message.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from racing_vpt.hub.names import RepoName

if TYPE_CHECKING:
    from huggingface_hub import HfApi

INSTALL = 'pip install "racing-vpt[hub]"'
SECONDS = 20.0  # for an answer, or the next bytes of one
UPLOADING = 120.0  # seconds for the answer to what was sent, which the Hub may have to check
LOGIN = "hf auth login, or the variable HF_TOKEN"
SIGNATURE = re.compile(r"(https?://[^\s?'\"]+)\?[^\s'\"]+")
TOKEN = re.compile(r"\b(hf|api)_[A-Za-z0-9]{16,}|[Bb]earer\s+[^\s'\"]+")


class OutOfReach(ConnectionError):  # noqa: N818
    """The Hub does not answer, or must not be asked."""


def library() -> ModuleType:
    """The library, set up for us; ValueError if it is not installed."""
    try:
        import httpx2
        import huggingface_hub
        from huggingface_hub.utils import disable_progress_bars
    except ImportError as error:
        raise ValueError(f"a name that begins with hf: needs the package huggingface_hub: {INSTALL}") from error

    def bounded(request: httpx2.Request) -> None:
        if not any((request.extensions.get("timeout") or {}).values()):  # the library's own are none
            read = UPLOADING if request.method in ("POST", "PUT") else SECONDS
            request.extensions["timeout"] = httpx2.Timeout(SECONDS, read=read).as_dict()

    def client() -> httpx2.Client:
        return httpx2.Client(follow_redirects=True, timeout=SECONDS, event_hooks={"request": [bounded]})

    if not getattr(library, "ready", False):
        huggingface_hub.set_client_factory(client)
        for handler in logging.getLogger("huggingface_hub").handlers:
            handler.addFilter(_scrub_record)
        if not sys.stderr.isatty():
            disable_progress_bars()
        library.ready = True  # type: ignore[attr-defined]
    return huggingface_hub


def api() -> HfApi:
    """The Hub's API at `HF_ENDPOINT`."""
    return library().HfApi(endpoint=endpoint(), library_name="racing-vpt")


def endpoint() -> str:
    """Address of the Hub."""
    return (os.environ.get("HF_ENDPOINT") or library().constants.ENDPOINT).rstrip("/")


def shown_endpoint() -> str:
    """Address of the Hub without a password that may be in it."""
    parts = urlsplit(endpoint())
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def is_offline() -> bool:
    """Whether the Hub must not be asked (`HF_HUB_OFFLINE`)."""
    return os.environ.get("HF_HUB_OFFLINE", "").strip().upper() in ("1", "ON", "YES", "TRUE")


def cache_of(name: RepoName) -> Path:
    """The repository's folder in the cache that all of the Hub's libraries share."""
    cache = os.environ.get("HF_HUB_CACHE") or library().constants.HF_HUB_CACHE
    return Path(cache).expanduser().resolve() / f"{name.kind}s--{name.repo.replace('/', '--')}"


def scrubbed(text: object) -> str:
    """A message in one line, without tokens and without the signatures of addresses."""
    said = " ".join(str(text).split())
    for secret in _secrets():
        said = said.replace(secret, "(token)")
    return SIGNATURE.sub(r"\1", TOKEN.sub("(token)", said))


@contextmanager
def plain_errors(name: RepoName) -> Iterator[None]:
    """Errors of the library become ours: one line of what was asked for, what came, and what to type.

    Raises:
        FileNotFoundError: there is no such repository or revision, or none that may be read.
        PermissionError: it may not be read or written.
        OutOfReach: the Hub does not answer, or the connection was lost again and again.
        ValueError: the Hub refuses what was sent.
        OSError: the disk of the cache is full, or cannot be written to.
    """
    import httpx2

    try:
        yield
    except (httpx2.HTTPError, RuntimeError, ValueError, OSError) as error:
        raise _plain(error, name) from None  # a chain would show what the library says, tokens and all


def _plain(error: BaseException, name: RepoName) -> Exception:
    """An error of the library as one of ours."""
    from huggingface_hub import errors

    where = shown_endpoint()
    if isinstance(error, errors.LocalEntryNotFoundError | RuntimeError) and isinstance(error.__cause__, Exception):
        return _plain(error.__cause__, name)  # why a file is not there
    if isinstance(error, errors.GatedRepoError):
        return PermissionError(
            f"{name} is gated: ask for access on its page, {where}/{page_of(name)}, then log in ({LOGIN})"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return FileNotFoundError(
            f"{where} shows no {name.kind} {name.repo}: the name is wrong, or it is private and {_login()}; check the "
            f"name, or log in ({LOGIN})"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return FileNotFoundError(f"{name.repo} has no revision {name.revision}{_revisions(name)}")
    if isinstance(error, errors.HfHubHTTPError):
        status = error.response.status_code
        said = scrubbed(error.server_message or "")[:200]
        answer = f"status {status} ({said})" if said else f"status {status}"
        if status in (401, 403):
            return PermissionError(f"{where} refuses {name} with {answer}: {_login()}; log in ({LOGIN})")
        if status >= 500 or status == 429:
            return OutOfReach(f"{where} answers {name} with {answer}; try again later")
        return ValueError(f"{where} refuses {name} with {answer}")
    if isinstance(error, OSError) and error.errno is not None and not isinstance(error, ConnectionError):
        return type(error)(error.errno, error.strerror, str(error.filename or cache_of(name)))
    if isinstance(error, ValueError):
        return ValueError(f"{name}: {scrubbed(error)}")
    why = scrubbed(error) or type(error).__name__
    return OutOfReach(f"{where} does not answer, or not in full: {why}; check the network and HF_ENDPOINT")


def _login() -> str:
    """Whether there is a token, in words."""
    return "the token in use does not allow it" if library().get_token() else "no token is given"


def page_of(name: RepoName) -> str:
    """The part of the address of a repository's page after the Hub's."""
    return f"datasets/{name.repo}" if name.kind == "dataset" else name.repo


def _revisions(name: RepoName) -> str:
    """What a repository has instead of a revision that it lacks, to end a message with."""
    with suppress(Exception):
        refs = api().list_repo_refs(name.repo, repo_type=name.kind)
        there = [ref.name for ref in (*refs.branches, *refs.tags)]
        if there:
            return f"; it has {', '.join(there[:10])}"
    return "; see its page for branches and tags"


def _secrets() -> list[str]:
    """What must not be shown: the token, and a password in the Hub's address."""
    found = [os.environ.get("HF_TOKEN"), os.environ.get("HUGGING_FACE_HUB_TOKEN"), urlsplit(endpoint()).password]
    with suppress(Exception):
        found.append(library().get_token())
    return [secret for secret in found if secret and len(secret) > 3]


def _scrub_record(record: logging.LogRecord) -> bool:
    record.msg, record.args = scrubbed(record.getMessage()), ()
    return True
