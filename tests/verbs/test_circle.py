"""The circle on a button game: its commands fit together, and nothing that is judged was seen."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
import yaml

from racing_vpt.cli.main import TOOLS, main
from racing_vpt.cli.steps import words
from racing_vpt.seeds import parse_seeds
from racing_vpt.verbs.circle import steps_of, summarize
from tests.test_pages import parse

ROOT = Path(__file__).parents[2]
NES = ROOT / "configs" / "nes"
CIRCLES = {"nes": "road-expert", "enduro": "enduro-expert"}


@pytest.mark.parametrize(("game", "longest"), [("nes", None), ("enduro", 5000)])
def test_each_command_parses_and_reads_what_was_made_before(game: str, longest: int | None) -> None:
    steps = steps_of(Path("out"), ROOT / "configs" / game, "1000-1029", longest)
    made: set[str] = set()
    for step in steps:
        if step.words[0] in TOOLS:  # parsing a stage takes seconds; `fit` is run below
            parse(shlex.join(["racing-vpt", *step.words]))
        assert {str(need) for need in step.needs} <= made
        read = [word for word in step.words if word.startswith("out/") and word != str(step.makes)]
        known = {*made, "out/watched-truth", *(f"out/{name}.mp4" for name in ("policy", "truth", "minutes"))}
        assert not [word for word in read if word not in known], step.title
        made.add(str(step.makes))
    assert len(made) == len(steps)
    clips = {str(step.makes): step.words[7:] for step in steps if step.words[0] == "pack"}
    frames = yaml.safe_load((ROOT / "configs" / game / "idm.yaml").read_text())["model"]["init_args"]["frames"]
    assert clips["out/shards-labelled"] == words("--height", frames["height"], "--width", frames["width"], "--crf", 1)
    limits = [step.words[-1] for step in steps if step.words[0] == "drive" and "--max_frames" in step.words]
    assert limits == ([] if longest is None else [str(longest)] * 5)


@pytest.mark.parametrize("game", CIRCLES)
def test_what_is_judged_was_not_seen(game: str) -> None:
    folder = ROOT / "configs" / game
    recipes = {name: yaml.safe_load((folder / f"{name}.yaml").read_text()) for name in ("labelled", "watched", "judge")}
    seeds = [{*parse_seeds(recipe["seeds"])} for recipe in recipes.values()]
    seeds.append({*parse_seeds("1000-1029")})
    assert sum(map(len, seeds)) == len(set.union(*seeds))
    labelled = {each["agent"] for each in recipes["labelled"]["agents"]}
    assert [each["agent"] for each in recipes["watched"]["agents"]] == [f"{CIRCLES[game]}:watched"]
    assert f"{CIRCLES[game]}:watched" not in labelled


@pytest.fixture(scope="module", params=CIRCLES)
def recordings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    pytest.importorskip("cynes" if request.param == "nes" else "ale_py", reason="pip install '.[nes,atari]'")
    folder = tmp_path_factory.mktemp(request.param) / "labelled"
    config = ROOT / "configs" / request.param / "labelled.yaml"
    words = ["--seeds=10000-10003", "--max_frames=40", "--workers=1", f"--out={folder}"]
    assert main(["collect", "--config", str(config), *words]) == 0
    return request.param, folder


@pytest.mark.parametrize("recipe", ["idm", "vpt", "swag/idm_small", "swag/vpt_small"])
def test_its_recipes_train(recipe: str, recordings: tuple[str, Path], tmp_path: Path) -> None:
    game, folder = recordings
    if game != "nes" and recipe.startswith("swag"):
        pytest.skip("SWAG's recipes are those of nes-road")
    tiny = ["--trainer.max_steps=1", "--trainer.val_check_interval=1", "--trainer.limit_val_batches=1"]
    data = [f"--data.train={folder}", f"--data.val={folder}", "--data.batch_size=2"]
    config = str(ROOT / "configs" / f"{recipe if '/' in recipe else f'{game}/{recipe}'}.yaml")
    assert main(["fit", "--config", config, *data, *tiny, f"--runs={tmp_path}", "--name=tiny"]) == 0
    assert list((tmp_path / recipe.split("/")[-1].split("_")[0] / "tiny" / "checkpoints").glob("*.ckpt"))


def test_a_circle_without_a_game_or_driver_is_named(tmp_path: Path) -> None:
    for name in ("labelled", "watched", "judge", "idm", "vpt"):
        (tmp_path / f"{name}.yaml").write_text("agents: []\n")
    with pytest.raises(ValueError, match=r"watched\.yaml must name the game and one agent; it has None"):
        steps_of(tmp_path / "out", tmp_path, "1000")


def test_the_end_is_a_table_and_all_its_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for place, name in enumerate(("policy", "truth", "minutes", "driver", "random")):
        returns = [100.0 - place, 102.0 - place]
        scores = {"seeds": [1000, 1001], "env": "nes:nes-road", "mean": 101.0 - place, "ci95": returns}
        (tmp_path / f"{name}.json").write_text(json.dumps({**scores, "returns": returns}))
    (tmp_path / "test" / "circle").mkdir(parents=True)
    figures = {"left": {"f1": {"labels": [0.9, 0.8, 0.95]}, "onset_f1_2": {"labels": [0.7, 0.6, 0.8]}}}
    (tmp_path / "test" / "circle" / "report.json").write_text(json.dumps({"frames": 500, "figures": figures}))
    summarize(tmp_path, 120.0)
    said = capsys.readouterr().out
    assert "left     f1         labels 0.900 (0.800 to 0.950)" in said
    assert "random buttons" in said
    assert json.loads((tmp_path / "results.json").read_text())["returns"]["policy"]["mean"] == 101.0
