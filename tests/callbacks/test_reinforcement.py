"""Reinforcement learning through the command line: the shipped configuration, exact resuming, other games, refusals."""

from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from building import build
from lightning.pytorch import Trainer
from logged_keys import is_explained

from racing_vpt.agents.load import load_agent
from racing_vpt.callbacks.reinforcement import Reinforcement
from racing_vpt.checkpoints.load import read_checkpoint
from racing_vpt.cli.main import main
from racing_vpt.models.rl_config import AnchorConfig, RewardConfig
from racing_vpt.models.vpt_rl import VPTRL
from racing_vpt.replay.datamodule import ReplayDataModule
from racing_vpt.replay.on_policy_datamodule import OnPolicyDataModule

CONFIGS = Path(__file__).parents[2] / "configs"
TINY = ["--data.lanes=2", "--data.steps=8", "--data.batch_size=4", "--data.sequence=4", "--data.epochs=1",
        "--trainer.log_every_n_steps=1"]  # fmt: skip
torch.set_num_threads(1)


def fit(runs: Path, *words: str) -> int:
    """Four updates an iteration, validated after each; two lanes whose episodes last ten frames."""
    config = yaml.safe_load((CONFIGS / "rl.yaml").read_text())
    for callback in config["trainer"]["callbacks+"]:
        if callback["class_path"].endswith("RolloutValidation"):
            callback["init_args"] |= {"episodes": 1, "max_frames": 4}
        if callback["class_path"].endswith("Reinforcement"):
            callback["init_args"] |= {"max_frames": 10, "curve_every": 1}
    config["trainer"]["check_val_every_n_epoch"] = 1
    config["model"]["init_args"]["ppo"]["critic_iterations"] = 1
    path = runs / "rl.yaml"
    path.write_text(yaml.safe_dump(config))
    return main(["fit", "--config", str(CONFIGS / "base.yaml"), "--config", str(path), *TINY, f"--runs={runs}", *words])


def saved(run: Path) -> dict:
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)


def state_of(checkpoint: dict) -> dict:
    return next(state for key, state in checkpoint["callbacks"].items() if key.startswith("Reinforcement"))


def assert_same(one: dict, two: dict) -> None:
    """Weights, lanes and optimizer of two runs are equal to the last bit."""
    assert one["global_step"] == two["global_step"]
    for name, weights in one["state_dict"].items():
        assert torch.equal(weights, two["state_dict"][name]), name
    before, after = state_of(one), state_of(two)
    assert torch.equal(before["curve_episodes"][:, 2:], after["curve_episodes"][:, 2:])
    assert all(torch.equal(a, b) for a, b in zip(before["done"], after["done"], strict=True))
    for a, b in zip(*(each["optimizer_states"][0]["state"].values() for each in (one, two)), strict=True):
        assert torch.equal(a["exp_avg"], b["exp_avg"])


def test_a_run_learns_writes_its_curve_and_resumes_exactly(tmp_path: Path) -> None:
    """Stopped in the middle of a rollout (step 6) and between two (step 8), it ends as one that was not stopped."""
    assert fit(tmp_path, "--name=whole", "--trainer.max_steps=12", "--trainer.logger.class_path=CSVLogger") == 0
    whole = tmp_path / "vptrl" / "whole"
    rows = list(csv.DictReader(next(whole.rglob("metrics.csv")).open()))
    logged = {key for row in rows for key, value in row.items() if value and key not in ("epoch", "step")}
    assert {"train/policy_loss", "train/kl_clone", "experience/explained_variance"} <= logged
    assert all(map(is_explained, logged)), [key for key in logged if not is_explained(key)]
    assert (whole / "returns.png").read_bytes()[:4] == b"\x89PNG"
    assert {row["frames"] for row in csv.DictReader((whole / "episodes.csv").open())} == {"10"}
    stopped = tmp_path / "vptrl" / "stopped"
    for steps, more in ((6, ()), (8, ("--ckpt_path=last",)), (12, ("--ckpt_path=last",))):
        assert fit(tmp_path, "--name=stopped", f"--trainer.max_steps={steps}", *more) == 0
        assert ("rollout" in saved(stopped).get("OnPolicyDataModule", {})) == (steps == 6)
    assert_same(saved(whole), saved(stopped))
    controls = load_agent(str(whole)).act(np.zeros((96, 96, 3), np.uint8))
    assert list(controls) == ["steering", "throttle", "brake", "gear_change"]


