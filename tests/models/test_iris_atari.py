"""IRIS on Atari's games: recording, packing, training, and driving in the world model by keys."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from racing_vpt.checkpoints.load import load_module
from racing_vpt.cli.main import main
from racing_vpt.cli.parsing import parse_stage
from racing_vpt.data.recording import Recording
from racing_vpt.games.atari import JOYSTICK
from racing_vpt.games.read import load_game
from racing_vpt.models.token_world import TokenWorld
from racing_vpt.types import frame_spec

ROOT = Path(__file__).parents[2]
pytest.importorskip("ale_py", reason="Atari's games come with ale-py: pip install '.[atari]'")


def fit(stage: str, choice: str, shards: Path, runs: Path, *words: str) -> int:
    """Two steps of a tiny model; the exit status."""
    files = ["base", f"iris/{stage}", f"iris/{stage}/tiny", f"iris/{stage}/{choice}"]
    given = [word for file in files for word in ("--config", str(ROOT / "configs" / f"{file}.yaml"))]
    data = [f"--data.train={shards}", f"--data.val={shards}", "--data.batch_size=2", "--data.val_steps=1"]
    short = [f"--runs={runs}", "--name=it", "--trainer.max_steps=2", "--data.steps_per_epoch=2"]
    return main(["fit", *given, *data, *short, *words])


@pytest.mark.parametrize("game", ["enduro", "breakout"])
def test_a_world_of_a_game_chooses_among_its_positions(game: str) -> None:
    files = ["base", "iris/token_world", "iris/token_world/tiny", f"iris/token_world/{game}"]
    words = [word for file in files for word in ("--config", str(ROOT / "configs" / f"{file}.yaml"))]
    options = parse_stage("fit", words)
    given = options.model.init_args
    assert (options.game, given.world.actions) == (game, "discrete")
    seen = frame_spec(given.frames, load_game(game).world_frames)
    assert (seen.frames_per_second, seen.crop_bottom) == (15, 0)


def test_a_world_model_is_trained_on_a_game_and_played(tmp_path: Path) -> None:
    records, shards, runs = tmp_path / "records", tmp_path / "shards", tmp_path / "runs"
    words = ["--config", str(ROOT / "configs" / "collect" / "breakout.yaml"), f"--out={records}", "--workers=1"]
    assert main(["collect", *words, "--seeds=30000-30001", "--max_frames=60"]) == 0
    size = ["--height=64", "--width=64", "--val_fraction=0.5", "--clip_frames=32"]
    assert main(["pack", f"--recordings={records}", f"--out={shards}", *size]) == 0
    assert fit("tokenizer", "atari", shards, runs) == 0
    eye, codes = f"--model.init_tokenizer={runs / 'tokenizer' / 'it'}", f"--data.reading.codes={tmp_path / 'codes'}"
    assert fit("token_world", "breakout", shards, runs, eye, codes, "--data.clip_frames=24") == 0
    run = runs / "tokenworld" / "it"
    world = load_module(str(run))
    assert isinstance(world, TokenWorld)
    assert world.scheme.num_classes == {"action": 4}
    film = tmp_path / "film.mp4"
    assert main(["play", str(run), "--world_model", f"--out={film}", "--keys", ", space*2 left*3 ,"]) == 0
    seen = [Recording.open(path) for path in sorted((run / "media" / "recordings").glob("dream-*.mp4"))]  # one a dream
    assert seen[0].frames_per_second == 15
    assert [record.action["fire"] for one in seen for record in one.records()] == [1, 1, 0, 0, 0]


def short_drives(folder: Path) -> Path:
    """A copy of configs/iris.yaml whose drives are short."""
    config = yaml.safe_load((ROOT / "configs" / "iris.yaml").read_text())
    short = {
        "Collection": {"lanes": 2, "max_frames": 12, "patience": 15},
        "RolloutValidation": {"episodes": 1, "max_frames": 9},
        "EpisodeFilms": {"max_frames": 9, "dreamt": 5},
    }
    for callback in config["trainer"]["callbacks+"]:
        more = short.get(callback["class_path"].split(".")[-1], {})
        callback["init_args"] = {**callback.get("init_args", {}), **more}
    path = folder / "iris.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def test_the_loop_plays_a_game_learns_from_it_and_is_watched(tmp_path: Path) -> None:
    files = [ROOT / "configs" / "base.yaml", short_drives(tmp_path), ROOT / "configs" / "iris" / "breakout.yaml"]
    given = [word for file in files for word in ("--config", str(file))]
    world = "{layers: 1, width: 16, heads: 1, window: 3, dropout: 0.0}"
    small = ["--model.tokenizer.size=tiny", f"--model.world.size={world}", "--model.actor.size=tiny"]
    small += ["--model.reconstruction.perceptual=null", "--model.dreams.horizon=3"]
    small += ["--model.training.world_frames=5", "--model.dreams.burn_in=2"]
    for part in ("tokenizer", "world", "agent"):
        small += [f"--model.training.{part}.{key}" for key in ("steps=1", "start_epoch=0", "batch_size=2")]
    data = ["--data.collecting.decisions=12", "--data.collecting.warm_up=40", "--data.capacity=400"]
    data += ["--data.validation.rows=2"]
    data += ["--data.validation.frames=8", "--data.validation.steps=1", "--trainer.check_val_every_n_epoch=2"]
    assert main(["fit", *given, *small, *data, f"--runs={tmp_path}", "--name=it", "--trainer.max_epochs=2"]) == 0
    run = tmp_path / "iris" / "it"
    seen = Recording.open(next((run / "media" / "episodes" / "train").glob("*.mp4")))
    assert (tuple(seen.controls()), seen.frames_per_second, seen.num_frames) == (
        JOYSTICK,
        15,
        12,
    )  # no tiles, so nothing is hopeless
    words = ["--seeds=1000", "--max_frames=10", "--workers=1"]
    assert main(["drive", f"--checkpoint={run}", "--env=ALE/Breakout-v5", *words]) == 0
    for name, mode in (("road", "--reconstruction"), ("dream", "--agent_in_world_model"), ("kept", "--episodes")):
        film = tmp_path / f"{name}.mp4"
        assert main(["play", str(run), mode, f"--out={film}", "--keys", "none*2"]) == 0
        assert film.is_file()
