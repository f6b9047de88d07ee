"""Driving during validation: it is logged and filmed, and uses the averaged weights."""

import signal
from pathlib import Path

import av
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data import DataLoader

from racing_vpt.callbacks.rollouts import RolloutValidation
from racing_vpt.callbacks.stop_signals import StopSignals, leave_if_asked
from racing_vpt.models.vpt import VPT
from racing_vpt.models.vpt_config import PolicyConfig
from racing_vpt.nn.sizes import NetSize
from racing_vpt.types import Batch, FrameSpec

torch.set_num_threads(1)
SIZE = NetSize(hidsize=16, attention_heads=2, impala_chans=(4, 4), n_recurrence_layers=1, attention_memory_size=12,
               timesteps=8, stem="strided", stem_chans=4)  # fmt: skip


class WhoDrove(RolloutValidation):
    """Records the first weight of the driving model."""

    def drive(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, float]:
        self.driver = pl_module.pi_head["steering"].linear_layer.weight.clone()  # type: ignore[index]
        return super().drive(trainer, pl_module)


def policy() -> VPT:
    torch.manual_seed(0)
    return VPT(frames=FrameSpec(height=32, width=32), network=PolicyConfig(SIZE), warmup_steps=0)


def loader(steps: int) -> DataLoader:
    controls = {name: torch.full((2, 8), 0.3) for name in ("steering", "throttle", "brake", "gear_change")}
    frames = torch.randint(0, 255, (2, 8, 32, 32, 3), dtype=torch.uint8)
    everywhere = torch.ones(2, 8, dtype=torch.bool)
    batch = Batch(frames, controls, ~everywhere, everywhere, torch.ones(2, 8))
    return DataLoader([batch] * steps, batch_size=None)


def trainer_of(folder: Path, callbacks: list, **options: object) -> Trainer:
    logger = TensorBoardLogger(folder, name="", version="")
    return Trainer(accelerator="cpu", logger=logger, callbacks=callbacks, enable_progress_bar=False,
                   enable_model_summary=False, log_every_n_steps=1, default_root_dir=folder, **options)  # type: ignore[arg-type] # fmt: skip


def test_validation_drives_films_and_names_the_best_checkpoint(tmp_path: Path) -> None:
    rollouts = RolloutValidation(episodes=2, max_frames=25)
    best = ModelCheckpoint(monitor="rollout/return", mode="max", filename="best")
    trainer = trainer_of(tmp_path, [rollouts, best], max_epochs=2)
    trainer.fit(policy(), loader(2), loader(1))
    assert trainer.callback_metrics["rollout/frames"] == 25
    assert trainer.callback_metrics["rollout/laps_finished"] == 0
    assert best.best_model_score is not None
    films = sorted((tmp_path / "media" / "rollouts").iterdir())
    assert [film.name for film in films] == ["step=2.mp4", "step=4.mp4"]
    with av.open(str(films[0])) as film:
        assert sum(1 for _ in film.decode(video=0)) == 25
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [event.step for event in events.Images("rollout/film")] == [2, 4]
    assert len(events.Scalars("rollout/return")) == 2


def test_the_averaged_weights_drive_in_any_order_of_callbacks(tmp_path: Path) -> None:
    for number, order in enumerate((1, -1)):
        rollouts = WhoDrove(episodes=1, max_frames=2, film=False)
        average = EMAWeightAveraging(decay=0.999, update_starting_at_step=10**6)  # so it stays what it was
        model = policy()
        before = model.pi_head["steering"].linear_layer.weight.clone()
        trainer_of(tmp_path / str(number), [average, rollouts][::order], max_steps=3).fit(model, loader(3), loader(1))
        assert torch.equal(rollouts.driver, before)


def test_between_rollouts_the_last_result_is_logged_again(tmp_path: Path) -> None:
    rollouts = RolloutValidation(episodes=1, max_frames=5, every_n_validations=3)
    trainer_of(tmp_path, [rollouts], max_epochs=4, enable_checkpointing=False).fit(policy(), loader(1), loader(1))
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert len(events.Scalars("rollout/return")) == 4
    assert [event.step for event in events.Images("rollout/film")] == [1, 4]


def test_a_signal_in_a_rollout_ends_it_and_the_continued_run_drives_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained(name: str, resume: Path | None = None) -> float:
        rollouts = RolloutValidation(episodes=1, max_frames=20)
        last = ModelCheckpoint(tmp_path / name, filename="last", enable_version_counter=False)
        trainer = trainer_of(tmp_path / name, [rollouts, last, StopSignals()], max_epochs=1, num_sanity_val_steps=0)
        trainer.fit(policy(), loader(1), loader(1), ckpt_path=resume)
        assert rollouts.state_dict() == {"validations": 1, "last": rollouts.last}
        return rollouts.last["return"]

    def at_frame_ten(trainer: Trainer) -> None:
        steps.append(1)
        if len(steps) == 10:
            signal.raise_signal(signal.SIGTERM)
        leave_if_asked(trainer)

    steps: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr("racing_vpt.callbacks.rollouts.leave_if_asked", at_frame_ten)
        with pytest.raises(SystemExit):
            trained("stopped")
    assert len(steps) == 10
    assert not list((tmp_path / "stopped" / "media").rglob("*.mp4"))
    assert not EventAccumulator(str(tmp_path / "stopped")).Reload().Tags()["images"]
    assert trained("stopped", tmp_path / "stopped" / "last.ckpt") == trained("whole")
    assert [film.name for film in (tmp_path / "stopped" / "media" / "rollouts").iterdir()] == ["step=1.mp4"]


@pytest.mark.slow
def test_two_processes_share_the_seeds(tmp_path: Path) -> None:
    returns = []
    for name, options in (("one", {}), ("two", {"devices": 2, "strategy": "ddp_fork"})):
        rollouts = RolloutValidation(episodes=3, max_frames=5)
        trainer = trainer_of(tmp_path / name, [rollouts], max_steps=1, enable_checkpointing=False, **options)
        trainer.fit(policy(), loader(1), loader(1))
        returns.append(trainer.callback_metrics["rollout/return"].item())
        assert [film.name for film in (tmp_path / name / "media" / "rollouts").iterdir()] == ["step=1.mp4"]
    assert returns[0] == pytest.approx(returns[1], abs=0.5)  # each process saw another batch


@pytest.mark.parametrize("first_seed", [0, 50, 99])
def test_judging_seeds_are_refused(first_seed: int) -> None:
    with pytest.raises(ValueError, match="0 to 99 only judge"):
        RolloutValidation(first_seed=first_seed)
