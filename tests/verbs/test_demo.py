"""The demo: the whole circle, tiny, by its own commands; what is finished is kept, what was stopped goes on."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from racing_vpt.cli.main import main
from racing_vpt.cli.steps import Step, announce, fingerprint, run_step
from racing_vpt.outputs import sole_writer
from racing_vpt.play.curves import plot_training, read_scalars
from racing_vpt.verbs.demo import circle, demo, summarize
from tests.logged_keys import is_explained

ROOT = Path(__file__).parents[2]
TINY = {
    "fit": ["--trainer.max_steps=2", "--trainer.val_check_interval=1", "--trainer.limit_val_batches=1",
            "--trainer.log_every_n_steps=1", "--data.steps_per_epoch=2", "--data.batch_size=2",
            "--data.clip_frames=12"],
    "collect": ["--max_frames", "40", "--workers", "1"],
    "pack": ["--val_fraction", "0.5"],
    "predict": ["--data.window=32", "--data.window_stride=16"],
    "drive": ["--max_frames", "6", "--workers", "1"],
}  # fmt: skip


@pytest.fixture(scope="module")
def went_round(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the commands of the demo leave, on a few frames."""
    folder = tmp_path_factory.mktemp("demo")
    configs, out = folder / "configs" / "demo", folder / "out"
    for path in [file for name in (".", "demo", "strategy") for file in (ROOT / "configs" / name).glob("*.yaml")]:
        copy = folder / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(yaml.safe_dump(shortened(yaml.safe_load(path.read_text()))))
    for step in circle(out, configs, seeds="1050-1051"):
        verb = step.words[0]
        seeds = {"labelled": "10000-10001", "watched": "20000-20001"}.get(step.makes.name)
        words = [*step.words, *TINY[verb], *(["--seeds", seeds] if seeds else [])]
        if step.makes.parent.name == "idm":
            words.append("--model.margin=2")
        assert main(words) == 0, step.title
        assert step.makes.exists()
    return out


def shortened(config: dict) -> dict:
    """The same with drives of a few frames in between."""
    for callback in config.get("trainer", {}).get("callbacks", []) + config.get("trainer", {}).get("callbacks+", []):
        if callback["class_path"].endswith("RolloutValidation"):
            callback["init_args"] |= {"episodes": 1, "max_frames": 4}
    return config


def test_the_shards_that_the_policy_learns_from_name_the_labelling_checkpoint(went_round: Path) -> None:
    from racing_vpt.checkpoints.load import load_module

    learnt_from = yaml.safe_load((went_round / "vpt" / "demo" / "config.yaml").read_text())["data"]["init_args"][
        "train"
    ]
    assert learnt_from == str(went_round / "shards-vpt")
    manifest = json.loads((went_round / "shards-vpt" / "manifest.json").read_text())
    checkpoint = load_module(went_round / "idm" / "demo", expected="IDM").fingerprint()
    sources = [*manifest["actions_from"], *(each["actions_from"] for each in manifest["episodes"].values())]
    assert len(sources) == 3
    assert all(source["kind"] == "idm" and source["checkpoint"] == checkpoint for source in sources)


def test_the_video_that_is_watched_has_no_controls(went_round: Path) -> None:
    assert list((went_round / "watched").glob("*.mp4"))
    assert not list((went_round / "watched").rglob("*.jsonl"))


def test_the_demo_touches_nothing_of_the_zoo() -> None:
    words = [word for step in circle(Path("out"), Path("configs/demo"), "1050-1059") for word in step.words]
    names = ("base", "idm", "vpt", "label", "demo/idm", "demo/vpt", "demo/labelled", "demo/watched")
    recipes = "".join((ROOT / "configs" / f"{name}.yaml").read_text() for name in names)
    assert not [word for word in words if "zoo" in word]
    assert "zoo:" not in "".join(line.split("#")[0] for line in recipes.splitlines())


def test_the_tracks_that_are_driven_were_not_seen(went_round: Path) -> None:
    used = set()
    for folder in ("labelled", "watched"):
        used |= {json.loads(path.read_text())["seed"] for path in (went_round / folder).glob("*.meta.json")}
    driven = json.loads((went_round / "scores.json").read_text())["seeds"]
    assert used
    assert not used & set(driven)


