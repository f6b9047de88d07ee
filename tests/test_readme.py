"""The README says what is so: its commands parse, its cheap ones run, its links lead somewhere."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from racing_vpt.cli.main import STAGES, TOOLS, main, tool_parser

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
CHEAP = ("racing-vpt --help",)


def commands() -> Iterator[str]:
    """Lines of the README's shell blocks, and the commands in its sentences."""
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL):
        yield from (line.split("  #")[0].strip() for line in block.splitlines() if line.strip())
    for inline in re.findall(r"`(racing-vpt [a-z]+ --[^`]*)`", README):
        yield " ".join(inline.split())


def test_the_readme_has_commands() -> None:
    assert sum(command.startswith("racing-vpt") for command in commands()) >= 8


@pytest.mark.parametrize("command", sorted({command for command in commands() if command.startswith("racing-vpt")}))
def test_commands_of_the_readme_parse(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    verb, *words = shlex.split(command)[1:]
    if verb in TOOLS:
        tool_parser(verb)[0].parse_args(words)
    elif verb in STAGES:
        from racing_vpt.cli.stages import parse_stage

        parse_stage(verb, words)
    else:
        assert command in CHEAP


@pytest.mark.parametrize("command", CHEAP)
def test_cheap_commands_of_the_readme_run(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(shlex.split(command)[1:]) == 0
    assert capsys.readouterr().out


def dry_run(*targets: str) -> str:
    """What make would run."""
    words = ["make", "--dry-run", "PYTHON=python3", *targets]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_targets_of_the_readme_exist() -> None:
    given = [shlex.split(command)[1:] for command in commands() if command.startswith("make")]
    assert len(given) >= 8
    dry_run(*{word for words in given for word in words})


def test_make_help_has_a_line_for_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = " ".join(re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)).split()
    shown = subprocess.run(["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True).stdout
    assert {line.split()[1] for line in shown.splitlines()} == set(targets)


def test_commands_of_the_makefile_parse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    targets = ("collect", "pack", "idm", "label", "vpt", "drive")
    shown = dry_run(*targets).replace("\\\n", " ").splitlines()
    lines = [line for line in shown if line.split(" ")[0].endswith("racing-vpt")]
    assert len(lines) >= len(targets)
    for line in lines:
        verb, *words = shlex.split(line)[1:]
        if verb in TOOLS:
            tool_parser(verb)[0].parse_args(words)
        else:
            from racing_vpt.cli.stages import parse_stage

            parse_stage(verb, words)


def test_paths_that_the_readme_names_exist() -> None:
    named = re.findall(r"`((?:configs|tests|scripts|racing_vpt)/[\w/.-]+)`", README)
    assert named
    assert not [path for path in named if not (ROOT / path).exists()]


def test_every_verb_is_in_the_table() -> None:
    table = README.split("## Every verb")[1]
    assert not [verb for verb in (*TOOLS, *STAGES) if not re.search(rf"`{verb}[ `]", table)]


@pytest.mark.parametrize("config", sorted((ROOT / "configs").rglob("*.yaml")), ids=lambda path: path.stem)
def test_yaml_names_no_absolute_path(config: Path) -> None:
    assert not re.search(r"[:\s]/\w+/", yaml.safe_dump(yaml.safe_load(config.read_text())))
