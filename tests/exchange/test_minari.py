"""Minari datasets, read back by the real minari."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from racing_vpt.cli.main import main
from racing_vpt.data.columns import Columns
from racing_vpt.data.recording import Recording, RecordingWriter
from racing_vpt.exchange.minari_export import MinariExport
from racing_vpt.types import FrameRecord
from tests.cli.answers import said
from tests.conftest import write_tiny_recording

minari = pytest.importorskip("minari", reason="the extra [minari] is not installed")
pytest.importorskip("h5py", reason="the extra [minari] is not installed")
LENGTHS = (20, 13)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    for episode, length in enumerate(LENGTHS):
        write_tiny_recording(folder, episode, length)
    return folder


def export(source: Path, out: Path) -> None:
    assert main(["export", str(source), "--format", "minari", "--out", str(out)]) == 0


def loaded(out: Path, monkeypatch: pytest.MonkeyPatch, name: str | None = None) -> minari.MinariDataset:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(out.parent))
    return minari.load_dataset(name or out.name)


def test_minari_reads_every_frame_action_and_reward(
    recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(recordings, tmp_path / "drives-v3")
    dataset = loaded(tmp_path / "drives-v3", monkeypatch)
    assert (dataset.total_episodes, dataset.total_steps) == (len(LENGTHS), sum(LENGTHS))
    assert dataset.id == "drives-v3"
    for number, episode in enumerate(dataset.iterate_episodes()):
        before = Recording.open(recordings / f"tiny-{10_000 + number}.mp4")
        columns, last = Columns.of_records(before.records()), LENGTHS[number] - 1
        frames = before.open_video().read(np.arange(LENGTHS[number]))
        np.testing.assert_array_equal(episode.observations[:-1], frames)
        np.testing.assert_array_equal(episode.observations[-1], frames[-1])
        np.testing.assert_array_equal(episode.actions, np.stack(list(columns.controls.values()), 1))
        np.testing.assert_array_equal(episode.rewards, columns.reward)
        np.testing.assert_array_equal(np.flatnonzero(episode.truncations), [last])
        assert not episode.terminations.any()
        assert all(dataset.action_space.contains(action) for action in episode.actions)
        assert dataset.observation_space.contains(episode.observations[0])
    (about, _) = dataset.storage.get_episode_metadata([0, 1])
    assert (about["seed"], about["agent"], about["name"]) == (10_000, "sine", "tiny-10000")


def test_episodes_of_one_recording_are_divided_and_a_finished_lap_terminates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RecordingWriter(tmp_path / "in", "two", frames_per_second=20.0, meta={"lap_finished": True}) as writer:
        for index in range(9):
            record = FrameRecord(
                index, index / 20, {"up": float(index % 2)}, reward=float(index), first=index in (0, 4)
            )
            writer.add(np.full((8, 12, 3), index, np.uint8), record)
    export(tmp_path / "in", tmp_path / "laps")
    dataset = loaded(tmp_path / "laps", monkeypatch)  # minari adds no version itself
    assert dataset.id == "laps-v0"
    one, two = dataset.iterate_episodes()
    assert (one.rewards.tolist(), two.rewards.tolist()) == ([0, 1, 2, 3], [4, 5, 6, 7, 8])
    assert one.truncations.tolist() == [False, False, False, True]
    assert two.terminations.tolist() == [False, False, False, False, True]
    assert not two.truncations.any()
    assert (dataset.action_space.low, dataset.action_space.high) == ([0], [1])


def test_an_interrupted_export_goes_on_and_a_finished_one_is_passed_over(
    recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, write = tmp_path / "cut-v0", MinariExport.write

    def stop_at_the_second(self: MinariExport, episode: object) -> str:
        if list((out / "unfinished").glob("*.hdf5")):
            raise OSError(28, "No space left on device")
        return write(self, episode)  # type: ignore[arg-type]

    monkeypatch.setattr(MinariExport, "write", stop_at_the_second)
    assert main(["export", str(recordings), "--format", "minari", "--out", str(out)]) == 2
    assert not (out / "data").exists()
    monkeypatch.undo()
    export(recordings, out)
    export(recordings, tmp_path / "whole-v0")
    assert "1 done, 1 passed over" in capsys.readouterr().out
    assert (out / "data/main_data.hdf5").read_bytes() == (tmp_path / "whole-v0/data/main_data.hdf5").read_bytes()
    assert not (out / "unfinished").exists()
    export(recordings, out)
    assert "0 done, 2 passed over" in capsys.readouterr().out
    assert loaded(out, monkeypatch).total_steps == sum(LENGTHS)


def test_what_a_minari_dataset_cannot_hold_is_refused(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mixed = tmp_path / "mixed"
    shutil.copytree(recordings, mixed)
    with RecordingWriter(mixed, "zz", frames_per_second=50.0, meta={}) as writer:
        writer.add(np.zeros((96, 96, 3), np.uint8), FrameRecord(0, 0.0, {"steering": 0.0}, reward=0.0))
    words = ["--format", "minari", "--out"]
    answer = said(capsys, "export", str(mixed), *words, str(tmp_path / "a"))
    assert "zz has controls ['steering'], the episodes before ['steering', 'throttle'" in answer
    assert "already holds another dataset" in said(capsys, "export", str(recordings), *words, str(tmp_path / "a"))
    silent = tmp_path / "silent"
    with RecordingWriter(silent, "quiet", frames_per_second=50.0, meta={}) as writer:
        writer.add(np.zeros((8, 8, 3), np.uint8), FrameRecord(0, 0.0, {"steering": 0.0}))
    answer = said(capsys, "export", str(silent), *words, str(tmp_path / "b"))
    assert "quiet has no rewards, which a Minari dataset needs" in answer
    assert not (tmp_path / "b" / "data").exists()
