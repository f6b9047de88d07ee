"""Numpy arrays, in and out; shards as plain webdataset code reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from racing_vpt.cli.main import main
from racing_vpt.data.recording import Recording
from tests.cli.answers import said
from tests.conftest import write_tiny_recording
from tests.exchange.test_table import same

PAGE = Path(__file__).parents[2] / "data" / "README.md"


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    write_tiny_recording(folder, 0, 24)
    return folder


def test_recordings_go_out_as_arrays_and_come_back_with_every_pixel(recordings: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["--format", "arrays", "--out"]
    for _ in range(2):
        assert main(["export", str(recordings), *words, str(out)]) == 0
    before = Recording.open(recordings / "tiny-10000.mp4")
    frames, actions = (np.load(out / f"tiny-10000_{name}.npy", allow_pickle=False) for name in ("frames", "actions"))
    np.testing.assert_array_equal(frames, before.open_video().read(np.arange(24)))
    assert (actions.shape, actions.dtype) == ((24, 4), np.float32)
    assert main(["import", str(out), *words, str(tmp_path / "back"), "--pictures", "--game", "carracing"]) == 0
    same(before, Recording.open(tmp_path / "back" / "tiny-10000"))


def test_buttons_without_names_are_chosen_by_their_place(tmp_path: Path) -> None:
    source = tmp_path / "nes"
    source.mkdir()
    buttons = np.random.default_rng(0).integers(0, 2, (6, 8)).astype(bool)
    np.save(source / "mario_frames.npy", np.zeros((6, 32, 32, 3), np.uint8))
    np.save(source / "mario_actions.npy", buttons)
    columns = ["--mapping.columns", '{A: "actions[0]", up: "actions[4]"}']
    words = ["import", str(source), "--format", "arrays", "--out", str(tmp_path / "back"), "--frames_per_second", "60"]
    assert main([*words, *columns]) == 0
    controls = Recording.open(tmp_path / "back" / "mario.mp4").controls()
    np.testing.assert_array_equal(controls["A"], buttons[:, 0])
    np.testing.assert_array_equal(controls["up"], buttons[:, 4])


def test_frames_without_buttons_are_a_video_to_label(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "nes", tmp_path / "out"
    source.mkdir()
    frames = np.random.default_rng(0).integers(0, 255, (6, 32, 32, 3), np.uint8)
    np.save(source / "mario_frames.npy", frames)
    words = ["import", str(source), "--format", "arrays", "--out", str(out), "--frames_per_second", "60"]
    assert "to import it for labelling: --video_only" in said(capsys, *words)
    for answer in ("1 done, 0 passed over", "0 done, 1 passed over"):
        assert main([*words, "--video_only", "--pictures"]) == 0
        assert answer in capsys.readouterr().out
    recording = Recording.open(out / "mario")
    np.testing.assert_array_equal(recording.open_video().read(np.arange(6)), frames)
    assert not recording.meta["actions"]
    assert not list(out.glob("*.jsonl"))
    assert "for --format arrays" in said(capsys, *words[:3], "table", *words[4:], "--video_only")


FRAMES = np.zeros((6, 8, 8, 3), np.uint8)
BAD = {
    "floats": (FRAMES.astype(np.float32), np.zeros((6, 2)), "is float32 [6, 8, 8, 3]; uint8 [T, H, W, 3] is expected"),
    "fewer actions": (FRAMES, np.zeros((5, 2)), "numbers [6, N] are expected, one row per frame"),
    "objects": (FRAMES, np.array([[{}]] * 6, object), "is no numpy array that can be read"),
    "no rate": (FRAMES, np.zeros((6, 2)), "no rate is known; give it"),
    "no actions": (FRAMES, None, "there is no a_actions.npy beside it"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_arrays_are_answered_in_one_line_and_leave_nothing(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames, actions, answer = BAD[kind]
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    np.save(source / "a_frames.npy", frames)
    if actions is not None:
        np.save(source / "a_actions.npy", actions)
    columns = ["--mapping.columns", '{steering: "actions[0]"}']
    assert answer in said(capsys, "import", str(source), "--format", "arrays", "--out", str(out), *columns)
    assert not list(out.glob("*"))


def test_plain_webdataset_code_of_the_page_reads_shards(
    recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--clip_frames", "16", "--val_fraction", "0", "--out", str(tmp_path / "data" / "shards" / "labelled")]
    assert main(["pack", "--recordings", str(recordings), *words]) == 0
    example = PAGE.read_text().split("```python\n")[1].split("```")[0]
    assert len([line for line in example.splitlines() if line]) <= 10
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    exec(compile(example, str(PAGE), "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [["tiny-10000-0000000", "16"], ["tiny-10000-0000016", "8"]]
