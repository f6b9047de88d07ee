"""Checks what a window on the screen needs, before python-xlib is imported: packages, programs, a display of X."""

from __future__ import annotations

import importlib.util
import os
import shutil

PACKAGES = {"Xlib": "python-xlib", "mss": "mss"}  # imported name: name in the index


def check_installed() -> None:
    """Raise ValueError, which says what to install, unless the packages of the extra `[screen]` are there."""
    missing = [package for name, package in PACKAGES.items() if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(
            f"windows on the screen need {' and '.join(missing)}; in a checkout of racing-vpt: pip install '.[screen]'"
        )


def check_programs(*programs: str) -> None:
    """Raise ValueError, with the package of Debian to install, unless these programs are found."""
    packages = {"Xvfb": "xvfb", "torcs-bin": "torcs"}
    missing = [packages.get(name, name) for name in programs if shutil.which(name) is None]
    if missing:
        raise ValueError(
            f"{', '.join(missing)} is not installed; on Debian and Ubuntu: apt-get install {' '.join(missing)}"
        )


def display_name() -> str:
    """Name of the X display, such as `:0`.

    Raises:
        ValueError: there is none, or only Wayland; the message says what to do.
    """
    name = os.environ.get("DISPLAY")
    if name:
        return name
    if os.environ.get("WAYLAND_DISPLAY"):
        raise ValueError(
            "this session runs Wayland without X (DISPLAY is not set), and Wayland lets no program read the windows "
            "and keys of others; log in to an X11 session ('on Xorg' in the login screen), or let the game run in a "
            "display of its own: display: own in the game file"
        )
    raise ValueError("no X display was found (DISPLAY is not set); start one with: Xvfb :7 & export DISPLAY=:7")
