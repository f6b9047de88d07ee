"""Online learning through the command line: every shipped configuration, resuming, and a worker's death."""

from __future__ import annotations

import csv
import os
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.utils.data import DataLoader

from racing_vpt.callbacks.experience import Experience
from racing_vpt.callbacks.return_curve import ReturnCurve, draw, pixels
from racing_vpt.callbacks.stop_signals import StopSignals
from racing_vpt.cli.main import main
from racing_vpt.models.dqn import DQN
from racing_vpt.models.dqn_config import QLearningConfig, QNetConfig
from racing_vpt.replay.datamodule import ReplayDataModule
from racing_vpt.rollout.lanes import LaneSpec, lanes_in, shared_memory
from racing_vpt.types import FrameSpec
from racing_vpt.verbs.returns import needed

CONFIGS = Path(__file__).parents[2] / "configs"
TINY = ["--model.network.channels=[4,4]", "--model.network.hidden=16", "--data.warm_up=30", "--data.capacity=400",
        "--data.batch_size=4"]  # fmt: skip
torch.set_num_threads(1)


def shortened(name: str, folder: Path) -> Path:
    """A copy of a config with two lanes whose episodes end after ten decisions, validated every third update."""
    config = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
    trainer = config.get("trainer", {})
    for callback in (*trainer.get("callbacks", []), *trainer.get("callbacks+", [])):
        options = callback.setdefault("init_args", {})
        if callback["class_path"].endswith("RolloutValidation"):
            options |= {"episodes": 1, "max_frames": 8}
        if callback["class_path"].endswith("Experience"):
            options |= {"lanes": 2, "max_frames": 40, "curve_every": 20}
    if trainer:
        trainer |= {"val_check_interval": 3, "log_every_n_steps": 2}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def fit(runs: Path, *words: str, configs: tuple[str, ...] = ("dqn",)) -> int:
    given = [word for name in configs for word in ("--config", str(shortened(name, runs)))]
    return main(["fit", "--config", str(CONFIGS / "base.yaml"), *given, *TINY, f"--runs={runs}", *words])


def saved(run: Path, name: str = "last") -> dict:
    return torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)


def experience_of(checkpoint: dict) -> dict:
    return next(state for key, state in checkpoint["callbacks"].items() if key.startswith("Experience"))


def test_a_run_writes_its_curve_and_resumes(tmp_path: Path) -> None:
    run = tmp_path / "dqn" / "default"
    torch.set_num_threads(2)
    assert fit(tmp_path, "--trainer.max_steps=6") == 0
    assert torch.get_num_threads() == 2  # though it learnt with one
    torch.set_num_threads(1)
    first = saved(run)
    assert (run / "returns.png").read_bytes()[:4] == b"\x89PNG"
    episodes = list(csv.DictReader((run / "episodes.csv").open()))
    assert {episode["frames"] for episode in episodes} == {"40"}
    assert [int(float(drive["decisions"])) > 30 for drive in csv.DictReader((run / "drives.csv").open())] == [True] * 2
    assert list((run / "media" / "stock_rollouts").glob("*.mp4"))
    assert main(["returns", str(run), f"--out={tmp_path / 'returns.png'}"]) == 0
    assert (tmp_path / "returns.png").stat().st_size > 10_000
    assert main(["returns", f"[{run},{tmp_path}]"]) == 2  # a folder without drives.csv
    assert fit(tmp_path, "--trainer.max_steps=12", "--ckpt_path=last") == 0
    then = saved(run)
    before, after = experience_of(first), experience_of(then)
    assert (first["global_step"], then["global_step"]) == (6, 12)
    # six updates at ten decisions each; nothing was driven before learning went on, because the buffer was kept
    assert after["decisions"] - before["decisions"] == 60
    assert (after["episodes"] > before["episodes"]).all()
    assert torch.equal(after["curve_episodes"][: len(before["curve_episodes"])], before["curve_episodes"])
    assert after["seconds"] > before["seconds"]
    assert then["lr_schedulers"][0]["last_epoch"] == 12
    steps = {int(state["step"]) for state in then["optimizer_states"][0]["state"].values()}
    assert steps == {12}
    assert {name: int(state["draws"]) for name, state in data_states(then).items()} == {"ReplayDataModule": 12}


def test_what_a_run_needed_is_read_off_its_first_drive_that_was_good_enough() -> None:
    found = needed([100.0, 200.0, 300.0], [60.0, 120.0, 180.0], [400.0, 870.0, 860.0], [600.0, 900.0])
    assert found == {"best": 870.0, "decisions_to_600": 200.0, "minutes_to_600": 2.0}


