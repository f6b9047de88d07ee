"""User errors in one line each: what was given, what was expected, what to type."""

from __future__ import annotations

import difflib
import errno
import re
from argparse import ArgumentError, ArgumentTypeError
from collections.abc import Iterable, Sequence
from io import TextIOWrapper
from itertools import pairwise

USER_ERRORS = (ValueError, OSError)
REASONS = {  # of the operating system, in plain words
    errno.ENOENT: "there is no such file or folder",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EROFS: "the file system is read-only",
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "your share of the disk is full",
    errno.EFBIG: "a file would be larger than is allowed here",
    errno.EIO: "the disk reports an error",
    errno.ENOTDIR: "part of the path is a file, not a folder",
    errno.EEXIST: "it is a file, not a folder",
    errno.EISDIR: "it is a folder, not a file",
}
NO_GPU = re.compile(r"No supported gpu backend found|Accelerator` can not run on your system")
FROM_A_WORKER = re.compile(r"Caught \w+ in DataLoader worker process")
UNION = "Does not validate against any of the Union subtypes"
UNION_NOISE = ("Does not validate", "Subtypes:", "Errors:", "Given value type:", "Expected a <class", "Given value:")


def explain(error: Exception, words: Sequence[str] = ()) -> str | None:
    """The error in one line; None if it is a defect of the program, which needs its traceback.

    Args:
        error: exception that was raised.
        words: command line, to name the option that holds a file.
    """
    lightning_says = type(error).__name__ == "MisconfigurationException"
    if NO_GPU.search(str(error)):
        return "no GPU that torch can use was found (see: racing-vpt doctor); on the CPU: --trainer.accelerator cpu"
    if isinstance(error, OSError) and error.errno in REASONS and error.filename is not None:
        return _file_error(str(error.filename), REASONS[error.errno], words)
    if isinstance(error, (*USER_ERRORS, ArgumentError, ArgumentTypeError)) or lightning_says:
        said = error.strerror if isinstance(error, OSError) and error.filename is None else None
        text = union_reason(str(error)) if UNION in str(error) else said or str(error)
        if FROM_A_WORKER.match(text):  # the whole traceback of a worker that loads data; its last line is the error
            text = text.rstrip().rsplit("\n", 1)[-1].partition(": ")[2] or text
        return " ".join(text.split())
    missing_extra = re.fullmatch(r"No module named '([\w.]+)'", str(error))
    if isinstance(error, ModuleNotFoundError) and missing_extra and not missing_extra[1].startswith("racing_vpt"):
        return f"the package {missing_extra[1].split('.')[0]} is not installed; see the extras in pyproject.toml"
    return None


def escape_unprintable(*streams: object) -> None:
    """Print what is no text as escapes: names of files need not be text."""
    for stream in streams:
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean X?` with the most similar known name; empty if none is similar."""
    known = list(known)
    last = word.rsplit(".", 1)[-1].lstrip("-")
    same_end = [name for name in known if name.rsplit(".", 1)[-1].lstrip("-") == last]  # --videos: --data.videos
    match = same_end or difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"; did you mean {match[0]}?" if match else ""


def union_reason(message: str) -> str:
    """Our own message within jsonargparse's list of the types it has tried."""
    lines = [line.strip(" -") for line in message.split("Given value type:")[0].splitlines()]
    told = [line for line in lines if line and not line.startswith(UNION_NOISE)]
    return "; ".join(told) or message


def _file_error(filename: str, reason: str, words: Sequence[str]) -> str:
    """The file and the reason, after the option that names it or its folder."""
    for option, value in pairwise(words):
        if option.startswith("--") and value and (value.startswith(filename) or filename.startswith(value)):
            return (
                f"{option} {value}: cannot use {filename}: {reason}"
                if value != filename
                else f"{option} {value}: {reason}"
            )
    return f"{filename}: {reason}"
