"""Old names of verbs and options, answered with the new ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from racing_vpt.cli.main import STAGES, TOOLS
from racing_vpt.cli.renamed import OPTIONS, VERBS, renamed_option
from tests.cli.answers import said


def test_an_old_verb_is_answered_with_the_new_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(VERBS, "watch", "view")
    monkeypatch.setitem(VERBS, "sweep", "it is gone; run racing-vpt fit for each setting")
    assert said(capsys, "watch", "x.mp4").endswith("error: watch is called racing-vpt view now")
    assert said(capsys, "sweep").endswith("error: sweep: it is gone; run racing-vpt fit for each setting")


def test_an_old_option_of_a_verb_is_answered_with_the_new_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(OPTIONS, "demo", {"folder": "out"})
    assert said(capsys, "demo", "--folder", "x").endswith("error: --folder is called --out now")
    assert said(capsys, "demo", "--folder=x").endswith("error: --folder is called --out now")


@pytest.mark.parametrize("where", ["command line", "YAML"])
def test_an_old_option_of_a_class_is_answered_with_the_new_one(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "old.yaml"
    config.write_text("data:\n  least_sure: 0.5\n")
    monkeypatch.setitem(OPTIONS, "ClipDataModule", {"data.least_sure": "data.trust.min_confidence"})
    words = ["--data.least_sure", "0.5"] if where == "command line" else ["--config", str(config)]
    answer = said(capsys, "fit", "--model", "VPT", *words)
    assert answer.endswith("error: --data.least_sure is called --data.trust.min_confidence now")


def test_an_option_that_only_ends_alike_is_left_alone() -> None:
    table = {"stages": {"data.frames.height": "game"}}
    assert renamed_option("fit", "--model.frames.height", ["--model.frames.height", "3"], table) is None
    assert (
        renamed_option("fit", "height", ["--data.frames.height=3"], table)
        == "--data.frames.height is called --game now"
    )


def test_every_row_of_the_table_has_an_owner_that_exists() -> None:
    owners = {owner for owner in OPTIONS if not owner[0].isupper()}
    assert owners <= {"stages", *STAGES, *TOOLS}
    assert not VERBS.keys() & {*STAGES, *TOOLS}, "a verb that exists is not an old one"


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("iris/token_world --model.tokenizer runs/x", "--model.tokenizer runs/x is called --model.init_tokenizer runs"),
        ("dqn --model.margin 0.8", "--model.margin 0.8 is called --model.margin.size 0.8 now"),
        ("dqn --model.network 3", "--model.network is a group of options, such as --model.network.NAME VALUE"),
    ],
)
def test_a_value_for_what_is_a_group_now_is_answered_with_the_option(
    words: str, answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert answer in said(capsys, "fit", "--config", *words.split())
