"""What the command line answers to a mistake."""

from __future__ import annotations

import pytest

from racing_vpt.cli.main import main


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line on stderr of a command line that ends with status 2."""
    assert main(words) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert len(lines) == 1, lines
    return lines[0]
