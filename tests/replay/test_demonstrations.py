"""Recordings as demonstrations: their decisions, and refused recordings."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from racing_vpt.data.reader import EpisodeReader
from racing_vpt.data.recording import RecordingWriter
from racing_vpt.data.recordings import find_recordings
from racing_vpt.data.stores import open_store
from racing_vpt.files import read_json, write_json
from racing_vpt.frames import prepare
from racing_vpt.games.read import load_game
from racing_vpt.replay.datamodule import PriorityOptions, ReplayDataModule, Teaching
from racing_vpt.replay.demonstrations import Actions, nearest_actions, read_demonstrations
from racing_vpt.replay.ramp import Ramp
from racing_vpt.types import FrameRecord, FrameSpec
from racing_vpt.verbs.pack import pack

SPEC = FrameSpec(84, 84, "crop", crop_bottom=0.125, grey=True, stride=4)
NAMES = ("steering", "throttle", "brake")
FIVE = [dict(zip(NAMES, row, strict=True)) for row in load_game("carracing").actions("five").rows]


def reader_of(path: Path, spec: FrameSpec = SPEC) -> EpisodeReader:
    store = open_store(str(path), "train", None, 0, None, "auto")
    assert store is not None
    return EpisodeReader([store], spec, mean_controls=True)


def write(folder: Path, actions: list[dict[str, float]], rewards: bool = True, size: int = 96) -> Path:
    with RecordingWriter(folder, "made", frames_per_second=50.0, meta={"lap_finished": True}) as writer:
        for index, action in enumerate(actions):
            record = FrameRecord(index, index / 50, action, reward=1.0 if rewards else None, first=index == 0)
            writer.add(np.full((size, size, 3), 5 * index, np.uint8), record)
    return folder


def test_decisions_equal_the_recording(tiny_recordings: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "racing_vpt"):
        shown = read_demonstrations(reader_of(tiny_recordings), FIVE)
    begin = 0
    for recording in find_recordings(tiny_recordings):
        records = recording.records()
        count = -(-len(records) // 4)
        rows = slice(begin, begin + count)
        assert shown.steps.first[rows].tolist() == [True] + [False] * (count - 1)
        sums = [sum(record.reward or 0 for record in records[at : at + 4]) for at in range(0, len(records), 4)]
        np.testing.assert_allclose(shown.steps.rewards[rows], sums, atol=1e-4)
        assert shown.imitated[rows].tolist() == [at not in (5,) for at in range(count)]  # frames 20, 21 and 22
        begin += count
    assert begin == len(shown.imitated)
    assert shown.steps.frames.shape == (begin, 84, 84)
    seen = prepare(reader_of(tiny_recordings, FrameSpec()).frames(0, 8, 9), SPEC)[0, :, :, 0]
    assert np.array_equal(shown.steps.frames[2], seen)
    assert not shown.steps.terminated.any()
    assert f"{shown.distance:.3f} from the nearest of 5 actions" in caplog.text
    assert 0.1 < shown.distance < 1


def test_shards_and_recordings_demonstrate_the_same(tmp_path: Path) -> None:
    actions = [{"steering": 0.5, "throttle": 0.1, "brake": 0.0, "gear_change": 0}] * 30
    plain = read_demonstrations(reader_of(write(tmp_path / "made", actions)), FIVE)
    pack(tmp_path / "made", tmp_path / "shards", val_fraction=0.0, clip_frames=8)
    shards = read_demonstrations(reader_of(tmp_path / "shards"), FIVE)
    assert plain.steps.terminated.tolist() == [False] * 7 + [True]  # the lap was finished
    for name, column in vars(plain.steps).items():
        assert np.array_equal(column, vars(shards.steps)[name]), name


def test_the_nearest_action_stands_for_controls() -> None:
    table = np.array(load_game("carracing").actions("five").rows)
    controls = np.array([[0, 0, 0], [0.5, 0.1, 0], [-1, 0.1, 0], [0.1, 0.9, 0], [0, 0, 0.5], [0.6, 0, 0]])
    rows, distance = nearest_actions(controls, table, NAMES)
    assert rows.tolist() == [0, 1, 2, 3, 4, 1]
    np.testing.assert_allclose(distance, [0, 0.2, 0.5, 0.8, 0.3, 0], atol=1e-6)
    turns = np.array([[10.0], [-10.0]])  # degrees, which have no range: fractions of the table's largest
    assert nearest_actions(np.array([[4.0]]), turns, ["camera_yaw"])[1].tolist() == pytest.approx([0.6])


@pytest.mark.parametrize(
    ("actions", "shape", "dtype"), [(FIVE, (), torch.int64), (["steering", "throttle", "brake"], (3,), torch.float32)]
)
def test_a_buffer_is_seeded_with_them(
    tiny_recordings: Path, actions: Actions, shape: tuple, dtype: torch.dtype
) -> None:
    data = ReplayDataModule(
        8, capacity=2000, warm_up=10, n_step=3, priorities=PriorityOptions(0.5), frames=SPEC,
        teaching=Teaching(str(tiny_recordings), Ramp(1.0, 1.0)),
    )  # fmt: skip
    buffer = data.open_buffer(2, stack=4, discount=0.9, actions=actions, seen=(96, 96))
    truth = read_demonstrations(reader_of(tiny_recordings), actions)
    batch = data.draw()
    assert batch.observation.shape == (8, 4, 84, 84)
    assert batch.action.shape == (8, *shape)
    assert batch.action.dtype == dtype
    assert (batch.discount >= 0.9**3 - 1e-6).all()
    for row, index in enumerate(batch.index.tolist()):
        at = -1 - index
        assert np.array_equal(batch.observation[row, -1].numpy(), truth.steps.frames[at])
        assert np.array_equal(batch.action[row].numpy(), truth.steps.actions[at])
        assert batch.demonstration[row] == truth.imitated[at]
        said = truth.steps.actions[at] if truth.imitated[at] and shape == () else -1
        assert batch.shown[row] == said
    buffer.update_priorities(batch.index[:1], torch.tensor([1e4]))
    drawn = torch.cat([data.draw().index for _ in range(20)])
    assert (drawn == batch.index[0]).float().mean() > 0.3
    everything = torch.cat([buffer.sample(64, demonstration_share=1.0).index for _ in range(40)])
    assert set((-1 - torch.unique(everything)).tolist()) <= set(range(len(truth.imitated)))


def test_their_share_follows_the_ramp(tiny_recordings: Path) -> None:
    data = ReplayDataModule(
        10, capacity=200, warm_up=10, frames=SPEC,
        teaching=Teaching([str(tiny_recordings)], Ramp(1.0, 0.25, 40)),
    )  # fmt: skip
    buffer = data.open_buffer(1, stack=4, discount=0.9, actions=FIVE)
    blank = read_demonstrations(reader_of(tiny_recordings), FIVE).steps
    columns = {name: column for name, column in vars(blank).items() if column is not None}
    for at in range(20):
        buffer.add(type(blank)(**{name: column[at : at + 1] for name, column in columns.items()}))
    shares = [(data.draw().index < 0).float().mean().item() for _ in range(240)]
    assert shares[0] == 1.0
    assert np.mean(shares[15:25]) == pytest.approx(0.625, abs=0.05)
    assert np.mean(shares[40:]) == pytest.approx(0.25, abs=0.02)


def test_unsuitable_recordings_are_refused(tmp_path: Path, tiny_recordings: Path) -> None:
    act = {"steering": 0.0, "throttle": 0.5, "brake": 0.0, "gear_change": 0}
    with pytest.raises(ValueError, match="frames of 96x96, but the environment gives 64x64"):
        read_demonstrations(reader_of(tiny_recordings), FIVE, seen=(64, 64))
    with pytest.raises(ValueError, match="frames of 64x64, too small for the model's 84x84"):
        read_demonstrations(reader_of(write(tmp_path / "small", [act] * 8, size=64)), FIVE)
    with pytest.raises(ValueError, match=r"has no rewards.*racing-vpt collect"):
        read_demonstrations(reader_of(write(tmp_path / "unpaid", [act] * 8, rewards=False)), FIVE)
    geared = [{**act, "gear_change": int(at == 4)} for at in range(8)]
    with pytest.raises(ValueError, match="gear_change cannot be translated"):
        read_demonstrations(reader_of(write(tmp_path / "geared", geared)), FIVE)
    with pytest.raises(ValueError, match="the model acts with left, right: left and right and steering"):
        read_demonstrations(reader_of(tiny_recordings), [{"left": 1.0, "right": 0.0}])
    with pytest.raises(FileNotFoundError, match="racing-vpt"):
        ReplayDataModule(teaching=Teaching(str(tmp_path / "none")), frames=SPEC).open_buffer(
            1, stack=4, discount=0.9, actions=FIVE
        )


def test_packing_keeps_that_a_lap_was_finished(tmp_path: Path) -> None:
    act = {"steering": 0.0, "throttle": 0.5, "brake": 0.0, "gear_change": 0}
    write(tmp_path / "made", [act] * 20)
    pack(tmp_path / "made", tmp_path / "shards", val_fraction=0.0)
    manifest = read_json(tmp_path / "shards" / "manifest.json")
    assert manifest["episodes"]["made"]["lap_finished"] is True
    manifest["episodes"]["made"].pop("lap_finished")  # as of shards that were packed before
    write_json(tmp_path / "shards" / "manifest.json", manifest)
    assert not reader_of(tmp_path / "shards").finished(0)