def test_the_end_is_scores_a_film_and_a_plot(went_round: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summarize(went_round, 60.0)
    scores = json.loads((went_round / "scores.json").read_text())
    assert {"env", "checkpoint", "seeds", "returns", "mean", "ci95", "median", "p10", "laps_finished", "frames"} <= set(
        scores
    )
    assert scores["env"] == "racing_vpt/CarRacingFast-v3"
    assert (went_round / "drive.mp4").stat().st_size > 1000
    assert (went_round / "training.png").read_bytes().startswith(b"\x89PNG")
    assert f"{scores['mean']:.1f}" in capsys.readouterr().out


def test_curves_are_what_was_logged(went_round: Path) -> None:
    curves = read_scalars(went_round / "idm" / "demo")
    steps, values = curves["train/loss"]
    assert len(steps) == len(values) == 2
    assert np.isfinite(values).all()
    assert "val/loss" in curves


def test_every_logged_key_is_explained_on_the_page_of_recipes(went_round: Path) -> None:
    logged = {key for kind in ("idm", "vpt") for key in read_scalars(went_round / kind / "demo")}
    logged -= {"epoch", "hp_metric"}
    assert len(logged) > 10
    assert not [key for key in logged if not is_explained(re.sub(r"/pg\d$", "", key))]


def test_a_run_without_curves_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no tensorboard events"):
        plot_training({"nothing": tmp_path}, tmp_path / "plot.png")


def step_for(tmp_path: Path, config: str = "{}", verb: str = "export-weights") -> Step:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(config)
    made = tmp_path / "made"
    words = (verb, "--config", str(recipe), f"{ROOT}/tests/vpt_parity/idm.model", str(made))
    return Step("Copy a checkpoint", words, made, 5)


@pytest.fixture
def exported(tmp_path: Path) -> tuple[Step, Path]:
    """A step that was run, and its record."""
    step, record = step_for(tmp_path), tmp_path / "steps" / "1.json"
    step.makes.mkdir()
    record.parent.mkdir()
    record.write_text(
        json.dumps({"makes": str(step.makes), "fingerprint": fingerprint(step, []), "seconds": 7.0, "finished": True})
    )
    return step, record


def test_the_demo_says_at_its_start_how_long_each_step_will_take(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    announce([step_for(tmp_path)] * 12, 2.0)
    said = capsys.readouterr().out
    assert re.search(r"\[12/12\] Copy a checkpoint +10 s", said)
    assert "2 minutes in all" in said


def test_a_finished_step_is_not_run_again(exported: tuple[Step, Path]) -> None:
    step, record = exported
    assert run_step(step, fingerprint(step, []), record) == 7.0


def test_a_step_whose_recipe_changed_is_made_anew(exported: tuple[Step, Path], tmp_path: Path) -> None:
    step, record = exported
    (step.makes / "old").touch()
    before = fingerprint(step, [])
    step_for(tmp_path, "{} # changed")
    assert fingerprint(step, []) != before
    with pytest.raises(ValueError, match="status 2"):  # OpenAI's test checkpoint is none of a module of ours
        run_step(Step(step.title, ("export-weights",), step.makes, 5), "other", record)
    assert not (step.makes / "old").exists()
    assert json.loads(record.read_text())["finished"] is False


def test_a_change_upstream_changes_what_depends_on_it(tmp_path: Path) -> None:
    step = step_for(tmp_path)
    assert fingerprint(step, ["a"]) != fingerprint(step, ["b"])


def test_two_demos_do_not_share_a_folder(tmp_path: Path) -> None:
    with sole_writer(tmp_path / "demo"), pytest.raises(ValueError, match="is being written to by"):
        demo(tmp_path / "demo", ROOT / "configs" / "demo")


def test_what_the_demo_did_not_make_is_never_removed(tmp_path: Path) -> None:
    step = step_for(tmp_path)
    step.makes.mkdir()
    with pytest.raises(ValueError, match="did not make it"):
        run_step(step, fingerprint(step, []), tmp_path / "1.json")
    assert step.makes.exists()
