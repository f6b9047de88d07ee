"""Names of the Hugging Face Hub on the command line: each means one commit from here on.

A checkpoint's name becomes `hf:OWNER/NAME@COMMIT`, so that all processes of a command, its labels and its configuration
say the same weights. Data is fetched: a tool gets the folder, a stage the name of the commit, which stands in its
config.yaml.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from jsonargparse import Namespace

from racing_vpt.hub.names import Kind, is_hub, parse

DATA = {  # options of tools that take recordings, labels or shards; names elsewhere are checkpoints'
    "pack": ("recordings", "labels"),
    "inspect": ("path", "truth"),
    "export": ("folder", "labels"),
    "import": ("folder",),
    "renditions": ("recordings",),
    "ladder": ("recordings",),
}
DESTINATION = {"push": ("to",)}


def with_hub(verb: str, arguments: dict[str, object]) -> dict[str, object]:
    """The arguments of a tool: checkpoints of the Hub at a commit, and folders in place of data there."""
    return {name: _each(value, _reader(verb, name)) for name, value in arguments.items()}


def pin_options(options: Namespace, resumed: bool) -> None:
    """Pin the names in the options of a stage.

    Args:
        options: of the stage; changed.
        resumed: whether an earlier run is continued, which has read its initial weights already.
    """
    for part, value in vars(options).items():
        if resumed and part in ("model", "ckpt_path"):
            continue
        kind: Kind = "dataset" if part == "data" else "model"
        options[part] = _each(value, lambda given, kind=kind: _pinned(given, kind))  # type: ignore[misc]


def same_repository(old: object, new: object) -> bool:
    """Whether two values name the same repository of the Hub, at whatever revision."""
    if not (is_hub(old) and is_hub(new)):
        return False
    return parse(old, "model").repo == parse(new, "model").repo


def _reader(verb: str, name: str) -> Callable[[str], str]:
    def read(given: str) -> str:
        if name in DESTINATION.get(verb, ()):
            return given
        if name in DATA.get(verb, ()) or (verb == "verify" and parse(given, "model").kind == "dataset"):
            from racing_vpt.data.hub_data import at_hand

            return at_hand(given)
        return _pinned(given, "model")

    return read


def _pinned(given: str, kind: Kind) -> str:
    from racing_vpt.hub.fetch import pin

    return str(pin(parse(given, kind)))


def _each(value: object, read: Callable[[str], str]) -> object:
    """A value with each name of the Hub in it, however deep, replaced by what `read` makes of it."""
    if isinstance(value, str | Path):
        return type(value)(read(str(value))) if is_hub(value) else value
    if isinstance(value, Namespace):
        for key, inner in vars(value).items():
            value[key] = _each(inner, read)
        return value
    if isinstance(value, dict):
        return {key: _each(inner, read) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_each(inner, read) for inner in value)
    return value
