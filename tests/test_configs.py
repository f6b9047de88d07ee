"""Every shipped YAML works: stages through `fit`, collections through `collect`, on tiny data."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml

from racing_vpt.bench.label import WINDOWS
from racing_vpt.cli.main import main
from racing_vpt.cli.parsing import parse_stage

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / "configs"
FITS = {  # what is given one after the other: base, stage, and what is tried
    "idm": ["idm"],
    "timed-idm": ["idm_timed"],
    "vpt": ["vpt"],
    "finetune-racing": ["finetune", "finetune/racing"],
    "demo-idm": ["idm", "demo/idm"],
    "demo-vpt": ["vpt", "demo/vpt"],
    "video-vpt": ["vpt", "vpt_video"],
    "bf16": ["vpt", "strategy/bf16"],
    "ddp": ["vpt", "strategy/ddp"],
    "tensorboard": ["vpt", "logger/tensorboard"],
    **{f"size-{path.stem}": ["vpt", f"size/{path.stem}"] for path in sorted((CONFIGS / "size").glob("*.yaml"))},
}
POLICY = ROOT / "tests" / "vpt_parity" / "policy.model"  # for what starts from a checkpoint
TOO_LARGE = {"size-small", "size-1x", "size-2x", "size-3x"}  # tried with the smallest network, all else as it is
GAMES = ("nes", "enduro")  # with a circle of their own
COLLECTS = tuple(
    str(path.relative_to(CONFIGS).with_suffix(""))
    for path in sorted(
        [
            *(CONFIGS / "collect").rglob("*.yaml"),
            *(CONFIGS / "demo").glob("*ed.yaml"),
            *(CONFIGS / game / f"{name}.yaml" for game in GAMES for name in ("labelled", "watched", "judge")),
        ]
    )
)
SWAG = ("swag/idm", "swag/vpt", "swag/idm_small", "swag/vpt_small")  # tests/models/test_swag.py
CIRCLES = (*(f"{game}/{kind}" for game in GAMES for kind in ("idm", "vpt")), *SWAG)  # tests/verbs/test_circle.py
WORLD = ("vae", "mdn_rnn", "controller", "controller_dream")
PAPER = ("paper/vae", "paper/mdn_rnn", "paper/controller")
DOING = ("", "_plain", "_actions", "_demonstrations", "_taught", "_laps")  # tests/callbacks/test_experience.py
# base is in every fit; wandb below; label: demo; fsdp needs GPUs; the rest in tests/models
TOKENIZER = ("", "/tiny", "/cpu", "/l1", "/l2", "/fsq", "/adversarial", "/pretrained", "/atari")
CHOICES = ("/tiny", "/cpu", "/absolute", "/frame", "/mdn-rnn", "/sign", "/discrete", "/pretrained")
TOKEN_WORLD = ("", *CHOICES, "/enduro", "/breakout")
LOOP = ("iris", "iris/tiny", "iris/settle", "iris/stock", "iris/enduro", "iris/breakout")  # tests/models/test_iris.py
STAGES = (*(f"iris/tokenizer{x}" for x in TOKENIZER), *(f"iris/token_world{x}" for x in TOKEN_WORLD))
IRIS = (*STAGES, *LOOP)
VERBS = ("label", "ladder", "late")  # predict, ladder and renditions
RL = ("rl", "rl_scratch")  # tests/callbacks/test_reinforcement.py
ELSEWHERE = (
    "base",
    "logger/wandb",
    *VERBS,
    "strategy/fsdp",
    *WORLD,
    *IRIS,
    *PAPER,
    *(f"dqn{x}" for x in DOING),
    *CIRCLES,
    *RL,
)
TINY = ["--trainer.max_steps=1", "--trainer.limit_val_batches=1", "--trainer.devices=1", "--data.batch_size=2"]


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four episodes of 40 frames with controls."""
    folder = tmp_path_factory.mktemp("recordings")
    assert (
        main(["collect", "--out", str(folder), "--seeds", "10000-10003", "--max_frames", "40", "--workers", "1"]) == 0
    )
    return folder


