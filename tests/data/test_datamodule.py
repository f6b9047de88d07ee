"""Batches: their content, and their reproducible order."""

from __future__ import annotations

import hashlib
import logging
from itertools import pairwise
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pytest
import torch

from racing_vpt.data.clip_controls import ClipControls
from racing_vpt.data.clip_datamodule import ClipDataModule, Loading
from racing_vpt.data.clip_source import Reading
from racing_vpt.data.recording import RecordingWriter
from racing_vpt.data.recordings import find_recordings
from racing_vpt.data.sampler import ClipIndex
from racing_vpt.types import Batch, FrameRecord, FrameSpec
from racing_vpt.verbs.pack import pack

SPEC = FrameSpec()


def batches(data: ClipDataModule, count: int) -> list[Batch]:
    """The first training batches, over as many epochs as needed."""
    data.setup("fit")
    loader = data.train_dataloader()
    found: list[Batch] = []
    epoch = 0
    while len(found) < count:
        loader.sampler.set_epoch(epoch)
        found += list(loader)
        epoch += 1
    return found[:count]


def digest(batch: Batch) -> str:
    content = [batch.frames.numpy().tobytes(), *(value.numpy().tobytes() for value in batch.controls.values())]
    return hashlib.sha256(b"".join([*content, repr(batch.ids).encode()])).hexdigest()


def test_a_batch_has_the_content_of_the_recording(tiny_shards: Path, tiny_recordings: Path) -> None:
    recordings = {recording.name: recording for recording in find_recordings(tiny_recordings)}
    data = ClipDataModule(str(tiny_shards), batch_size=8, clip_frames=24, reading=Reading(frames=SPEC))
    batch = batches(data, 1)[0]
    assert batch.frames.shape == (8, 24, 96, 96, 3)
    assert batch.frames.dtype == torch.uint8
    for row, name in enumerate(batch.ids):
        episode, start = name.rsplit(":", 1)
        controls = recordings[episode].controls()
        rows = slice(int(start), int(start) + 24)
        for control, values in batch.controls.items():
            torch.testing.assert_close(values[row], torch.from_numpy(controls[control][rows]), atol=1e-5, rtol=0)
        passing = batch.frames[row, :, :84, :8].float().mean((2, 3)).argmax(1)  # the row of what passes by
        assert passing.tolist() == [3 * index % 84 for index in range(int(start), int(start) + 24)]
        assert batch.first[row].tolist() == [index == 0 for index in range(int(start), int(start) + 24)]
    assert batch.valid.all()
    assert batch.rewards is not None
    assert (batch.rewards > 3).any()


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("mode", ["random", "lanes"])
def test_workers_do_not_change_the_order(tiny_shards: Path, mode: str) -> None:
    runs = [
        [
            digest(batch)
            for batch in batches(
                ClipDataModule(
                    str(tiny_shards),
                    batch_size=4,
                    clip_frames=16,
                    mode=mode,
                    mirror=0.5,
                    loading=Loading(num_workers=workers),
                    reading=Reading(frames=SPEC),
                ),
                7,
            )
        ]
        for workers in (0, 1, 4)
    ]
    assert runs[0] == runs[1] == runs[2]
    assert len(set(runs[0])) == 7


def test_plain_recordings_and_a_cache_give_what_shards_give(tiny_recordings: Path, tmp_path: Path) -> None:
    pack(tiny_recordings, tmp_path, val_fraction=0.0)  # clips of 64 frames are copied, so not a pixel may differ
    options = {"batch_size": 4, "clip_frames": 40, "reading": Reading(frames=SPEC)}
    whole = batches(ClipDataModule(str(tmp_path), **options), 6)
    cached = batches(ClipDataModule(str(tmp_path), **options | {"reading": Reading(SPEC, cache_gib=0.01)}), 6)
    plain = batches(ClipDataModule(str(tiny_recordings), **options, loading=Loading(val_fraction=0.0)), 6)
    assert [digest(batch) for batch in cached] == [digest(batch) for batch in whole]
    assert [digest(batch) for batch in plain] == [digest(batch) for batch in whole]


def test_lanes_play_episodes_in_order(tiny_shards: Path) -> None:
    data = ClipDataModule(str(tiny_shards), batch_size=2, clip_frames=16, mode="lanes", reading=Reading(frames=SPEC))
    played = batches(data, 24)
    for before, after in pairwise(played):
        for lane in range(2):
            name, start = before.ids[lane].rsplit(":", 1)
            next_name, next_start = after.ids[lane].rsplit(":", 1)
            if after.first[lane, 0]:
                assert next_start == "0"
            else:
                assert (next_name, int(next_start)) == (name, int(start) + 16)
                assert before.valid[lane].all()
    assert any(not batch.valid.all() for batch in played)