def test_a_policy_with_memory_learns_in_another_game(tmp_path: Path) -> None:
    """In the meadow, with Minecraft's heads, of which one depends on another; from nothing, in bf16."""
    words = ["--config", str(CONFIGS / "rl_scratch.yaml"), "--game=meadow", "--model.network.size=mini",
             "--model.network.look_back=[0]", "--model.network.recurrence_layers=1", "--model.network.memory_frames=4",
             "--model.reward.missed=0"]  # fmt: skip
    bf16 = "--trainer.precision=bf16-mixed"
    assert fit(tmp_path, "--name=meadow", "--trainer.max_steps=8", bf16, *words) == 0
    assert saved(tmp_path / "vptrl" / "meadow")["global_step"] == 8


def test_a_clone_of_another_game_starts_from_its_weights(tmp_path: Path) -> None:
    """The command of configs/README.md; in its first iterations only the critic learns."""
    words = ["--game=nes-road", "--model.init_from=zoo:vpt-nes-road", "--model.frames.stride=1",
             "--model.acting.temperature=1", "--model.ppo.critic_iterations=9"]  # fmt: skip
    assert fit(tmp_path, "--name=road", "--trainer.max_steps=4", *words) == 0
    weights, clone = saved(tmp_path / "vptrl" / "road")["state_dict"], read_checkpoint("zoo:vpt-nes-road").state_dict
    for name in (name for name in clone if name.startswith(("net.", "pi_head."))):
        assert torch.equal(weights[name], clone[name])
        assert torch.equal(weights[f"original.{name}"], clone[name])
    assert not torch.equal(weights["value_head.linear.weight"], clone["value_head.linear.weight"])


def test_what_was_driven_is_what_is_learned_from(tmp_path: Path) -> None:
    """Episodes of ten frames: the eleventh decision of a lane is ignored, the twelfth begins the next episode."""
    module = VPTRL(anchor=AnchorConfig(weight=0.0))
    data, driving = OnPolicyDataModule(2, 24, 1, 16, 8), Reinforcement(max_frames=10)
    trainer = Trainer(
        max_steps=1, accelerator="cpu", callbacks=[driving], default_root_dir=tmp_path, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, data)
    rollout = data.rollout
    assert rollout is not None
    assert rollout.first[0].nonzero().flatten().tolist() == [0, 11, 22]
    assert (~rollout.valid[0]).nonzero().flatten().tolist() == [10, 21]
    assert not rollout.terminated.any()  # a limit of frames truncates
    assert rollout.advantage[rollout.valid].mean().abs() < 1e-5
    assert rollout.advantage[rollout.valid].std() == pytest.approx(1, abs=0.05)
    assert rollout.seen.shape == (2, 24, 64, 64, 3)
    numbers = [data.draw().log_prob for _ in range(2)]
    assert torch.equal(numbers[0], numbers[1])  # a function of the step


def test_the_learned_reward_is_a_weighted_sum() -> None:
    driving = Reinforcement()
    driving.module = SimpleNamespace(reward=RewardConfig(env=2.0, lap=100.0, missed=-20.0))  # type: ignore[assignment]
    now = SimpleNamespace(rewards=np.array([1.0, 3.0]), lap=np.array([False, True]), missed=np.array([True, False]))
    assert driving.learned_reward(now).tolist() == [-18.0, 106.0]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"frames \[0, 4\] back.*\[0, 3\] back.*--model.network.look_back \[0, 4\]"),
        ({"frames.stride": 2}, r"\[0, 6\] back.*--model.frames.stride 2 --model.network.look_back \[0, 2\]"),
        ({"frames.stride": 3}, r"\[0, 9\] back.*--model.frames.stride 1 --model.network.look_back \[0, 4\]"),
        ({"network.look_back": (0, 4), "frames.hide": ()}, "cloned with frames.hide .*--model.frames.hide"),
        ({"init_from": "zoo:dqn-carracing"}, "zoo:dqn-carracing holds a DQN, but a policy"),
        ({"init_from": None}, "none was given: name one with --model.init_from"),
    ],
)
def test_a_clone_that_does_not_fit_is_refused(options: dict, message: str) -> None:
    given = {"init_from": "zoo:vpt-carracing", "network.look_back": (0, 3), "frames.height": 64, "frames.width": 64}
    with pytest.raises(ValueError, match=message):
        build(VPTRL, given | options).setup("fit")


def test_batches_that_do_not_divide_a_rollout_are_refused() -> None:
    with pytest.raises(ValueError, match="batch_size divides lanes x steps, and sequence divides"):
        OnPolicyDataModule(lanes=2, steps=8, batch_size=5, sequence=4)


def test_another_data_module_is_refused(tmp_path: Path) -> None:
    trainer = Trainer(
        max_steps=1, accelerator="cpu", callbacks=[Reinforcement()], logger=False, default_root_dir=tmp_path
    )
    with pytest.raises(ValueError, match="for a VPTRL with an OnPolicyDataModule, not a VPTRL with a ReplayDataModule"):
        trainer.fit(VPTRL(), ReplayDataModule())
