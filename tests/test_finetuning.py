"""Fine-tuning of a policy in OpenAI's format on a few recorded seconds: it learns, exports and drives."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from racing_vpt.agents.load import load_agent
from racing_vpt.checkpoints.load import load_module, read_checkpoint
from racing_vpt.cli.main import main
from racing_vpt.data.recording import RecordingWriter
from racing_vpt.envs.make import MEADOW_ID, make_env
from racing_vpt.envs.offers import step_controls
from racing_vpt.games.minecraft import BUTTONS, CAMERA
from racing_vpt.models.vpt import VPT
from racing_vpt.types import FrameRecord

CONFIGS = Path(__file__).parents[1] / "configs"
POLICY = str(Path(__file__).parent / "vpt_parity" / "policy.model")
LANES = ["--data.mode=lanes", "--data.batch_size=2", "--data.clip_frames=20"]


@pytest.fixture(scope="module")
def meadow_recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two episodes of three seconds: it walks, turns right now and then, attacks at the end, and rests in between."""
    folder, env = tmp_path_factory.mktemp("meadow"), make_env(MEADOW_ID)
    for episode in range(2):
        frame, _ = env.reset(seed=10_000 + episode)
        with RecordingWriter(folder, f"walk-{episode}", frames_per_second=20.0, meta={}) as writer:
            for index in range(60):
                controls = dict.fromkeys((*BUTTONS, *CAMERA), 0.0)
                controls["forward"] = float(index % 4 < 3)
                controls["camera_yaw"] = 3.2154 * (index % 8 == 2)
                controls["attack"] = float(index >= 50)
                picture = frame["pov"] if isinstance(frame, dict) else frame
                writer.add(np.asarray(picture), FrameRecord(index, index / 20, controls, first=index == 0))
                frame = step_controls(env, controls)[0]
    env.close()
    return folder


def fit(configs: list[Path], recordings: Path, runs: Path, *more: str) -> Path:
    """The run folder of a fine-tuning from the parity policy."""
    words = [
        word
        for name in (CONFIGS / "base.yaml", CONFIGS / "finetune.yaml", *configs)
        for word in ("--config", str(name))
    ]
    words += [f"--model.init_from={POLICY}", f"--data.train={recordings}", f"--data.val={recordings}"]
    assert main(["fit", *words, f"--runs={runs}", "--name=tuned", *LANES, "--trainer.max_epochs=-1", *more]) == 0
    return runs / "vpt" / "tuned"


def loss_of(checkpoint: str | Path, recordings: Path, runs: Path, name: str) -> float:
    """Validation loss on the recordings."""
    words = [f"--ckpt_path={checkpoint}", f"--data.val={recordings}", *LANES, f"--runs={runs}", f"--name={name}"]
    assert main(["validate", *words]) == 0
    return json.loads((runs / "validate" / name / "metrics.json").read_text())["val/loss"]


def test_minecraft_to_minecraft_the_loss_falls_and_the_result_exports_and_drives(
    meadow_recordings: Path, tmp_path: Path
) -> None:
    before = loss_of(POLICY, meadow_recordings, tmp_path, "before")
    more = ["--trainer.max_steps=24", "--trainer.accumulate_grad_batches=1", "--trainer.check_val_every_n_epoch=12"]
    more += ["--model.optimizer.lr=0.01", "--model.warmup_steps=0", "--model.schedule=constant"]
    run = fit([], meadow_recordings, tmp_path, *more)
    after = loss_of(run, meadow_recordings, tmp_path, "after")
    assert after < 0.6 * before
    size = read_checkpoint(run).init_args["network"]["size"]
    assert size["hidsize"] == 32, "the size is written out"

    assert main(["export-vpt", f"--checkpoint={run}", f"--model={tmp_path / 'tuned.model'}"]) == 0
    tuned, exported = load_module(run), load_module(tmp_path / "tuned.model")
    assert isinstance(tuned, VPT)
    for name, weight in tuned.state_dict().items():
        if not name.startswith("class_counts_"):
            assert torch.equal(exported.state_dict()[name], weight), name
    assert not torch.equal(tuned.net.final_ln.weight, load_module(POLICY).net.final_ln.weight)  # type: ignore[union-attr]

    report = tmp_path / "drive.json"
    words = [f"--checkpoint={tmp_path / 'tuned.model'}", f"--env={MEADOW_ID}", "--seeds=1000", "--max_frames=12"]
    assert main(["drive", *words, "--workers=1", f"--json={report}"]) == 0
    assert json.loads(report.read_text())["frames"] == [12]


def test_minecraft_to_racing_keeps_the_trunk_and_makes_a_cars_heads(tiny_recordings: Path, tmp_path: Path) -> None:
    config = yaml.safe_load((CONFIGS / "finetune" / "racing.yaml").read_text())
    del config["trainer"]["callbacks+"]  # eight laps; tests/test_configs.py drives some
    (tmp_path / "racing.yaml").write_text(yaml.safe_dump(config))
    short = ["--trainer.max_steps=2", "--trainer.accumulate_grad_batches=2", "--trainer.val_check_interval=4"]
    run = fit([tmp_path / "racing.yaml"], tiny_recordings, tmp_path, *short)
    tuned, published = load_module(run), read_checkpoint(POLICY).state_dict
    assert isinstance(tuned, VPT)
    assert tuned.scheme.name == "carracing"
    assert list(tuned.pi_head) == ["steering", "throttle", "brake", "gear_change"]
    for name, weight in tuned.state_dict().items():
        if name.startswith("net."):
            assert torch.equal(weight, published[name]), f"{name} was to be frozen for 200 steps"
    controls = load_agent(str(run)).act(np.zeros((96, 96, 3), np.uint8))
    assert list(controls) == ["steering", "throttle", "brake", "gear_change"]
