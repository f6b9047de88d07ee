"""Pictures of figures as files, marked so that a later picture replaces ours and nobody else's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from racing_vpt.files import check_free, open_regular, published

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARK = "racing-vpt"
FIELDS = {"png": "Software", "pdf": "Creator", "svg": "Creator", "eps": "Creator", "ps": "Creator"}  # of the mark
MOST = 1 << 26  # bytes in which the mark is sought


def write_picture(figure: Figure, path: Path, dpi: float | None = None) -> None:
    """Write a figure as a PNG, or in another format that matplotlib knows by its suffix.

    Args:
        figure: the figure.
        path: the file.
        dpi: pixels an inch; None: the figure's.
    """
    kind = path.suffix.lstrip(".").lower() or "png"
    marked = {FIELDS[kind]: MARK} if kind in FIELDS else None
    with published(path) as temporary:
        figure.savefig(temporary, format=kind, dpi=dpi or "figure", metadata=marked)


def check_own_picture(path: Path) -> None:
    """Raise FileExistsError if there is a file that `write_picture` did not write."""
    if path.is_file() and not path.is_symlink():
        with open_regular(path) as file:
            if MARK.encode() in file.read(MOST):
                return
    check_free(path)
