"""Each mistake that a newcomer made is answered in one line that says what to type."""

from __future__ import annotations

from pathlib import Path

import pytest

from racing_vpt.cli.main import main
from tests.cli.answers import said

IN_FIT = [
    (["--model", "VTP"], "no class 'VTP' for model; did you mean VPT?"),
    (["--model", "VPT", "--model.warmup_step", "3"], "did you mean warmup_steps?"),
    (["--model", "VPT", "--model.cloning.forget", "much"], "Expected a float. Got value: much"),
    (["--model", "VPT", "--data.batchsize", "3"], "did you mean batch_size?"),
    (["--model", "VPT", "--trainer.logger", "TensorBordLogger"], "did you mean TensorBoardLogger?"),
    (["--model", "VPT", "--ckpt_path", "zoo:vpt-carracing"], "--model.init_from zoo:vpt-carracing"),
    (["--model", "VPT", "--ckpt_path", "last", "--name", "nobody"], "nobody/checkpoints/last.ckpt does not exist"),
    ([], "fit needs a model: give a shipped recipe, such as --config idm"),
    (["--config", "base"], "fit needs a model: give a shipped recipe, such as --config idm"),
    (["--data.batch_size", "3"], "fit needs a model: give a shipped recipe, such as --config idm"),
    (["--config", "idm.yml"], "there is no config idm.yml; did you mean idm?"),
    (["--config", "idm", "--model.learning_rate", "1e-3"], "--model.optimizer.lr 1e-3"),
    (["--config", "idm", "--learning_rate", "1e-3"], "--model.optimizer.lr 1e-3"),
    (["--config", "idm", "--model.scheme", "car"], "controls come with the game now: --model.game NAME"),
    (["--config", "idm", "--max_steps", "100"], "no option --max_steps; did you mean --trainer.max_steps?"),
    (["--config", "idm", "--trainer.max_steps", "many"], "--trainer.max_steps takes a whole number, but got: many"),
]


@pytest.mark.parametrize(("words", "answer"), IN_FIT, ids=[" ".join(words) or "nothing" for words, _ in IN_FIT])
def test_a_mistake_in_fit(words: list[str], answer: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert answer in said(capsys, "fit", *words)


@pytest.mark.parametrize("setting", ["--model.game", "--model.network.size"])
def test_a_value_that_a_model_refuses_is_answered_without_its_other_settings(
    setting: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = said(capsys, "fit", "--config", "idm", setting, "huge", f"--runs={tmp_path}")
    assert "'huge'; there are" in answer or "'huge'; games are" in answer
    assert "Namespace" not in answer
    assert len(answer) < 300


@pytest.mark.parametrize("name", ["gpu", "cuda"])
def test_a_gpu_where_there_is_none(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    answer = said(capsys, "fit", "--config", "idm", "--trainer.accelerator", name, f"--runs={tmp_path}")
    assert answer.endswith("(see: racing-vpt doctor); on the CPU: --trainer.accelerator cpu")


def test_missing_data_leaves_no_run_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--config", "idm", f"--data.train={tmp_path / 'nowhere'}", f"--runs={tmp_path / 'runs'}"]
    assert "there is no folder" in said(capsys, "fit", *words)
    assert not list((tmp_path / "runs").rglob("*/default"))


def test_predict_answers_videos_with_the_whole_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no option --videos; did you mean --data.videos?" in said(capsys, "predict", "--videos", "race.mp4")


def test_a_required_option_that_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    answer = said(capsys, "drive")
    assert "--checkpoint is missing (who drives: zoo:NAME" in answer
    assert answer.endswith("see: racing-vpt drive --help")
    assert said(capsys, "export-weights", "zoo:vpt-carracing").endswith(
        "type: racing-vpt export-weights CHECKPOINT OUT"
    )


def test_a_word_without_its_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert "did you mean --checkpoint zoo:vpt-carracing?" in said(capsys, "drive", "zoo:vpt-carracing")
    assert "it stands without a name: racing-vpt export-weights CHECKPOINT OUT" in said(
        capsys, "export-weights", "x", "--out", "y"
    )


@pytest.mark.parametrize("words", [["zoo:a", "zoo:b"], ["zoo:a,zoo:b"], ["[zoo:a,zoo:b]"]])
def test_a_list_is_taken_with_spaces_commas_and_brackets(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert "zoo:a is not in the zoo" in said(capsys, "compare", "--checkpoints", *words)


@pytest.mark.parametrize("option", ["--json", "--video"])
def test_a_file_that_cannot_be_written(option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    target = tmp_path / "file" / "out.json"
    words = ["--checkpoint", "brownian", "--seeds", "1000", "--max_frames", "2", "--workers", "1"]
    answer = said(capsys, "drive", *words, option, str(target))
    assert f"{option} {target}: " in answer
    assert "Errno" not in answer


def test_a_choice_names_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--what takes one of all, envs, label, " in said(capsys, "bench", "--what", "everything")


def test_another_verbs_mistake_ends_with_status_2_and_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["collect", "--out", "x", "--workers", "few"]) == 2
    assert "--workers takes a whole number, but got: few" in capsys.readouterr().err


def test_a_text_called_mp4_is_named_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = tmp_path / "race.mp4"
    video.write_text("no video")
    words = ["--ckpt_path", "zoo:idm-carracing", f"--data.videos={video}", f"--out={tmp_path / 'labels'}"]
    answer = said(capsys, "predict", *words)
    assert answer.count("race.mp4") == 1
    assert "is no video that can be decoded, or it is cut short" in answer
    assert "Errno" not in answer
