"""`config.yaml` of a run folder: which model was trained, and with which arguments."""

from __future__ import annotations

from pathlib import Path

import yaml

LARGEST = 1 << 22  # bytes; a run's has a few thousand
MOST_VALUES = 100_000  # in it; an alias of YAML stands for all that it names
DEEPEST = 50  # levels


def model_of_run(path: Path) -> dict:
    """`class_path` and `init_args` of the model in a run's config.yaml.

    Raises:
        ValueError: it is no YAML, is too large, or has no model; names the file.
    """
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path} has {path.stat().st_size} bytes; the config of a run has fewer than {LARGEST}")
    try:
        content = yaml.safe_load(path.read_text())
        _check_extent(content)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise ValueError(f"{path} is not the config of a run: {' '.join(str(error).split())}") from error
    model = content.get("model") if isinstance(content, dict) else None
    if not isinstance(model, dict) or not isinstance(model.get("class_path"), str):
        raise ValueError(f"{path} names no model; the config of a run has a model with class_path and init_args")
    if not isinstance(model.get("init_args"), dict | None):
        raise ValueError(f"{path}: init_args of the model should be options by name")
    return {**model, "init_args": model.get("init_args") or {}}


def _check_extent(content: object) -> None:
    """ValueError where there are more values or levels than a config has."""
    room, waiting = MOST_VALUES, [(content, 0)]
    while waiting:
        value, depth = waiting.pop()
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple | set) else ()
        room -= len(inner)
        if room < 0 or depth > DEEPEST:
            raise ValueError(f"it has more than {MOST_VALUES} values or {DEEPEST} levels")
        waiting += [(each, depth + 1) for each in inner]
