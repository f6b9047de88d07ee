"""A training resumed in mid-epoch equals an uninterrupted one: same clips, same losses."""

from __future__ import annotations

import signal
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint

from racing_vpt.callbacks.checkpoint_io import AtomicCheckpointIO
from racing_vpt.callbacks.finite_guard import FiniteGuard
from racing_vpt.callbacks.step_seed import StepSeed
from racing_vpt.callbacks.stop_signals import StopSignals
from racing_vpt.checkpoints.folder import save_checkpoint
from racing_vpt.data.clip_datamodule import ClipDataModule, Loading
from racing_vpt.data.clip_source import Reading
from racing_vpt.models.idm import IDM
from racing_vpt.models.idm_config import IDMConfig
from racing_vpt.models.mdn_rnn import MDNRNN
from racing_vpt.models.vae import VAE
from racing_vpt.models.vpt import VPT
from racing_vpt.models.vpt_config import CloningConfig, PolicyConfig
from racing_vpt.nn.sizes import NetSize
from racing_vpt.types import Batch, FrameSpec
from tests.faults.harness import FULL, note

SPEC = FrameSpec(height=24, width=24)
SIZE = NetSize(hidsize=16, attention_heads=2, n_recurrence_layers=1, attention_memory_size=24, timesteps=8)
STEPS, EPOCH = 14, 6
FORMS = [("IDM", 0), ("IDM", 2), ("VPT", 0), ("VPT", 2), ("VAE", 2), ("MDN-RNN", 4)]  # kind, workers
if FULL:
    FORMS = [(kind, workers) for kind in ("IDM", "VPT", "VAE", "MDN-RNN") for workers in (0, 2, 4)]


class Recorder(pl.Callback):
    """Records clips and losses, and sends a signal at a step."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.seen: list[tuple[list[str], float]] = []
        self.stop_at = stop_at

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: dict, batch: Batch, batch_idx: int
    ) -> None:
        self.seen.append((batch.ids, float(outputs["loss"])))
        if trainer.global_step == self.stop_at:
            signal.raise_signal(signal.SIGTERM)


def model_of(kind: str, eye: Path) -> pl.LightningModule:
    if kind == "VAE":
        return VAE(latent=8)
    if kind == "MDN-RNN":
        return MDNRNN(vae=str(eye), latent=8, width=16)
    if kind == "IDM":
        small = NetSize(hidsize=16, attention_heads=2, n_recurrence_layers=1, attention_memory_size=8, timesteps=8,
                        relative_window=4)  # fmt: skip
        network = IDMConfig(small, motion=True, cnn=False, over_time=3, reach=4, dropout=0.3)
        return IDM(frames=SPEC, network=network, margin=2)
    cloning = CloningConfig(carry_memory=True, forget=0.1, class_weighting=0.3)
    return VPT(frames=SPEC, network=PolicyConfig(SIZE), cloning=cloning)


@pytest.fixture(scope="module")
def eye(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A VAE with random weights for the MDN-RNN."""
    folder = tmp_path_factory.mktemp("eye") / "vae"
    torch.manual_seed(0)
    save_checkpoint(folder, "racing_vpt.models.vae.VAE", {"latent": 8}, VAE(latent=8).state_dict())
    return folder


def train(
    kind: str, shards: Path, eye: Path, folder: Path, workers: int, stop_at: int | None = None, resume: bool = False
) -> list:
    """Clips and losses of a training up to the signal at `stop_at`, or resumed from `last.ckpt`."""
    pl.seed_everything(5)
    if resume:
        torch.rand(17)  # what a process drew before it went on is its own affair
    mode = "lanes" if kind == "VPT" else "random"
    data = ClipDataModule(
        str(shards),
        batch_size=2,
        clip_frames=12,
        mode=mode,
        steps_per_epoch=EPOCH,
        mirror=0.0 if kind == "MDN-RNN" else 0.5,
        loading=Loading(num_workers=workers),
        reading=Reading(codes=eye.parent / "codes"),
    )  # type: ignore[arg-type]
    recorder = Recorder(stop_at)
    last = ModelCheckpoint(folder, filename="last", enable_version_counter=False, every_n_train_steps=1000)
    trainer = pl.Trainer(
        max_steps=STEPS, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        val_check_interval=4, check_val_every_n_epoch=None, num_sanity_val_steps=0, gradient_clip_val=1.0,
        use_distributed_sampler=False, plugins=[AtomicCheckpointIO()],
        callbacks=[FiniteGuard(), StepSeed(), EMAWeightAveraging(decay=0.9), recorder, last, StopSignals()],
    )  # fmt: skip
    path = str(folder / "last.ckpt") if resume else None
    if stop_at is None:
        trainer.fit(model_of(kind, eye), data, ckpt_path=path, weights_only=True)
    else:
        with pytest.raises(SystemExit) as ended:
            trainer.fit(model_of(kind, eye), data, ckpt_path=path, weights_only=True)
        assert ended.value.code == 128 + signal.SIGTERM
    return recorder.seen


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize(("kind", "workers"), FORMS)
def test_a_resumed_training_equals_an_uninterrupted_one(
    kind: str, workers: int, tiny_shards: Path, eye: Path, tmp_path: Path
) -> None:
    whole = train(kind, tiny_shards, eye, tmp_path / "whole", workers)
    assert len(whole) == STEPS
    assert len({loss for _, loss in whole}) == STEPS
    stops = [4, 9] if FULL else [4]
    survived = 0
    for stop in stops:
        folder = tmp_path / str(stop)
        before = train(kind, tiny_shards, eye, folder, workers, stop_at=stop)
        after = train(kind, tiny_shards, eye, folder, workers, resume=True)
        assert [ids for ids, _ in before + after] == [ids for ids, _ in whole]
        assert [loss for _, loss in before + after] == [loss for _, loss in whole]
        survived += before + after == whole
    note(f"{kind} stopped in mid-epoch and resumed, {workers} workers: same clips and losses", len(stops), survived)