def data_states(checkpoint: dict) -> dict:
    return {key: value for key, value in checkpoint.items() if key == "ReplayDataModule"}


def test_a_buffer_that_was_not_saved_is_refilled(tmp_path: Path) -> None:
    run = tmp_path / "dqn" / "default"
    configs, forget = ("dqn", "dqn_plain"), "--data.keep_buffer=false"
    assert fit(tmp_path, "--trainer.max_steps=3", forget, configs=configs) == 0
    assert fit(tmp_path, "--trainer.max_steps=6", forget, "--ckpt_path=last", configs=configs) == 0
    after = experience_of(saved(run))
    assert after["decisions"] >= 2 * 30 + 6 * 4
    assert saved(run)["global_step"] == 6


def test_demonstrations_are_learnt_from_with_the_larger_table(tmp_path: Path, tiny_recordings: Path) -> None:
    configs = ("dqn", "dqn_actions", "dqn_demonstrations")
    assert (
        fit(tmp_path, "--trainer.max_steps=3", f"--data.teaching.demonstrations={tiny_recordings}", configs=configs)
        == 0
    )
    weights = saved(tmp_path / "dqn" / "default")["state_dict"]
    assert weights["net.advantage.weight"].shape[0] == 11 * 32


class Kills(Callback):
    """Ends the lanes' process at the second update."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        experience = next(each for each in trainer.callbacks if isinstance(each, Experience))  # type: ignore[attr-defined]
        if batch_idx == 1:
            assert experience.actors is not None
            self.before = experience.decisions
            os.kill(experience.actors.pids()[0], signal.SIGKILL)


def test_the_episode_of_a_worker_that_died_is_dropped(tmp_path: Path) -> None:
    spec = FrameSpec(height=36, width=36, fit="crop", grey=True, stride=4)
    module = DQN(frames=spec, network=QNetConfig(channels=(4,), hidden=8))
    data = ReplayDataModule(batch_size=4, capacity=200, warm_up=10, steps_per_epoch=4)
    kills, experience = Kills(), Experience(lanes=2, updates_per_decision=0.5)
    trainer = Trainer(
        max_steps=4, accelerator="cpu", callbacks=[kills, experience], default_root_dir=tmp_path, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, data)
    # Both lanes were in their first episode: all is forgotten, and they drive until there is enough to learn from.
    assert experience.decisions - kills.before >= 10 + 4  # three updates alone are six decisions
    assert experience.episodes.tolist() == [2, 2]
    assert trainer.global_step == 4


class Stops(Callback):
    """Stops the lanes' process at the second update, and a moment later sends SIGTERM to this one."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        experience = next(each for each in trainer.callbacks if isinstance(each, Experience))  # type: ignore[attr-defined]
        if batch_idx == 1:
            assert experience.actors is not None
            self.experience, self.before = experience, experience.decisions
            os.kill(experience.actors.pids()[0], signal.SIGSTOP)
            self.asked = time.monotonic() + 1.0
            threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGTERM)).start()


