"""Saved buffers are exact after any interruption, and a resumed run draws the same transitions."""

from __future__ import annotations

import shutil
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pytest
import torch

from racing_vpt.replay import buffer_files as replay_files
from racing_vpt.replay.buffer import ReplayBuffer
from racing_vpt.replay.buffer_files import ReplayFiles
from racing_vpt.replay.datamodule import PriorityOptions, ReplayDataModule
from racing_vpt.replay.ramp import Ramp
from racing_vpt.types import FrameSpec, LaneStep, Transitions

SPEC = FrameSpec(6, 5, grey=True)
CHUNK = 6 * 5 * 2 * 4  # four rows of two lanes
TURNS = [{"steering": -1.0}, {"steering": 1.0}]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_files, "CHUNK_BYTES", CHUNK)


def step_at(time: int) -> LaneStep:
    """Step of two lanes at a time: episodes of 7 and 9 steps, of which the last is ignored."""
    draw, phase = np.random.default_rng(time), np.array([time % 7, time % 9])
    last = np.array([6, 8])
    frames = draw.integers(0, 256, (2, 6, 5), np.uint8)
    rewards = draw.normal(size=2).astype(np.float32)
    return LaneStep(frames, draw.integers(0, 2, 2), rewards, np.array([False, phase[1] == 7]),
                np.array([phase[0] == 5, False]), phase == 0, phase != last)  # fmt: skip


def fill(buffer: ReplayBuffer, begin: int, end: int) -> None:
    for time in range(begin, end):
        buffer.add(step_at(time))


def new() -> ReplayBuffer:
    return ReplayBuffer(60, 2, (6, 5), stack=3, n_step=2, alpha=0.6, seed=3)


def learn(buffer: ReplayBuffer, batches: int) -> list[Transitions]:
    """Draw a batch, and update priorities with errors computed from it."""
    drawn = []
    for _ in range(batches):
        drawn.append(buffer.sample(8, beta=0.5))
        buffer.update_priorities(drawn[-1].index, drawn[-1].reward * 3)
    return drawn


def same(one: list[Transitions], other: list[Transitions]) -> bool:
    return all(
        torch.equal(value, vars(b)[name]) for a, b in zip(one, other, strict=True) for name, value in vars(a).items()
    )


@pytest.mark.parametrize("steps", [3, 17, 30, 100])
def test_a_loaded_buffer_equals_the_saved_one(steps: int, tmp_path: Path) -> None:
    buffer = new()
    fill(buffer, 0, steps)
    learn(buffer, 3 if steps > 3 else 0)
    name = ReplayFiles(tmp_path, buffer).save()
    assert all(path.suffix in (".npy", ".json") for path in tmp_path.iterdir())
    again = new()
    ReplayFiles(tmp_path, again).load(name)
    assert len(again) == len(buffer)
    fill(buffer, steps, steps + 20)
    fill(again, steps, steps + 20)
    assert same(learn(buffer, 4), learn(again, 4))


def test_a_save_writes_only_the_frames_that_changed(tmp_path: Path) -> None:
    buffer = new()
    files = ReplayFiles(tmp_path, buffer)
    fill(buffer, 0, 40)
    first = files.save()
    assert files.save() == first, "nothing changed"
    chunks = {path.name for path in tmp_path.glob("frames*")}
    assert len(chunks) == 8
    fill(buffer, 40, 43)  # rows 10, 11 and 12
    second = files.save()
    assert second != first
    assert {path.name for path in tmp_path.glob("frames*")} - chunks == {
        f"frames2-{second}.npy",
        f"frames3-{second}.npy",
    }


def test_the_state_before_can_still_be_loaded_and_older_ones_are_removed(tmp_path: Path) -> None:
    buffer = new()
    files = ReplayFiles(tmp_path, buffer)
    fill(buffer, 0, 40)
    names = [files.save()]
    for end in (50, 62, 90):
        fill(buffer, end - 10, end)
        names.append(files.save())
    kept = sorted(path.name for path in tmp_path.glob("replay-*.json"))
    assert kept == [f"replay-{name}.json" for name in names[-2:]]
    before, truth = new(), new()
    ReplayFiles(tmp_path, before).load(names[-2])
    for begin, end in ((0, 40), (40, 50), (52, 62)):
        fill(truth, begin, end)
    assert torch.equal(before.sample(50).observation, truth.sample(50).observation)
    with pytest.raises(FileNotFoundError, match=r"keep_buffer false"):
        ReplayFiles(tmp_path, new()).load(names[0])


def test_a_run_killed_while_saving_goes_on_from_the_save_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    buffer = new()
    files = ReplayFiles(tmp_path, buffer)
    fill(buffer, 0, 40)
    name = files.save()
    whole = tmp_path.with_name("whole")
    shutil.copytree(tmp_path, whole)

    def killed(path: Path, value: dict) -> None:
        raise KeyboardInterrupt

    fill(buffer, 40, 60)
    monkeypatch.setattr(replay_files, "write_json", killed)
    with pytest.raises(KeyboardInterrupt):
        files.save()
    monkeypatch.undo()
    monkeypatch.setattr(replay_files, "CHUNK_BYTES", CHUNK)
    one, other = new(), new()
    ReplayFiles(tmp_path, one).load(name)
    ReplayFiles(whole, other).load(name)
    assert same(learn(one, 3), learn(other, 3))
    fill(one, 40, 45)
    again = ReplayFiles(tmp_path, one)
    again.save()
    assert len(list(tmp_path.glob("frames*"))) == 8, "what the killed save left is gone"


