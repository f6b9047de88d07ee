"""YAML files of `--config`: paths, and shipped ones by name, in a checkout and in an installed wheel."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import yaml

import racing_vpt
from racing_vpt.checkpoints.migrate import migrate_config
from racing_vpt.cli.words import STAGES, with_changes

SUFFIX = ".yaml"
BASE = "base"  # settings of every training: read first by `fit`

log = logging.getLogger(__name__)


def shipped_configs() -> Path:
    """The folder `configs/`: inside the installed package, or beside the package in a checkout."""
    package = Path(racing_vpt.__file__).parent
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def config_names() -> list[str]:
    """Names of the shipped configs: `idm`, `iris/tiny`."""
    folder = shipped_configs()
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob(f"*{SUFFIX}"))


def find_config(given: str) -> Path:
    """The file that `--config` names.

    Args:
        given: a path; or the name of a shipped config, `idm` or `iris/tiny`, also written `configs/idm.yaml`.

    Raises:
        FileNotFoundError: it is neither; the message suggests a similar one.
    """
    path = Path(given)
    if path.is_file():
        return path
    name = given.removeprefix("configs/").removesuffix(SUFFIX)
    shipped = shipped_configs() / f"{name}{SUFFIX}"
    if name and not path.is_absolute() and shipped.is_file():
        return shipped
    raise FileNotFoundError(f"there is no config {given}{_suggestion(path)}")


def with_config_paths(verb: str, words: Sequence[str]) -> list[str]:
    """The command line with each `--config NAME` as a path, and with base.yaml in front of what `fit` reads.

    A config of an earlier version is replaced by its migrated content.

    Raises:
        FileNotFoundError: a config does not exist.
        ValueError: a config of an earlier version cannot be migrated.
    """
    found: list[Path] = []

    def located(name: str, value: str) -> list[str] | None:
        if name != "--config":
            return None
        if is_inline(value):
            return ["--config", value]
        found.append(find_config(value))
        return ["--config", of_today(found[-1]) if verb in STAGES else str(found[-1])]

    rest = with_changes(words, located)
    if verb == "fit" and not any(path.name == f"{BASE}{SUFFIX}" for path in found):
        rest = ["--config", str(shipped_configs() / f"{BASE}{SUFFIX}"), *rest]
    return rest


def of_today(path: Path) -> str:
    """Path of a stage's config, or its migrated content if it is of an earlier version."""
    try:
        content = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError):
        return str(path)  # reported by the parser
    if not isinstance(content, dict):
        return str(path)
    migrated = migrate_config(content, path)
    if migrated == content:
        return str(path)
    log.info("%s is of an earlier version; its options are read by their names of today", path)
    return yaml.safe_dump(migrated, sort_keys=False)


def is_inline(value: str) -> bool:
    """Whether a value is YAML instead of the name of a file."""
    return any(sign in value for sign in "{:\n")


def _suggestion(path: Path) -> str:
    """`; did you mean X?` with the most similar file or shipped config."""
    from racing_vpt.cli.errors import nearest

    beside = [str(path.with_name(file.name)) for file in path.parent.glob("*.y*ml")]
    same = [file for file in beside if Path(file).stem == path.stem]
    name = path.with_suffix("").as_posix()
    known = config_names()
    if same or name.removeprefix("configs/") in known:
        return f"; did you mean {(same or [name.removeprefix('configs/')])[0]}?"
    if guess := nearest(str(path), beside) or nearest(name, known):
        return guess
    main = ", ".join(known_name for known_name in known if "/" not in known_name and known_name != BASE)
    return f"; give a path, or a shipped one by its name: {main}"