def test_a_signal_ends_a_wait_for_a_process_that_hangs(tmp_path: Path) -> None:
    spec = FrameSpec(height=36, width=36, fit="crop", grey=True, stride=4)
    data = ReplayDataModule(batch_size=4, capacity=200, warm_up=10, steps_per_epoch=4)
    stops, experience = Stops(), Experience(lanes=2, updates_per_decision=0.5)
    trainer = Trainer(
        max_steps=4, accelerator="cpu", callbacks=[stops, experience, StopSignals()], default_root_dir=tmp_path,
        logger=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    with pytest.raises(SystemExit) as stop:
        trainer.fit(DQN(frames=spec, network=QNetConfig(channels=(4,), hidden=8)), data)
    took = time.monotonic() - stops.asked
    assert stop.value.code == 128 + signal.SIGTERM
    assert took < 10.0 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    assert experience.actors is None
    kept = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert kept["global_step"] == 2
    assert experience_of(kept)["decisions"] - stops.before <= 4


@pytest.mark.parametrize("ends", [True, False])
def test_a_cut_off_episode_terminates_or_bootstraps(tmp_path: Path, ends: bool) -> None:
    spec = FrameSpec(height=36, width=36, fit="crop", grey=True, stride=4)
    data = ReplayDataModule(batch_size=4, capacity=200, warm_up=30, steps_per_epoch=2)
    experience = Experience(lanes=2, patience=12, cut_off_ends=ends)
    trainer = Trainer(
        max_steps=2, accelerator="cpu", callbacks=[experience], default_root_dir=tmp_path, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(DQN(frames=spec, network=QNetConfig(channels=(4,), hidden=8)), data)
    assert data.buffer is not None
    ring = data.buffer.experience.ring
    assert experience.curve.recent("cut_off") > 0
    assert (bool(ring.terminated.any()), bool(ring.truncated.any())) == (ends, not ends)


def test_a_missed_tile_lowers_the_learned_reward_but_not_the_return() -> None:
    spec = FrameSpec(height=36, width=36, fit="crop", grey=True, stride=4)
    module = DQN(
        frames=spec, network=QNetConfig(channels=(4,), hidden=8), learning=QLearningConfig(missed_cost=20.0)
    )  # fmt: skip
    lane_spec = LaneSpec(np.eye(3), spec)
    now = lanes_in(shared_memory(2, lane_spec), lane_spec)
    now.rewards[:], now.missed[:], now.valid[:] = [3.0, 4.0], [False, True], True
    experience, learnt = Experience(lanes=2), []
    experience.actors = SimpleNamespace(collect=lambda: (now, np.zeros(2, bool)), act=lambda actions: None)  # type: ignore[assignment]
    experience.keep = lambda step, broken: learnt.append(step)  # type: ignore[method-assign]
    experience.seen, experience.state, experience.actions = now, module.initial_state(2), np.zeros(2, np.int64)
    experience.look(SimpleNamespace(callbacks=[]), module)  # type: ignore[arg-type]
    assert learnt[0].rewards.tolist() == [3.0, -16.0]
    assert experience.earned.tolist() == [3.0, 4.0]


def test_a_teacher_is_learnt_from_and_one_of_other_actions_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configs = ("dqn", "dqn_actions", "dqn_taught")
    told = ["--trainer.max_steps=6", "--name=told", "--trainer.logger.class_path=CSVLogger"]
    assert fit(tmp_path, *told, "--data.teaching.teacher=expert:eleven", configs=configs) == 0
    metrics = list(csv.DictReader(next((tmp_path / "dqn" / "told").rglob("metrics.csv")).open()))
    assert any(float(row["train/margin"] or 0) > 0 for row in metrics if "train/margin" in row)
    five = ("dqn", "dqn_taught")
    assert fit(tmp_path, "--trainer.max_steps=1", "--name=five", configs=five) == 0
    before = f"--model.init_from={tmp_path}/dqn/five/checkpoints/last.ckpt"
    assert fit(tmp_path, "--trainer.max_steps=1", "--name=laps", before, configs=(*five, "dqn_laps")) == 0
    for name in ("expert:five", "expert:brisk"):
        assert fit(tmp_path, "--trainer.max_steps=1", f"--data.teaching.teacher={name}", configs=configs) == 2
        assert f"the teacher {name} does not choose among this model's 11 actions" in capsys.readouterr().err


def test_the_curve_shows_the_returns() -> None:
    curve = ReturnCurve()
    assert np.isnan(curve.recent("return"))
    curve.episodes = [(100.0 * n, n, 10.0 * n, 400, n % 2, 0) for n in range(1, 61)]
    curve.drives = [(3000.0, 30.0, 500.0, 0.25)]
    assert curve.recent("return") == pytest.approx(np.mean([10.0 * n for n in range(11, 61)]))
    again = ReturnCurve()
    again.restore(curve.state())
    assert again.episodes[-1] == curve.episodes[-1]
    picture = pixels(draw(curve.episodes, curve.drives))
    assert picture.shape == (450, 800, 3)
    assert not np.array_equal(picture, pixels(draw(curve.episodes, [])))


@pytest.mark.parametrize(("options", "message"), [({"first_seed": 1000}, "from 10000"), ({"lanes": 0}, "at least 1")])
def test_numbers_out_of_range_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Experience(**options)


def test_a_data_module_without_a_replay_buffer_is_refused(tmp_path: Path) -> None:
    trainer = Trainer(max_steps=1, accelerator="cpu", callbacks=[Experience()], default_root_dir=tmp_path, logger=False)
    with pytest.raises(ValueError, match="ReplayDataModule"):
        trainer.fit(DQN(network=QNetConfig(channels=(4,), hidden=8)), DataLoader([0]))  # type: ignore[arg-type]
