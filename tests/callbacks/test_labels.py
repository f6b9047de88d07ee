"""Labels: one line per frame for any length, written atomically, and never twice."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer

from racing_vpt.callbacks.label_tally import Tally
from racing_vpt.callbacks.labels import WriteLabels
from racing_vpt.data.label_files import read_labels
from racing_vpt.data.window_datamodule import WindowDataModule
from racing_vpt.files import TEMPORARY, sha256_of
from racing_vpt.models.idm import IDM
from racing_vpt.models.idm_config import IDMConfig
from racing_vpt.nn.sizes import NetSize
from racing_vpt.outputs import sole_writer
from racing_vpt.types import FrameSpec
from racing_vpt.video.encode import VideoWriter
from tests.video import marked

LENGTHS = (1, 2, 63, 64, 65, 127, 128, 129, 200)
SIZE = NetSize(
    hidsize=16, attention_heads=2, n_recurrence_layers=1, attention_memory_size=8, timesteps=8, relative_window=4
)


def tiny_idm(seed: int = 0) -> IDM:
    torch.manual_seed(seed)
    spec = FrameSpec(height=32, width=32)
    return IDM(frames=spec, network=IDMConfig(SIZE, motion=True, cnn=False, over_time=3, reach=4))


def write_video(path: Path, num_frames: int, frames_per_second: float = 50.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = VideoWriter(path, frames_per_second, 32, 32)
    picture = np.random.default_rng(num_frames).integers(0, 256, (240, 32, 3), dtype=np.uint8).repeat(4, 0)
    for index in range(num_frames):
        writer.add(picture[index : index + 32])
    writer.close()


def predict(videos: Path, out: Path, model: IDM | None = None, on_error: str = "raise", **data: int) -> WriteLabels:
    writer = WriteLabels(out, on_error, "tiny")  # type: ignore[arg-type]
    trainer = Trainer(
        accelerator="cpu", logger=False, callbacks=[writer], enable_progress_bar=False, enable_model_summary=False,
        default_root_dir=out,
    )  # fmt: skip
    trainer.predict(model or tiny_idm(), WindowDataModule(videos=str(videos), **data), return_predictions=False)  # type: ignore[arg-type]
    return writer


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for length in LENGTHS:
        write_video(folder / f"v{length}.mp4", length)
    return folder


@pytest.fixture(scope="module")
def labels(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("labels")
    predict(videos, folder)
    return folder


@pytest.mark.parametrize("length", LENGTHS)
def test_there_is_one_line_per_frame(length: int, labels: Path, videos: Path) -> None:
    records, meta = read_labels(labels / f"v{length}.jsonl")
    assert [record.frame for record in records] == list(range(length))
    assert [record.timestamp for record in records] == pytest.approx([index / 50 for index in range(length)], abs=1e-3)
    assert all(0 < (record.confidence or 0) <= 1 for record in records)
    assert set(records[0].action) == {"steering", "throttle", "brake", "gear_change"}
    assert meta["kind"] == "labels"
    assert meta["checkpoint"] == tiny_idm().fingerprint()
    assert meta["checkpoint_name"] == "tiny"
    assert meta["likeness"] is None  # this model does not tell it
    assert meta["mean_expected_error"]["steering"] > 0
    assert records[-1].expected_error is not None
    assert meta["video_sha256"] == sha256_of(videos / f"v{length}.mp4")


def test_windows_do_not_change_the_labels(labels: Path, videos: Path, tmp_path: Path) -> None:
    model = tiny_idm()
    assert model.context is not None
    assert model.context <= 20
    predict(videos, tmp_path, model, window=60, window_stride=20)  # 20 frames of context on both sides
    for length in LENGTHS:
        ours, theirs = (read_labels(folder / f"v{length}.jsonl")[0] for folder in (labels, tmp_path))
        for one, two in zip(ours, theirs, strict=True):
            assert one.action == pytest.approx(two.action, abs=2e-4)


def test_a_video_is_labelled_again_only_if_model_or_video_changed(tmp_path: Path) -> None:
    folder, out = tmp_path / "videos", tmp_path / "labels"
    for length in (5, 9):
        write_video(folder / "below" / f"v{length}.mp4", length)
    assert (first := predict(folder, out).tally).done == 2
    assert first.frames == 14
    before = (out / "below" / "v5.jsonl").stat().st_mtime_ns
    assert (again := predict(folder, out).tally).skipped == 2
    assert again.done == 0
    assert (out / "below" / "v5.jsonl").stat().st_mtime_ns == before
    write_video(folder / "below" / "v9.mp4", 7)
    assert (changed := predict(folder, out).tally).done == 1
    assert changed.skipped == 1
    for suffix in (".jsonl", ".meta.json"):
        (out / "below" / f"v5{suffix}").unlink()
    assert predict(folder, out).tally.done == 1
    assert predict(folder, out, tiny_idm(seed=1)).tally.done == 2


def test_a_bad_video_is_skipped_or_stops_the_work(tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    write_video(folder / "a.mp4", 70)
    write_video(folder / "c.mp4", 5)
    (folder / "b.mp4").write_bytes(b"this is no video")
    whole = (folder / "a.mp4").read_bytes()
    (folder / "d.mp4").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"b\.mp4.*--on_error skip"):
        predict(folder, tmp_path / "stopped")
    assert not list((tmp_path / "stopped").glob(f"{TEMPORARY}*"))
    writer = predict(folder, tmp_path / "labels", on_error="skip")
    assert set(writer.tally.failed) == {"b", "d"}
    assert writer.tally.done == 2
    assert writer.tally.frames == 75
    assert {path.name for path in (tmp_path / "labels").iterdir()} == {
        "a.jsonl",
        "a.meta.json",
        "c.jsonl",
        "c.meta.json",
    }


def test_a_video_of_another_rate_gets_a_line_for_each_of_its_frames(tmp_path: Path) -> None:
    write_video(tmp_path / "videos" / "slow.mp4", 45, frames_per_second=30.0)
    tally = predict(tmp_path / "videos", tmp_path / "labels").tally
    assert len(read_labels(tmp_path / "labels" / "slow.jsonl")[0]) == 45
    assert (tally.resampled, tally.short) == (1, 0)
    assert any("another frame rate" in line for line in tally.lines(tmp_path, 1.0))


def test_a_video_shorter_than_a_labels_context_is_counted() -> None:
    tally = Tally(frames_per_second=50.0, context=18)
    for num_frames in (36, 37):
        tally.count(num_frames, 50.0)
    assert (tally.done, tally.short, tally.resampled) == (2, 1, 0)


def test_a_portrait_video_is_labelled_and_said_to_be_stretched(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    for name, height, width in (("phone", 64, 32), ("screen", 32, 64)):
        writer = VideoWriter(tmp_path / "videos" / f"{name}.mp4", 50.0, height, width)
        for _ in range(12):
            writer.add(np.zeros((height, width, 3), np.uint8))
        writer.close()
    tally = predict(tmp_path / "videos", tmp_path / "labels").tally
    assert (tally.done, tally.portrait) == (2, 1)
    assert any("taller than wide" in line for line in tally.lines(tmp_path, 1.0))


def test_each_line_has_the_time_at_which_its_frame_is_shown(tmp_path: Path) -> None:
    times = [1000, *(1000 + np.cumsum(np.random.default_rng(0).integers(9, 70, marked.FRAMES - 1))).tolist()]
    (tmp_path / "videos").mkdir()
    for name, container in (("a", "mp4"), ("b", "mkv")):  # stored in another order than shown, and from 1 s on
        marked.write(tmp_path / "videos" / f"{name}.{container}", "h264", container, times=times)
    predict(tmp_path / "videos", tmp_path / "labels")
    for name in ("a", "b"):
        lines = read_labels(tmp_path / "labels" / f"{name}.jsonl")[0]
        assert [line.frame for line in lines] == list(range(marked.FRAMES))
        assert [line.timestamp for line in lines] == pytest.approx(
            [(time - times[0]) / 1000 for time in times], abs=1e-3
        )


def test_lines_are_plain_json_with_few_digits(labels: Path) -> None:
    line = json.loads((labels / "v2.jsonl").read_text().splitlines()[1])
    assert set(line) == {"frame", "timestamp", "action", "confidence", "expected_error"}
    assert {*line["expected_error"]} == {"steering", "throttle", "brake"}
    assert line["action"]["throttle"] == round(line["action"]["throttle"], 4)


TWO_PROCESSES = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
import torch
torch.set_num_threads(1)
from lightning.pytorch import Trainer
from racing_vpt.callbacks.labels import WriteLabels
from racing_vpt.data.clip_datamodule import ClipDataModule, Loading
from racing_vpt.data.window_datamodule import WindowDataModule
from tests.callbacks.test_labels import tiny_idm
trainer = lambda **more: Trainer(accelerator="cpu", devices=2, strategy="ddp", logger=False, enable_progress_bar=False,
    enable_model_summary=False, default_root_dir={out!r}, use_distributed_sampler=False, **more)
model = tiny_idm()
model.margin = 2
data = ClipDataModule({recordings!r}, batch_size=2, clip_frames=12, loading=Loading(val_fraction=0.34))
fit = trainer(max_steps=3, val_check_interval=3, check_val_every_n_epoch=None, num_sanity_val_steps=0,
    enable_checkpointing=False)
fit.fit(model, data)
weights = torch.cat([x.detach().flatten() for x in model.parameters()])
others = fit.strategy.all_gather(weights)
assert torch.equal(others[0], others[1]), "the processes' weights differ"
counts = fit.strategy.all_gather(model.temperature_steering)
assert counts[0] == counts[1], "the processes' temperatures differ"
writer = WriteLabels(Path({out!r}), "raise", "two")
trainer(callbacks=[writer]).predict(model, WindowDataModule(videos={videos!r}), return_predictions=False)
assert writer.tally.done == {count}, writer.tally
"""


