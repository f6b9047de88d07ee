"""Contributors' tools run the same checks as `.ci/run`."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


def test_pre_commit_runs_what_the_check_of_a_change_runs() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    entries = {hook["entry"] for repository in config["repos"] for hook in repository["hooks"]}
    assert set(re.findall(r"^make \w+$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)) <= entries
    assert all(repository["repo"] == "local" for repository in config["repos"]), "hooks use the project's own versions"


def test_the_makefile_says_how_to_have_the_command_on_the_path() -> None:
    text = (ROOT / "Makefile").read_text()
    assert text.count(". $(VENV)/bin/activate") >= 2, "after the installation, and in make help"
