"""Parse errors of command lines and YAML files in one line instead of jsonargparse's many."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from importlib import import_module

from jsonargparse import ArgumentParser

from racing_vpt.cli.errors import nearest
from racing_vpt.cli.renamed import GROUPS, renamed_option

NAMED_BASES = (
    ("lightning.pytorch", ("LightningModule", "Callback")),
    ("lightning.pytorch.loggers.logger", ("Logger",)),
    ("lightning.pytorch.strategies", ("Strategy",)),
    ("torch.optim", ("Optimizer",)),
)
KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "a word",
    "list": "a list such as [a,b]",
}
LEARNING_RATES = ("learning_rate", "lr")
NO_MODEL = (
    "fit needs a model: give a shipped recipe, such as --config idm, --config vpt or --config dqn (all of them: "
    "racing-vpt fit --help), or --model CLASS"
)


class ParseError(ValueError):
    """A command line or YAML file that does not parse.

    Args:
        error: exception of jsonargparse.
        parser: parser that raised it, whose options are suggested.
        verb: verb or stage.
        words: options that were typed after it.
    """

    def __init__(self, error: Exception, parser: ArgumentParser, verb: str, words: Sequence[str]) -> None:
        message = str(error)
        unknown = _unknown(message)
        renamed = renamed_option(verb, unknown, words) if unknown else None
        super().__init__(renamed or _plain(message, parser))


def _unknown(message: str) -> str | None:
    """The unknown option or YAML key in a message of jsonargparse."""
    found = re.search(r"unrecognized arguments: (\S+)|Option '([^']+)' is not accepted", message)
    return found and (found[1] or found[2])


def _plain(message: str, parser: ArgumentParser) -> str:
    """A message of jsonargparse in one line."""
    denied = re.search(r"Importing '([^']+)' is not allowed", message)
    if denied:
        package = denied[1].split(".")[0]
        return (
            f"{denied[1]} may not be named here: classes come from racing_vpt, lightning and torch only; where you "
            f"trust that package with this machine, add --allow_imports {package}"
        )
    missing = re.search(r"arguments are required:\s*(.+)", message)
    if missing:
        return NO_MODEL if missing[1].endswith("model") else _missing(missing[1].split(", ")[0], parser)
    group = re.search(r"given class_path '([^']+)':\s+Parser key \"([\w.]+)\":\s+Unable to load config '(.*)'", message)
    if group:
        where = re.search(r'Parser key "(\w+)"', message)
        return _value_of_group(f"{where[1] if where else 'model'}.{group[2]}", group[3], group[1])
    unknown = re.search(r"unrecognized arguments: (\S+)", message)
    if unknown:
        return _unknown_option(unknown[1].split("=")[0], parser)
    key = re.search(r"Option '([^']+)' is not accepted", message)
    owner = re.search(r"Problem with given class_path '([^']+)'", message)
    if key and owner:
        return _unknown_argument(owner[1], key[1])
    if key:
        return f"there is no key {key[1]!r}{nearest(key[1], [name.removeprefix('--') for name in _options(parser)])}"
    no_value = re.search(r"argument (--\S+): expected one argument", message)
    if no_value:
        return f"{no_value[1]} needs a value after it; see: {parser.prog} --help"
    name = re.search(r"Expected a dot import path string: (\S+)", message)
    where = re.search(r'Parser key "([^"]+)"', message)
    if name:
        of = f" for {where[1]}" if where else ""
        return f"there is no class {name[1]!r}{of}{nearest(name[1], _class_names())}"
    reason = _reason(message)
    wrong = re.fullmatch(r'"([\w.]+)": Expected a (\w+|Literal\[.*\])(?:\. Got value| but got): (.+)', reason)
    if wrong and (wrong[2] in KINDS or wrong[2].startswith("Literal")):
        return f"--{wrong[1]} takes {_kind(wrong[2])}, but got: {wrong[3]}"
    return reason


def _kind(name: str) -> str:
    """Description of a type."""
    if name.startswith("Literal"):
        return "one of " + ", ".join(word.strip(" '") for word in name[len("Literal[") : -1].split(","))
    return KINDS[name]


def _missing(name: str, parser: ArgumentParser) -> str:
    """Message for a missing required argument."""
    (action,) = (action for action in parser._actions if name in (action.dest, *action.option_strings))
    meaning = " ".join((action.help or "").split()).rstrip(".")
    if action.option_strings:
        return f"{action.option_strings[0]} is missing ({meaning}); see: {parser.prog} --help"
    return f"{name.upper()} is missing ({meaning}); type: {parser.prog} {_positionals(parser)}"


def _positionals(parser: ArgumentParser) -> str:
    """Positional arguments as they are typed: `CHECKPOINT OUT`."""
    return " ".join(action.dest.upper() for action in parser._actions if not action.option_strings)


def _reason(message: str) -> str:
    """The reason why a value was refused, without the list of types."""
    lines = [line.strip(" -") for line in message.splitlines()]
    noise = ("Does not validate", "Subtypes:", "Errors:", "Given value type:", "Expected a <class 'NoneType'>")
    lines = [line for line in lines if line and not line.startswith(noise) and "either not accessible" not in line]
    text = " ".join(lines).replace("Parser key ", "")
    text = re.sub(r" Given value: (NestedArg|Namespace)\(.*|Problem with given class_path '[^']+': ", "", text)
    text = re.sub(r"<class '([\w.]+)'>", lambda match: match[1].rsplit(".", 1)[-1], text)
    return text.replace("fit.model", "--model").replace("typing.", "").replace("Given value:", "but got:")


def _unknown_option(option: str, parser: ArgumentParser) -> str:
    """Message for an unknown option, or a word in place of an option."""
    if option.startswith("-"):
        if option.lstrip("-").rsplit(".", 1)[-1] in LEARNING_RATES and "--model" in _options(parser):
            return f"there is no option {option}; the optimizer has the learning rate: --model.optimizer.lr 1e-3"
        if option.removeprefix("--") in [action.dest for action in parser._actions if not action.option_strings]:
            return f"there is no option {option}, it stands without a name: {parser.prog} {_positionals(parser)}"
        return f"there is no option {option}{nearest(option, _options(parser))}"
    required = [action.option_strings[0] for action in parser._actions if action.required and action.option_strings]
    return f"{option} stands without an option{f'; did you mean {required[0]} {option}?' if required else ''}"


def _unknown_argument(class_path: str, key: str) -> str:
    """Message for an argument that a class does not have."""
    known = _parameters(class_path)
    name = class_path.rsplit(".", 1)[-1]
    if key in LEARNING_RATES and "optimizer" in known:
        return f"{name} takes no {key!r}; the optimizer has the learning rate: --model.optimizer.lr 1e-3"
    return f"{name} takes no {key!r}{nearest(key, known)}"


def _value_of_group(option: str, value: str, class_path: str) -> str:
    """Message for a value given to a group of options."""
    new = GROUPS.get(class_path.rsplit(".", 1)[-1], {}).get(option)
    if new is not None:
        return f"--{option} {value} is called --{new} {value} now"
    return f"--{option} is a group of options, such as --{option}.NAME VALUE, but got: {value}; see: --help all"


def _options(parser: ArgumentParser) -> list[str]:
    """Options of a parser and of the default class of each group of a class: `--data.videos`."""
    options = [name for action in parser._actions for name in action.option_strings if name.startswith("--")]
    defaults = parser.get_defaults(skip_validation=True)
    for group in ("data", "model"):
        chosen = defaults.get(group)
        if f"--{group}" in options and chosen is not None and chosen.get("class_path"):
            options += [f"--{group}.{name}" for name in _parameters(chosen.class_path)]
    return options


def _parameters(class_path: str) -> list[str]:
    module, _, name = class_path.rpartition(".")
    return list(inspect.signature(getattr(import_module(module), name)).parameters)


def _class_names() -> list[str]:
    """Names of the classes that YAML can currently name."""
    names: set[str] = set()
    for module, bases in NAMED_BASES:
        for base in bases:
            pending = [getattr(import_module(module), base)]
            while pending:
                children = pending.pop().__subclasses__()
                pending.extend(children)
                names.update(child.__name__ for child in children)
    return sorted(names)
