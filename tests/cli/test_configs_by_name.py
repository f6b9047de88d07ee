"""`--config`: paths, shipped names, and what is said of a config that does not exist."""

from __future__ import annotations

from pathlib import Path

import pytest

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
