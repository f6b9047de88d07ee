"""`--config`: paths, shipped names, and what is said of a config that does not exist."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from racing_vpt.cli.configs import config_names, find_config, shipped_configs, with_config_paths
from racing_vpt.cli.parsing import parse_stage

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize("given", ["idm", "idm.yaml", "configs/idm.yaml"])
def test_a_shipped_config_is_found_by_name_from_any_folder(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_config(given) == CONFIGS / "idm.yaml"


def test_a_file_of_the_users_comes_before_a_shipped_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "idm.yaml").write_text("model: IDM\n")
    assert find_config("idm.yaml") == Path("idm.yaml")


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        ("configs/idm.yml", "there is no config configs/idm.yml; did you mean configs/idm.yaml?"),
        ("iddm", "did you mean idm?"),
        ("iris/tyni", "did you mean iris/tiny?"),
        ("nowhere/at_all.yaml", "a shipped one by its name: controller, "),
    ],
)
def test_a_config_that_does_not_exist_is_answered_with_the_nearest(
    given: str, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(CONFIGS.parent)
    with pytest.raises(FileNotFoundError) as error:
        find_config(given)
    assert answer in str(error.value)


def test_every_training_reads_base_yaml_first_and_once() -> None:
    base = str(shipped_configs() / "base.yaml")
    assert with_config_paths("fit", ["--config", "idm"]) == ["--config", base, "--config", str(CONFIGS / "idm.yaml")]
    given = with_config_paths("fit", ["--config=configs/base.yaml", "--config=idm"])
    assert [word for word in given if word.endswith("base.yaml")] == [given[1]]
    assert with_config_paths("predict", ["--config", "label"]) == ["--config", str(CONFIGS / "label.yaml")]


def test_a_training_is_the_same_with_base_yaml_given_and_not() -> None:
    with_base = parse_stage("fit", ["--config", "base", "--config", "idm"])
    without = parse_stage("fit", ["--config", "idm"])
    with_base.pop("config"), without.pop("config")
    assert without == with_base
    assert any("EnvironmentRecord" in callback.class_path for callback in without.trainer.callbacks)


def test_names_are_paths_below_the_folder_without_a_suffix() -> None:
    assert {"idm", "vpt", "iris/tiny", "collect/labelled"} <= set(config_names())


def test_what_an_earlier_version_wrote_is_given_in_todays_terms(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old, today = tmp_path / "old.yaml", tmp_path / "today.yaml"
    model = "{class_path: racing_vpt.models.idm.IDM, init_args: {scheme: car, size: tiny, stops: {steering: 0.4}}}"
    old.write_text(f"name: mine\nmodel: {model}\n")
    today.write_text("model: {class_path: racing_vpt.models.idm.IDM, init_args: {network: {size: tiny}}}\n")
    with caplog.at_level("INFO", "racing_vpt"):
        _, text = with_config_paths("validate", [f"--config={old}"])
    assert yaml.safe_load(text)["model"]["init_args"]["network"] == {"size": "tiny"}
    assert f"{old} is of an earlier version" in caplog.text
    assert with_config_paths("validate", [f"--config={today}"]) == ["--config", str(today)]
    assert with_config_paths("drive", [f"--config={old}"]) == ["--config", str(old)]  # tools have options of their own
    old.write_text("model: {class_path: racing_vpt.models.mdn_rnn.MDNRNN, init_args: {reward_weight: 0.7}}\n")
    with pytest.raises(ValueError, match=r"reward_weight is 0\.7.*version 0\.1\.0 of racing-vpt can read it"):
        with_config_paths("fit", ["--config", str(old)])


def test_null_takes_the_value_of_an_option_in_a_group_away() -> None:
    words = ["--data.controls.labels", "labels", "--data.controls.labels=null", "--data.controls.drop_null", "null"]
    options = parse_stage("fit", ["--config", "idm", *words, "--model.network.view", "null", "--data.test=null"])
    controls = options.data.init_args.controls
    assert (controls.labels, controls.drop_null, options.data.init_args.test) == (None, None, None)
    assert options.model.init_args.network.view is None
