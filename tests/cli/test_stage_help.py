"""Help of the stages: short by hand, long on request, and no option that does not exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from racing_vpt.cli.configs import with_config_paths
from racing_vpt.cli.main import STAGES, main
from racing_vpt.cli.parsing import ParsedOnly, parse_stage
from racing_vpt.cli.runs import allow_imports
from racing_vpt.cli.stage_help import stage_help


@pytest.mark.parametrize("stage", STAGES)
def test_the_help_of_a_stage_fits_on_a_screen(stage: str) -> None:
    lines = stage_help(stage).splitlines()
    assert len(lines) <= 42
    assert max(map(len, lines)) <= 120


def test_the_help_of_a_stage_is_quick_because_it_imports_nothing_heavy() -> None:
    program = "from racing_vpt.cli.main import main; import sys; main(['fit', '--help']); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.endswith("False\n"), done.stderr


def test_the_help_of_predict_begins_with_its_own_options() -> None:
    options = re.findall(r"^  (--[\w.]+)", stage_help("predict"), re.MULTILINE)
    assert options[:4] == ["--ckpt_path", "--data.videos", "--out", "--on_error"]


@pytest.mark.parametrize("stage", STAGES)
def test_every_option_of_the_help_is_taken(stage: str) -> None:
    known = every_option(stage)
    named = set(re.findall(r"--[\w.]+", stage_help(stage)))
    other_verbs = {"--labels", "--recordings"}  # of `view` and `pack`, which come next
    assert named - other_verbs - {"--help", "--print_config", "--option"} <= known


@pytest.mark.parametrize("stage", STAGES)
def test_every_command_of_the_help_parses(stage: str) -> None:
    commands = [
        re.split(r"\s{2,}", line.strip())[0]
        for line in stage_help(stage).splitlines()
        if line.startswith("  racing-vpt")
    ]
    assert commands
    for command in commands:
        words = shlex.split(command)[2:]
        if "--help" in words or "--print_config" in command:
            continue
        parse_stage(stage, with_config_paths(stage, words))


def test_help_all_lists_lightnings_options_and_those_of_data_and_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--config", "idm", "--help", "all"]) == 0
    page = capsys.readouterr().out
    assert all(option in page for option in ("--trainer.max_steps", "--data.train", "--model.optimizer"))


def test_a_printed_recipe_is_yaml_that_can_be_given_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["fit", "--config", "idm", "--print_config"])
    assert end.value.code == 0
    printed = capsys.readouterr().out
    assert len(printed.splitlines()) < 300
    again = tmp_path / "again.yaml"
    again.write_text(printed)
    assert parse_stage("fit", ["--config", str(again)]).model.class_path.endswith(".IDM")


def every_option(stage: str) -> set[str]:
    """All options of a stage, with those of the model of `idm` and of its data."""
    words = with_config_paths(stage, ["--config", "idm"] if stage == "fit" else [])
    options: set[str] = set()
    parsed = ParsedOnly(stage, allow_imports(words))
    options |= {name for action in parsed._subcommand_parsers[stage]._actions for name in action.option_strings}
    for group in ("data", "model"):
        if parsed.options.get(group):
            options |= {f"--{group}.{name}" for name in parsed.options[group].init_args.as_dict()}
    return options | {"--model.optimizer.lr"}