@pytest.mark.parametrize("mode", ["random", "lanes"])
def test_validation_has_every_frame_once(tiny_shards: Path, tiny_recordings: Path, mode: str) -> None:
    data = ClipDataModule(str(tiny_shards), batch_size=4, clip_frames=16, mode=mode, reading=Reading(frames=SPEC))
    data.setup("fit")
    lengths = {recording.name: recording.num_frames for recording in find_recordings(tiny_recordings)}
    seen = []
    for batch in data.val_dataloader():
        for row, name in enumerate(batch.ids):
            if name:
                episode, start = name.rsplit(":", 1)
                seen += [(episode, int(start) + index) for index in range(int(batch.valid[row].sum()))]
    episodes = {episode for episode, _ in seen}
    assert sorted(seen) == sorted((episode, index) for episode in episodes for index in range(lengths[episode]))
    trained = {name.rsplit(":", 1)[0] for batch in data.train_dataloader() for name in batch.ids}
    assert len(episodes) == 2
    assert not trained & episodes


def test_recordings_that_serve_both_splits_are_divided(tiny_recordings: Path) -> None:
    data = ClipDataModule(
        str(tiny_recordings), val=str(tiny_recordings), batch_size=2, clip_frames=16, reading=Reading(frames=SPEC)
    )
    data.setup("fit")
    both = [
        {name.rsplit(":", 1)[0] for batch in loader for name in batch.ids if name}
        for loader in (data.train_dataloader(), data.val_dataloader())
    ]
    assert both[0]
    assert both[1]
    assert not both[0] & both[1]


def test_a_mirror_turns_the_picture_and_the_steering(tiny_shards: Path) -> None:
    options = {"batch_size": 4, "clip_frames": 16, "reading": Reading(frames=SPEC)}
    plain = batches(ClipDataModule(str(tiny_shards), **options), 1)[0]
    turned = batches(ClipDataModule(str(tiny_shards), mirror=1.0, **options), 1)[0]
    assert torch.equal(turned.frames, plain.frames.flip(3))
    assert torch.equal(turned.controls["steering"], -plain.controls["steering"])
    assert torch.equal(turned.controls["throttle"], plain.controls["throttle"])


@pytest.mark.parametrize("cache_gib", [0.0, 1.0])
def test_of_clips_in_mid_episode_only_the_frames_that_are_seen_are_read(tiny_shards: Path, cache_gib: float) -> None:
    data = ClipDataModule(str(tiny_shards), clip_frames=5, reading=Reading(frames=SPEC, cache_gib=cache_gib))
    data.setup("fit")
    items = [
        ClipIndex(1, 29),
        ClipIndex(0, 40, True),
        ClipIndex(0, 0),
        ClipIndex(1, data.source.lengths("train")[1] - 3),
    ]
    whole, part = data.source.clips("train", 5)[items], data.source.clips("train", 5, seen=(0, 4))[items]
    wanted = whole.frames.clone()
    wanted[:2, 1:4], wanted[3, 1:] = 0, 0  # the third clip starts an episode; the last one ends before its fifth frame
    assert torch.equal(part.frames, wanted)
    assert wanted[0, 4].any()
    assert all(torch.equal(part.controls[name], column) for name, column in whole.controls.items())


def test_a_stride_sums_rewards_and_averages_controls(tiny_shards: Path, tiny_recordings: Path) -> None:
    spec = FrameSpec(stride=4, height=48, width=48)
    data = ClipDataModule(
        str(tiny_shards), batch_size=4, clip_frames=8, controls=ClipControls(mean=True), reading=Reading(frames=spec)
    )
    batch = batches(data, 1)[0]
    assert batch.frames.shape == (4, 8, 48, 48, 3)
    recordings = {recording.name: recording for recording in find_recordings(tiny_recordings)}
    assert batch.rewards is not None
    for row, name in enumerate(batch.ids):
        episode, start = name.rsplit(":", 1)
        rows = slice(4 * int(start), 4 * int(start) + 4)
        records = recordings[episode].records()[rows]
        assert batch.rewards[row, 0].item() == pytest.approx(sum(record.reward or 0 for record in records), abs=1e-4)
        throttle = float(np.mean([record.action["throttle"] for record in records]))
        assert batch.controls["throttle"][row, 0].item() == pytest.approx(throttle, abs=1e-4)


@pytest.mark.parametrize(
    ("perturbed", "weight", "same"), [("keep", 1.0, True), ("ignore", 0.0, True), ("intended", 1.0, False)]
)
def test_perturbed_frames_are_treated_as_asked(
    tiny_recordings: Path, perturbed: str, weight: float, same: bool
) -> None:
    path = str(next(tiny_recordings.glob("*.mp4")))
    data = ClipDataModule(
        val=path, batch_size=1, clip_frames=40, controls=ClipControls(perturbed=perturbed), reading=Reading(frames=SPEC)
    )
    data.setup("validate")
    batch = next(iter(data.val_dataloader()))
    assert batch.weight[0, 20:23].tolist() == [weight] * 3
    assert batch.weight[0, :20].tolist() == [1.0] * 20
    assert (batch.controls["steering"][0, 20:23] == -0.4).all().item() is same