def test_a_buffer_of_other_options_or_a_damaged_file_is_refused(tmp_path: Path) -> None:
    buffer = new()
    fill(buffer, 0, 40)
    name = ReplayFiles(tmp_path, buffer).save()
    other = ReplayBuffer(60, 2, (6, 5), stack=4, n_step=2, alpha=0.6)
    with pytest.raises(ValueError, match=r"\[30, 2, 3, 2, .* is asked for; .*keep_buffer false"):
        ReplayFiles(tmp_path, other).load(name)
    rewards = tmp_path / f"rewards-{name}.npy"
    rewards.write_bytes(rewards.read_bytes()[:-5])
    with pytest.raises(ValueError, match=r"rewards-.*cannot be read"):
        ReplayFiles(tmp_path, new()).load(name)


def test_without_the_same_alpha_priorities_are_reset(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    buffer = new()
    fill(buffer, 0, 40)
    buffer.update_priorities(np.array([70]), np.array([1e6]))
    name = ReplayFiles(tmp_path, buffer).save()
    again = ReplayBuffer(60, 2, (6, 5), stack=3, n_step=2, alpha=0.3)
    ReplayFiles(tmp_path, again).load(name)
    assert "another alpha" in caplog.text
    assert len(torch.unique(again.sample(600).index)) == len(buffer)


class Learner(pl.LightningModule):
    """Records its batches."""

    frames = SPEC

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen: list[torch.Tensor] = []

    def training_step(self, batch: Transitions, batch_idx: int) -> torch.Tensor:
        self.seen.append(batch.index)
        return self.weight.sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Driver(pl.Callback):
    """Fills the buffer: twenty steps at first, and one after each batch; resumes with the time of a checkpoint."""

    def __init__(self) -> None:
        self.time = 0

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.buffer = trainer.datamodule.open_buffer(2, stack=3, discount=0.9, actions=TURNS)  # type: ignore[attr-defined]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        while len(self.buffer) < trainer.datamodule.warm_up:  # type: ignore[attr-defined]
            self.drive()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: object, batch: Transitions, batch_idx: int
    ) -> None:
        self.buffer.update_priorities(batch.index, batch.reward)
        self.drive()

    def drive(self) -> None:
        self.buffer.add(step_at(self.time))
        self.time += 1

    def state_dict(self) -> dict[str, int]:
        return {"time": self.time}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        self.time = state_dict["time"]


def train(folder: Path, max_steps: int, resume: Path | None = None, keep: bool = True) -> tuple[list, Driver]:
    data = ReplayDataModule(
        8, 5, capacity=60, warm_up=30, n_step=2, priorities=PriorityOptions(0.5), keep_buffer=keep, seed=1
    )
    module, driver = Learner(), Driver()
    saver = pl.callbacks.ModelCheckpoint(folder, every_n_train_steps=1, save_top_k=-1, filename="{step}")
    trainer = pl.Trainer(
        max_steps=max_steps, default_root_dir=folder, accelerator="cpu", logger=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[driver, saver],
    )  # fmt: skip
    trainer.fit(module, datamodule=data, ckpt_path=resume, weights_only=True if resume else None)
    return module.seen, driver


@pytest.mark.parametrize("stop", [3, 5, 8])
def test_a_resumed_run_draws_the_same_transitions(stop: int, tmp_path: Path) -> None:
    whole, _ = train(tmp_path / "whole", 12)
    first, _ = train(tmp_path / "parts", stop)
    rest, _ = train(tmp_path / "parts", 12, tmp_path / "parts" / f"step={stop}.ckpt")
    assert len(whole) == 12
    assert torch.equal(torch.stack(first + rest), torch.stack(whole))


def test_a_buffer_that_is_not_saved_is_refilled(tmp_path: Path) -> None:
    train(tmp_path, 5, keep=False)
    assert not (tmp_path / "replay").exists()
    rest, driver = train(tmp_path, 9, tmp_path / "step=5.ckpt", keep=False)
    assert len(rest) == 4
    assert driver.buffer.draws == 9, "the schedules go on"
    assert len(driver.buffer) >= 30


def test_batches_are_drawn_when_they_are_fetched() -> None:
    data = ReplayDataModule(4, 3, capacity=60, warm_up=10, frames=SPEC)
    loader = data.train_dataloader()
    with pytest.raises(ValueError, match="open_buffer"):
        next(iter(loader))
    buffer = data.open_buffer(2, stack=3, discount=0.9, actions=TURNS)
    fill(buffer, 0, 20)
    batches = iter(loader)
    next(batches)
    fill(buffer, 20, 100)
    assert next(batches).index.min() >= 2 * 70
    assert len(list(batches)) == 1


def test_impossible_options_are_refused() -> None:
    with pytest.raises(ValueError, match="warm_up at most the capacity"):
        ReplayDataModule(capacity=10, warm_up=20)
    with pytest.raises(ValueError, match="between 0 and 1"):
        Ramp(0.0, 1.5, 3)
