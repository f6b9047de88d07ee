"""The YAML files of `--config`: paths, and the shipped ones by name, from a checkout and from an installed wheel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import racing_vpt

SUFFIX = ".yaml"
BASE = "base"  # what every training has in common: read first by each `fit`


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
        FileNotFoundError: it is neither; says which one may have been meant.
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

    Raises:
        FileNotFoundError: a config does not exist.
    """
    rest: list[str] = []
    found: list[Path] = []
    pending = iter(words)
    for word in pending:
        option, equals, value = word.partition("=")
        if option != "--config":
            rest.append(word)
            continue
        value = value if equals else next(pending, "")
        if _is_inline(value):
            rest += ["--config", value]
            continue
        found.append(find_config(value))
        rest += ["--config", str(found[-1])]
    if verb == "fit" and not any(path.name == f"{BASE}{SUFFIX}" for path in found):
        rest = ["--config", str(shipped_configs() / f"{BASE}{SUFFIX}"), *rest]
    return rest


def _is_inline(value: str) -> bool:
    """Whether it is YAML itself, not the name of a file."""
    return any(sign in value for sign in "{:\n")


def _suggestion(path: Path) -> str:
    """`; did you mean X?` with the file or the shipped config that is most like the path."""
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