class Collector(pl.LightningModule):
    """Records the clips that it was trained on."""

    frames = SPEC

    def __init__(self, stop_after: int | None = None) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen: list[list[str]] = []
        self.stop_after = stop_after

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        self.seen.append(batch.ids)
        return self.weight.sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.parametrize(("mode", "workers"), [("random", 0), ("lanes", 2)])
def test_a_run_stopped_in_mid_epoch_resumes_with_the_next_batch(
    tiny_shards: Path, tmp_path: Path, mode: str, workers: int
) -> None:
    def train(max_steps: int, ckpt_path: Path | None = None) -> list[list[str]]:
        data = ClipDataModule(
            str(tiny_shards),
            batch_size=2,
            clip_frames=16,
            mode=mode,
            steps_per_epoch=5,
            loading=Loading(num_workers=workers),
        )
        module = Collector()
        trainer = pl.Trainer(
            max_steps=max_steps,
            default_root_dir=tmp_path,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=True,
            enable_progress_bar=False,
            enable_model_summary=False,
            limit_val_batches=0,
            callbacks=[pl.callbacks.ModelCheckpoint(tmp_path, every_n_train_steps=1, save_top_k=-1, filename="{step}")],
        )
        trainer.fit(module, datamodule=data, ckpt_path=ckpt_path, weights_only=False)
        return module.seen

    whole = train(13)
    assert len({tuple(ids) for ids in whole}) > 10
    for step in (3, 5, 7):
        assert train(13, tmp_path / f"step={step}.ckpt") == whole[step:]


def test_two_ranks_take_disjoint_rows(tiny_shards: Path) -> None:
    from racing_vpt.data.sampler import RandomClips, StepSampler

    order = RandomClips([500, 700], 16, 8, seed=3)
    ranks = [list(StepSampler(order, 5, rank, 2)) for rank in range(2)]
    for step, (one, other) in enumerate(zip(*ranks, strict=True)):
        assert one + other == order.batch(step)


@pytest.mark.parametrize("content", [None, "train-000000.tar"])
def test_missing_data_is_an_error_that_says_what_to_run(tmp_path: Path, content: str | None) -> None:
    if content:
        (tmp_path / content).write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=r"racing-vpt (pack|collect)"):
        ClipDataModule(str(tmp_path)).setup("fit")


def test_no_path_at_all_is_an_error_that_names_the_option() -> None:
    with pytest.raises(ValueError, match=r"--data\.train"):
        ClipDataModule().setup("fit")


def test_resuming_with_other_data_is_reported(tiny_shards: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = ClipDataModule(str(tiny_shards), reading=Reading(frames=SPEC))
    data.setup("fit")
    with caplog.at_level(logging.WARNING):
        data.load_state_dict(data.state_dict())
        assert not caplog.records
        data.load_state_dict({"steps": 3, "order": ["lanes"]})
    assert "other clips" in caplog.text


def test_null_frames_are_removed_from_their_episodes(tmp_path: Path) -> None:
    """Each picture's brightness is its number, which shows which ones are left."""
    driven = [0, 0, 1, 0, 1, 1, 0, 0, 1, 0]
    with RecordingWriter(tmp_path, "halting", frames_per_second=20.0, meta={}) as writer:
        for index, used in enumerate(driven):
            action = {"steering": 0.0, "throttle": 0.5 * used, "brake": 0.0, "gear_change": 0}
            record = FrameRecord(index, index / 20, action, reward=1.0, first=index in (0, 6))
            writer.add(np.full((32, 32, 3), 20 * index, np.uint8), record)
    spec = FrameSpec(32, 32, frames_per_second=20.0)
    for drop_null, left in ((None, list(range(10))), ("carracing", [0, 2, 4, 5, 6, 8])):
        data = ClipDataModule(
            str(tmp_path),
            str(tmp_path),
            mode="lanes",
            batch_size=1,
            clip_frames=10,
            reading=Reading(frames=spec),
            controls=ClipControls(drop_null=drop_null),
        )
        batch = batches(data, 1)[0]
        valid = batch.valid[0]
        assert (batch.frames[0, valid].float().mean((1, 2, 3)) / 20).round().int().tolist() == left
        assert batch.controls["throttle"][0, valid].tolist() == [0.5 * driven[index] for index in left]
        assert batch.first[0, valid].tolist() == [index in (0, 6) for index in left], "the first frames stay"
        assert batch.rewards is not None
        assert batch.rewards.sum() == 10, "what a dropped frame earned goes to the frame before"
    data = ClipDataModule(
        str(tmp_path), str(tmp_path), reading=Reading(frames=spec), controls=ClipControls(drop_null="minecraft")
    )
    with pytest.raises(ValueError, match=r"drop_null minecraft needs the controls attack, .* it has steering"):
        data.setup("fit")
