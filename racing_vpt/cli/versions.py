"""Installed packages beside the exact versions of a constraints file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Versions:
    """What is installed of what a constraints file names.

    Args:
        right: names.
        missing: name and the version that is wanted.
        different: name, the version that is wanted, and the one that is there.
    """

    right: list[str] = field(default_factory=list)
    missing: list[tuple[str, str]] = field(default_factory=list)
    different: list[tuple[str, str, str]] = field(default_factory=list)


def compare(constraints: Path) -> Versions:
    """Compare what is installed with a file of `name==version` lines; a build's suffix (`+cu130`) is let be.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a line is of another form.
    """
    from importlib.metadata import PackageNotFoundError, version

    if not constraints.is_file():
        raise FileNotFoundError(f"there is no {constraints}; run this in the checkout, or give --constraints FILE")
    found = Versions()
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
            found.missing.append((name, wanted))
            continue
        if there.split("+")[0] == wanted.split("+")[0]:
            found.right.append(name)
        else:
            found.different.append((name, wanted, there))
    return found


def deciding_versions(env: str) -> dict[str, str]:
    """Versions of what decides the content of a recording of that environment."""
    from importlib.metadata import version

    from racing_vpt import __version__
    from racing_vpt.games.atari import ATARI

    names = ("gymnasium", "numpy", "av", *(["ale-py"] if env.startswith(ATARI) else []))
    return {"racing_vpt": __version__, **{name: version(name) for name in names}}
