"""A picture replaces one of ours, and no other file."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from racing_vpt.play.picture_file import check_own_picture, write_picture


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_a_picture_of_ours_is_known_again(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    check_own_picture(path)
    write_picture(Figure(figsize=(1, 1)), path)
    check_own_picture(path)


def test_a_picture_of_others_or_a_link_to_ours_is_not_replaced(tmp_path: Path) -> None:
    figure = Figure(figsize=(1, 1))
    figure.savefig(tmp_path / "theirs.png")
    write_picture(figure, tmp_path / "ours.png")
    (tmp_path / "link.png").symlink_to("ours.png")
    for name in ("theirs.png", "link.png"):
        with pytest.raises(FileExistsError, match="is not replaced"):
            check_own_picture(tmp_path / name)
