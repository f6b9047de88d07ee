"""The command line: what is said of mistakes, and where a run goes."""

from __future__ import annotations

import copy
from functools import partial
from pathlib import Path
from threading import Lock

import pytest

import racing_vpt
from racing_vpt.cli.main import main
from racing_vpt.cli.runs import alike
from racing_vpt.cli.stages import StageCLI
from tests.cli.answers import said


def test_without_a_verb_the_help_page_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "usage: racing-vpt VERB" in capsys.readouterr().out


def test_help_of_a_verb_is_asked_for_in_two_ways(capsys: pytest.CaptureFixture[str]) -> None:
    pages = []
    for words in (["help", "fit"], ["fit", "--help"]):
        assert main(words) == 0
        pages.append(capsys.readouterr().out)
    assert pages[0] == pages[1]
    assert "usage: racing-vpt fit" in pages[0]


def test_the_version_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == racing_vpt.__version__


def test_a_mistyped_verb_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no verb 'colect'; did you mean collect?" in said(capsys, "colect")


def test_a_mistyped_option_of_a_tool_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no option --seedz; did you mean --seeds?" in said(capsys, "demo", "--seedz", "1")


def test_a_mistyped_key_in_yaml_is_answered_with_the_nearest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "demo.yaml"
    config.write_text("seedz: 0-9\n")
    assert "no key 'seedz'; did you mean seeds?" in said(capsys, "demo", "--config", str(config))


def test_a_missing_config_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert "nowhere.yaml" in said(capsys, "demo", "--config", "nowhere.yaml")


def test_what_a_tool_raises_for_its_user_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "idm.yaml" in said(capsys, "demo", "--configs", str(tmp_path))


def test_debug_lets_the_traceback_through(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"idm\.yaml"):
        main(["demo", "--configs", str(tmp_path), "--debug"])


@pytest.mark.parametrize("where", [["--model"], ["--model", "VPT", "--model.optimizer"], ["--trainer.callbacks"]])
def test_yaml_names_classes_of_ours_and_of_lightning_only(
    where: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'was-imported')!r}, 'w')\nclass Evil: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert "evil.Evil may not be named here" in said(capsys, "fit", *where, "evil.Evil")
    assert not (tmp_path / "was-imported").exists()


def test_measuring_needs_a_checkpoint(capsys: pytest.CaptureFixture[str]) -> None:
    assert "validate needs --ckpt_path" in said(capsys, "validate")


def test_an_unknown_name_of_the_zoo_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert "zoo" in said(capsys, "validate", "--ckpt_path", "zoo:nothing")


def test_options_that_are_newer_than_a_run_do_not_keep_it_from_going_on() -> None:
    old = {"frames": {"height": 96, "fit": "stretch"}, "size": "tiny"}
    assert alike(old, {"frames": {"height": 96, "fit": "stretch", "resize": "area"}, "size": "tiny", "freeze": None})
    assert not alike(old, {"frames": {"height": 64, "fit": "stretch", "resize": "area"}, "size": "tiny"})
    assert not alike(old, {"frames": {"height": 96}, "size": "tiny"})


def test_a_model_that_refers_to_the_command_line_can_be_copied() -> None:
    cli = object.__new__(StageCLI)
    cli.stage = Lock()  # stands for the processes of a trainer, which cannot be copied either
    assert copy.deepcopy({"optimizer": partial(print, cli)})["optimizer"].args == (cli,)
