"""Installed versions compared with a constraints file."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Versions:
    """Result of comparing the installed packages with a constraints file.

    Args:
        right: names of packages with the wanted version.
        missing: name and wanted version.
        different: name, wanted version and installed version.
    """

    right: list[str] = field(default_factory=list)
    missing: list[tuple[str, str]] = field(default_factory=list)
    different: list[tuple[str, str, str]] = field(default_factory=list)


def compare(constraints: Path) -> Versions:
    """Compare what is installed with a file of `name==version` lines; a build suffix (`+cu130`) is ignored.

    Packages that are not installed and that no installed one requires belong to extras that were not asked for; they
    are left out.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: a line has another form.
    """
    from importlib.metadata import PackageNotFoundError, version

    if not constraints.is_file():
        raise FileNotFoundError(f"there is no {constraints}; run this in the checkout, or give --constraints FILE")
    found, required = Versions(), required_names()
    for number, line in enumerate(constraints.read_text().splitlines(), 1):
        text = line.split("#")[0].split(";")[0].strip()
        if not text:
            continue
        name, equals, wanted = (part.strip() for part in text.partition("=="))
        if not equals:
            raise ValueError(f"{constraints}, line {number}: expected name==version, but it says {line!r}")
        try:
            there = version(name)
        except PackageNotFoundError:
            if normalized(name) in required:
                found.missing.append((name, wanted))
            continue
        if there.split("+")[0] == wanted.split("+")[0]:
            found.right.append(name)
        else:
            found.different.append((name, wanted, there))
    return found


def required_names() -> set[str]:
    """Normalized names of all packages that the installed ones require on this machine, without their extras."""
    from importlib.metadata import distributions

    from packaging.requirements import Requirement

    wanted = [Requirement(line) for each in distributions() for line in each.requires or ()]
    return {normalized(need.name) for need in wanted if need.marker is None or need.marker.evaluate({"extra": ""})}


def normalized(name: str) -> str:
    """A package's name as PyPI compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def deciding_versions(env: str) -> dict[str, str]:
    """Versions of the packages that determine the content of a recording of that environment."""
    from importlib.metadata import version

    from racing_vpt import __version__
    from racing_vpt.games.atari import ATARI
    from racing_vpt.games.console import NES

    emulators = {ATARI: "ale-py", NES: "cynes"}
    names = ("gymnasium", "numpy", "av", *(name for prefix, name in emulators.items() if env.startswith(prefix)))
    return {"racing_vpt": __version__, **{name: version(name) for name in names}}
