"""What a finished training says to type next can be typed."""

from __future__ import annotations

import shlex

import pytest

from racing_vpt.cli.lists import with_lists
from racing_vpt.cli.main import STAGES, tool_parser
from racing_vpt.cli.outcome import NEXT
from racing_vpt.cli.parsing import parse_stage
from racing_vpt.seeds import SHORT_VALIDATION


@pytest.mark.parametrize("command", sorted(set(NEXT.values())))
def test_the_next_command_parses(command: str) -> None:
    program, verb, *words = shlex.split(command.format(run="runs/it/mine", seeds=SHORT_VALIDATION))
    assert program == "racing-vpt"
    if verb in STAGES:
        parse_stage(verb, words)
    else:
        parser, _ = tool_parser(verb)
        parser.parse_args(with_lists(parser, words))