@pytest.fixture(autouse=True)
def no_process_group_stays() -> Iterator[None]:
    """Clean up after DDP, whose process group and environment variables would make later tests act as ranks."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def shortened(name: str, folder: Path) -> Path:
    """A copy of a config with a single validation drive of a few frames."""
    config = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
    trainer = config.get("trainer", {})
    for callback in (*trainer.get("callbacks", []), *trainer.get("callbacks+", [])):
        if callback["class_path"].endswith("RolloutValidation"):
            callback["init_args"] |= {"episodes": 1, "max_frames": 4}
    if "val_check_interval" in trainer:
        trainer["val_check_interval"] = 1
    path = folder / f"{name.replace('/', '-')}.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def test_every_config_is_tested() -> None:
    tried = {name for names in FITS.values() for name in names} | {*COLLECTS, *ELSEWHERE}
    assert tried == {str(path.relative_to(CONFIGS).with_suffix("")) for path in CONFIGS.rglob("*.yaml")}


@pytest.mark.parametrize("case", FITS)
def test_a_config_trains_and_leaves_a_whole_run(case: str, recordings: Path, tmp_path: Path) -> None:
    words = [word for name in ("base", *FITS[case]) for word in ("--config", str(shortened(name, tmp_path)))]
    words += [f"--data.train={recordings}", f"--data.val={recordings}", f"--runs={tmp_path}", "--name=tiny", *TINY]
    words += ["--model.margin=2", "--data.clip_frames=12"] if case.endswith("idm") else ["--data.clip_frames=8"]
    words += [f"--model.init_from={POLICY}"] if case.startswith("finetune") else []
    if case in TOO_LARGE:
        words += ["--model.network.size=tiny", "--model.frames.height=64", "--model.frames.width=64"]
    folder = {"timed-idm": "timedidm"}.get(case, "idm" if case.endswith("idm") else "vpt")
    run = tmp_path / folder / "tiny"
    (run / "checkpoints").mkdir(parents=True)
    others = [run / "notes.txt", run / "checkpoints" / "notes.md"]
    for path in others:
        path.write_text("theirs")
    assert main(["fit", *words]) == 0
    assert [path.read_text() for path in others] == ["theirs", "theirs"]
    assert not list(run.glob(".*"))
    assert (run / "config.yaml").is_file()
    assert (run / "environment.json").is_file()
    assert list(run.glob("events.out.tfevents.*"))
    assert list((run / "checkpoints").glob("*.ckpt"))


@pytest.mark.parametrize("name", PAPER)
def test_the_sizes_of_a_paper_apply_to_a_stage(name: str) -> None:
    files = [CONFIGS / "base.yaml", CONFIGS / f"{name.split('/')[1]}.yaml", CONFIGS / f"{name}.yaml"]
    config = parse_stage("fit", [word for path in files for word in ("--config", str(path))])
    given = yaml.safe_load(files[-1].read_text())
    assert config.model.init_args.frames.stride == given["model"]["init_args"]["frames"]["stride"] == 1
    assert all(config.trainer[key] == value for key, value in given["trainer"].items())


@pytest.mark.parametrize("name", COLLECTS)
def test_a_collection_records(name: str, tmp_path: Path) -> None:
    config = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
    if config.get("env", "").startswith("ALE/") or config.get("game") in ("enduro", "breakout"):
        pytest.importorskip("ale_py", reason="Atari's games come with ale-py: pip install '.[atari]'")
    if config.get("game", "").startswith("nes"):
        pytest.importorskip("cynes", reason="the NES's emulator: pip install '.[nes]'")
    words = ["--config", str(CONFIGS / f"{name}.yaml"), "--out", str(tmp_path / "out"), "--workers", "1"]
    assert main(["collect", *words, "--seeds", "30000-30001", "--max_frames", "5"]) == 0
    assert len(list((tmp_path / "out").glob("*.meta.json"))) == 2 * len(config.get("renditions", [None]))
    assert len(list((tmp_path / "out").glob("*.jsonl"))) == (0 if config.get("video_only", False) else 2)


def test_a_missing_wandb_is_reported_in_one_line(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        import wandb  # noqa: F401
    except ModuleNotFoundError:
        pass
    else:
        pytest.skip("wandb is installed, so there is nothing to complain of")
    configs = [word for name in ("base", "vpt", "logger/wandb") for word in ("--config", str(CONFIGS / f"{name}.yaml"))]
    assert main(["fit", *configs, f"--data.train={recordings}", f"--runs={tmp_path}"]) == 2
    assert "wandb" in capsys.readouterr().err.splitlines()[-1]


def test_labelling_is_timed_as_it_is_done() -> None:
    assert yaml.safe_load((CONFIGS / "label.yaml").read_text())["data"] == WINDOWS
