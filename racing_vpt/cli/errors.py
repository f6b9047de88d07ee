"""What went wrong, in one line: what was given, what was expected, and the nearest name where one was mistyped."""

from __future__ import annotations

import difflib
import inspect
import re
from argparse import ArgumentError, ArgumentTypeError
from collections.abc import Iterable, Sequence
from importlib import import_module

from jsonargparse import ArgumentParser

from racing_vpt.cli.renamed import renamed_option

USER_ERRORS = (ValueError, OSError)
_NAMED_BASES = (
    ("lightning.pytorch", ("LightningModule", "Callback")),
    ("lightning.pytorch.loggers.logger", ("Logger",)),
    ("lightning.pytorch.strategies", ("Strategy",)),
    ("torch.optim", ("Optimizer",)),
)


class ParseError(ValueError):
    """A command line or YAML file that does not parse.

    Args:
        error: what jsonargparse raised.
        parser: the parser that raised it, whose options are the candidates for what was meant.
        verb: the verb or stage.
        words: the options that were typed after it.
    """

    def __init__(self, error: Exception, parser: ArgumentParser, verb: str, words: Sequence[str]) -> None:
        options = [option for action in parser._actions for option in action.option_strings]
        unknown = _unknown(str(error))
        renamed = renamed_option(verb, unknown, words) if unknown else None
        super().__init__(renamed or _plain(str(error), [option for option in options if option.startswith("--")]))


def explain(error: Exception) -> str | None:
    """The error in one line, or None where it is no mistake of the user's."""
    lightning_says = type(error).__name__ == "MisconfigurationException"
    if isinstance(error, (*USER_ERRORS, ArgumentError, ArgumentTypeError)) or lightning_says:
        return " ".join(str(error).split())
    missing_extra = re.fullmatch(r"No module named '([\w.]+)'", str(error))
    if isinstance(error, ModuleNotFoundError) and missing_extra and not missing_extra[1].startswith("racing_vpt"):
        return f"the package {missing_extra[1].split('.')[0]} is not installed; see the extras in pyproject.toml"
    return None


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean X?` for the known name most like the word, or nothing where none is like it."""
    known = list(known)
    match = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if not match:
        ends = [name for name in known if name.rsplit(".", 1)[-1] == word.rsplit(".", 1)[-1].lstrip("-")]
        match = ends[:1]
    return f"; did you mean {match[0]}?" if match else ""


def _unknown(message: str) -> str | None:
    """The option or YAML key that a message of jsonargparse says is not known."""
    found = re.search(r"unrecognized arguments: (\S+)|Option '([^']+)' is not accepted", message)
    return found and (found[1] or found[2])


def _plain(message: str, options: list[str]) -> str:
    """A message of jsonargparse, which spans many lines, in one line."""
    denied = re.search(r"Importing '([^']+)' is not allowed", message)
    if denied:
        package = denied[1].split(".")[0]
        return (
            f"{denied[1]} may not be named here: classes come from racing_vpt, lightning and torch only; where you "
            f"trust that package with this machine, add --allow_imports {package}"
        )
    unknown = re.search(r"unrecognized arguments: (\S+)", message)
    if unknown:
        option = unknown[1].split("=")[0]
        return f"there is no option {option}{nearest(option, options)}"
    key = re.search(r"Option '([^']+)' is not accepted", message)
    owner = re.search(r"Problem with given class_path '([^']+)'", message)
    if key and owner:
        return f"{owner[1]} takes no {key[1]!r}{nearest(key[1], _parameters(owner[1]))}"
    if key:
        return f"there is no key {key[1]!r}{nearest(key[1], [option.removeprefix('--') for option in options])}"
    name = re.search(r"Expected a dot import path string: (\S+)", message)
    where = re.search(r'Parser key "([^"]+)"', message)
    if name:
        of = f" for {where[1]}" if where else ""
        return f"there is no class {name[1]!r}{of}{nearest(name[1], _class_names())}"
    lines = [line.strip(" -") for line in message.splitlines()]
    noise = ("Does not validate", "Subtypes:", "Errors:", "Given value type:", "Expected a <class 'NoneType'>")
    lines = [line for line in lines if line and not line.startswith(noise) and "either not accessible" not in line]
    text = " ".join(lines).replace("Parser key ", "")
    text = re.sub(r" Given value: NestedArg\(.*|Problem with given class_path '[^']+': ", "", text)
    text = re.sub(r"<class '([\w.]+)'>", lambda match: match[1].rsplit(".", 1)[-1], text)
    return text.replace("fit.model", "--model").replace("typing.", "").replace("Given value:", "but got:")


def _parameters(class_path: str) -> list[str]:
    module, _, name = class_path.rpartition(".")
    return list(inspect.signature(getattr(import_module(module), name)).parameters)


def _class_names() -> list[str]:
    """Names of the classes that YAML can name at this moment."""
    names: set[str] = set()
    for module, bases in _NAMED_BASES:
        for base in bases:
            pending = [getattr(import_module(module), base)]
            while pending:
                children = pending.pop().__subclasses__()
                pending.extend(children)
                names.update(child.__name__ for child in children)
    return sorted(names)
