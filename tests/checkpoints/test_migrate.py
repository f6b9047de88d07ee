"""Checkpoints and runs of version 0.1.0 are read: settings of every class, in `version_0_1_0/`."""

import inspect
import json
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
import torch
import yaml

from racing_vpt.checkpoints import migrate
from racing_vpt.checkpoints.argument_changes import removed, renamed
from racing_vpt.checkpoints.load import ZOO, load_module, read_checkpoint
from racing_vpt.checkpoints.migrate import migrate_class, migrate_config, migrate_training
from racing_vpt.cli.parsing import parse_stage
from racing_vpt.games.read import as_game, load_game

OLD = Path(__file__).parent / "version_0_1_0"
RUNS = sorted(OLD.glob("*.yaml"))


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_the_settings_of_an_old_run_parse_today(path: Path) -> None:
    config = migrate_config(yaml.safe_load(path.read_text()), path)
    options = parse_stage("fit", ["--config", str(path)])
    assert options.model.class_path.startswith("racing_vpt.models.")
    assert migrate_config(config, path) == config  # today's stay as they are


@pytest.mark.parametrize("path", sorted(OLD.glob("*.json")), ids=lambda path: path.stem)
def test_the_settings_of_an_old_checkpoint_are_arguments_of_todays_class(path: Path) -> None:
    old = json.loads(path.read_text())
    class_path, arguments = migrate_class(old["class_path"], old["init_args"], path)
    module, _, name = class_path.rpartition(".")
    assert arguments.keys() <= inspect.signature(getattr(import_module(module), name)).parameters.keys()


@pytest.mark.parametrize("path", sorted(OLD.glob("zoo-*.json")), ids=lambda path: path.stem)
def test_an_old_checkpoint_is_built_with_its_weights(path: Path, tmp_path: Path) -> None:
    zoo = ZOO / path.stem.removeprefix("zoo-")
    (tmp_path / "config.json").write_bytes(path.read_bytes())
    (tmp_path / "model.safetensors").symlink_to(zoo / "model.safetensors")
    old, new = load_module(tmp_path), load_module(zoo)
    assert old.state_dict().keys() == new.state_dict().keys()
    before, now = read_checkpoint(tmp_path).init_args, read_checkpoint(zoo).init_args
    held, carried = as_game(before.pop("game", "carracing")), as_game(now.pop("game"))
    assert replace(held, scheme_for={}) == replace(carried, scheme_for={})
    if hasattr(new, "scheme"):
        assert old.scheme.heads == new.scheme.heads
    assert (old.game.name, old.frames) == (new.game.name, new.frames)
    assert before == now


@pytest.mark.parametrize(
    ("scheme", "game"),
    [("car", "carracing"), ("minecraft", "minecraft:controls"), ("carracing", "carracing:few"), (None, None)],
)
def test_the_scheme_whose_null_frames_were_dropped_is_a_game_today(scheme: str | None, game: str | None) -> None:
    class_path, arguments = migrate_class("racing_vpt.data.datamodule.VideoDataModule", {"drop_null": scheme}, "runs/a")
    assert arguments == {"controls": {"drop_null": game}}
    assert game is None or load_game(game).scheme().controls
    assert migrate_class(class_path, arguments, "runs/a") == (class_path, arguments)
    today = {"controls": {"drop_null": "carracing"}}
    assert migrate_class(class_path, today, "runs/a")[1] == today


def test_a_removed_option_in_use_names_the_version_that_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = (renamed("size", "network.size"), removed("colour", None, "red"), removed("flavour"))
    monkeypatch.setitem(migrate.ARGUMENTS, "Thing", rules)
    old = {"size": 3, "network": {"depth": 2}, "colour": "red", "flavour": "sweet"}
    assert migrate_class("ours.Thing", old, "x")[1] == {"network": {"depth": 2, "size": 3}}
    with pytest.raises(
        ValueError, match=r"runs/a: ours.Thing: colour is 'blue'.* version 0\.1\.0 of racing-vpt can read"
    ):
        migrate_class("ours.Thing", {"colour": "blue"}, "runs/a")


def test_names_in_a_training_checkpoint_are_migrated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(migrate.WEIGHTS, "slow.net.", "target.net.")
    monkeypatch.setitem(migrate.STATES, "OldModule", "NewModule")
    saved = {
        "state_dict": {"slow.net.x": torch.zeros(1), "net.x": torch.ones(1)},
        "callbacks": {"OldModule{'a': 1}": 1},
        "OldModule": {"step": 2},
    }
    migrated = migrate_training(saved)
    assert migrated["state_dict"].keys() == {"target.net.x", "net.x"}
    assert migrated["callbacks"] == {"NewModule{'a': 1}": 1}
    assert migrated["NewModule"] == {"step": 2}
