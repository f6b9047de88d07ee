"""Verbs and options that have another name now, each answered in one line with the new name.

An option that is renamed gets a row here. `--data.min_confidence` of every stage would be
`OPTIONS["stages"]["data.min_confidence"] = "data.trust.min_confidence"`; an option that only one class has stands
under the name of that class. The same rows answer old keys in YAML files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

STAGES = "stages"  # owner of the options that fit, validate, test and predict share

VERBS: dict[str, str] = {}  # old verb: new verb, or a sentence that says what to type

# owner (a verb, `stages`, or a class such as IDM): {old option: new option, or a sentence}; dotted, without `--`
OPTIONS: dict[str, dict[str, str]] = {}


def renamed_verb(verb: str, verbs: Mapping[str, str] = VERBS) -> str | None:
    """What to say of an old verb in one line; None where it was never one."""
    new = verbs.get(verb)
    return None if new is None else _sentence(verb, new, "racing-vpt ")


def renamed_option(
    verb: str, unknown: str, words: Iterable[str], options: Mapping[str, Mapping[str, str]] = OPTIONS
) -> str | None:
    """What to say of an unknown option or YAML key in one line; None where no row of the table is about it.

    Args:
        verb: the verb or stage that was typed.
        unknown: what the parser did not know: an option with or without `--`, or the last part of it, or a YAML key.
        words: the command line, which holds the option's whole name where the parser gives its last part only.
        options: the table.
    """
    unknown = unknown.lstrip("-").split("=")[0]
    typed = [word.lstrip("-").split("=")[0] for word in words if word.startswith("--")]
    names = [name for name in typed if name == unknown or name.endswith(f".{unknown}")]
    for owner in (verb, STAGES, *(owner for owner in options if owner[0].isupper())):
        for old, new in options.get(owner, {}).items():
            if old in names or (not names and (old == unknown or old.endswith(f".{unknown}"))):
                return _sentence(f"--{old}", new, "--")
    return None


def _sentence(old: str, new: str, prefix: str) -> str:
    return f"{old}: {new}" if " " in new else f"{old} is called {prefix}{new} now"