@pytest.mark.slow
def test_two_processes_train_one_model_and_label_different_videos(
    tiny_recordings: Path, videos: Path, tmp_path: Path
) -> None:
    script = tmp_path / "two.py"
    script.write_text(
        TWO_PROCESSES.format(
            root=str(Path(__file__).parents[2]),
            out=str(tmp_path / "labels"),
            recordings=str(tiny_recordings),
            videos=str(videos),
            count=len(LENGTHS),
        )
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=280,
        env={**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    for length in LENGTHS:
        records, meta = read_labels(tmp_path / "labels" / f"v{length}.jsonl")
        assert len(records) == length
        assert meta["checkpoint_name"] == "two"


def test_labelling_fails_if_no_video_could_be_labelled(tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    (folder / "a.mp4").write_bytes(b"this is no video")
    with pytest.raises(ValueError, match="none of the 1 videos"):
        predict(folder, tmp_path / "labels", on_error="skip")


def test_a_folder_below_that_another_process_labels_into_is_refused(tmp_path: Path) -> None:
    write_video(tmp_path / "videos" / "sub" / "a.mp4", 3)
    with (
        sole_writer(tmp_path / "labels" / "sub"),
        pytest.raises(ValueError, match=r"labels/sub is being written to by"),
    ):
        predict(tmp_path / "videos", tmp_path / "labels")
    predict(tmp_path / "videos", tmp_path / "labels")
    assert sorted(path.name for path in (tmp_path / "labels" / "sub").iterdir()) == ["a.jsonl", "a.meta.json"]
