"""Recordings: what is written is read back, and errors name file and line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from racing_vpt.data.label_files import read_labels, write_labels
from racing_vpt.data.pairing import pair_recordings
from racing_vpt.data.recording import Recording, RecordingWriter
from racing_vpt.data.recordings import find_recordings
from racing_vpt.types import FrameRecord
from racing_vpt.video.decode import choose_decoder, open_video, resample

FRAMES = np.random.default_rng(0).integers(0, 255, (5, 16, 16, 3), np.uint8).repeat(4, 1).repeat(4, 2)


def write(folder: Path, name: str = "a", **options: object) -> Path:
    with RecordingWriter(folder, name, frames_per_second=25.0, meta={"seed": 7}, **options) as writer:
        for index, frame in enumerate(FRAMES):
            writer.add(frame, FrameRecord(index, index / 25, {"steering": index / 10, "brake": 0.0}, reward=1.0))
    return folder


def edit_line(path: Path, number: int, **changes: object) -> None:
    lines = path.read_text().splitlines()
    lines[number - 1] = json.dumps({**json.loads(lines[number - 1]), **changes})
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("video", [True, False])
def test_a_written_recording_is_read_back(tmp_path: Path, video: bool) -> None:
    (recording,) = find_recordings(write(tmp_path, video=video))
    assert recording.num_frames == 5
    assert recording.meta["seed"] == 7
    assert recording.controls()["steering"].tolist() == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert recording.records()[0].reward == 1.0
    shown = recording.open_video().read(range(5))
    difference = np.abs(shown.astype(int) - FRAMES).mean()
    assert difference < 6 if video else difference == 0


def test_a_folder_of_pictures_opens_without_a_meta_file(tmp_path: Path) -> None:
    write(tmp_path, video=False)
    (tmp_path / "a.meta.json").unlink()
    (recording,) = find_recordings(tmp_path)
    assert (recording.num_frames, recording.frames_per_second) == (5, pytest.approx(25.0))
    assert recording.records()[2].observation["image"] == "a/000002.png"


def test_a_recording_exists_only_when_it_is_complete(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path, "a", frames_per_second=25.0, meta={})
    writer.add(FRAMES[0], FrameRecord(0, 0.0, {"steering": 0.0}))
    assert find_recordings(tmp_path) == []
    writer.add(FRAMES[1], FrameRecord(1, 0.04, {"steering": 0.0}))
    with pytest.raises(RuntimeError, match="stop"), writer:
        raise RuntimeError("stop")
    assert list(tmp_path.iterdir()) == []
    write(tmp_path)
    (tmp_path / "a.meta.json").unlink()  # as if killed before the last step, by a version before 0.2
    assert find_recordings(tmp_path) == []


def test_the_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    sums = [find_recordings(write(tmp_path / name))[0].sha256 for name in ("one", "two")]
    assert sums[0] == sums[1]


def test_withheld_actions_are_written_to_the_truth_folder(tmp_path: Path) -> None:
    write(tmp_path / "video", actions=False, truth_folder=tmp_path / "truth")
    (recording,) = find_recordings(tmp_path / "video")
    assert not recording.has_actions
    records, meta = read_labels(tmp_path / "truth" / "a.jsonl")
    assert [record.action["steering"] for record in records] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert meta["video_sha256"] == recording.sha256
    assert meta["kind"] == "truth"


def test_labels_never_replace_a_recordings_own_files(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(FileExistsError, match="belongs to a recording"):
        write_labels(tmp_path / "a.jsonl", [], {})
    assert find_recordings(tmp_path)[0].num_frames == 5


def test_any_video_is_an_unlabelled_recording(tmp_path: Path) -> None:
    write(tmp_path / "ours")
    (tmp_path / "theirs").mkdir()
    shutil.copy(tmp_path / "ours" / "a.mp4", tmp_path / "theirs" / "b.mp4")
    (recording,) = find_recordings(tmp_path / "theirs")
    assert (recording.num_frames, recording.frames_per_second, recording.has_actions) == (5, 25.0, False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"action": {"steering": 1.5, "brake": 0.0}}, r"a\.jsonl, line 3: control steering is 1\.5.*-1 and 1"),
        ({"action": {"steering": float("nan"), "brake": 0.0}}, r"a\.jsonl, line 3: control steering is nan"),
        ({"action": {"steering": "left", "brake": 0.0}}, r"a\.jsonl, line 3: control steering is 'left'"),
        ({"action": {"steering": 0.0}}, r"a\.jsonl, line 3: controls \['steering'\]"),
        ({"frame": 7}, r"a\.jsonl, line 3: frame 7 stands where frame 2"),
        ({"timestamp": None}, r"a\.jsonl, line 3: frame and timestamp"),
        ({"action": 3}, r"a\.jsonl, line 3: a line is an object"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, changes: dict, message: str) -> None:
    write(tmp_path)
    edit_line(tmp_path / "a.jsonl", 3, **changes)
    with pytest.raises(ValueError, match=message):
        Recording.open(tmp_path / "a").records()


def test_lines_that_do_not_parse_or_match_the_frames_are_named(tmp_path: Path) -> None:
    lines = write(tmp_path) / "a.jsonl"
    lines.write_text(lines.read_text() + "{broken\n")
    with pytest.raises(ValueError, match=r"a\.jsonl, line 6: not JSON"):
        Recording.open(tmp_path / "a").records()
    lines.write_text("".join(lines.read_text().splitlines(keepends=True)[:4]))
    with pytest.raises(ValueError, match=r"4 lines, but a\.mp4 has 5 frames"):
        Recording.open(tmp_path / "a").records()


def test_bad_controls_are_not_recorded(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="throttle is nan"),
        RecordingWriter(tmp_path, "a", frames_per_second=50.0, meta={}) as writer,
    ):
        writer.add(FRAMES[0], FrameRecord(0, 0.0, {"throttle": float("nan")}))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("decoder", ["decord", "pyav"])
def test_decoders_agree_and_say_what_they_cannot_read(tmp_path: Path, tiny_recordings: Path, decoder: str) -> None:
    path = tiny_recordings / "tiny-10001.mp4"
    video = open_video(path, decoder)
    assert (video.num_frames, video.frames_per_second, video.height) == (90, pytest.approx(50), 96)
    np.testing.assert_allclose(video.timestamps, np.arange(90) / 50, atol=1e-4)
    whole = video.read(range(90))
    assert np.array_equal(video.read([70, 3, 3, 89]), whole[[70, 3, 3, 89]])
    assert np.array_equal(open_video(path.read_bytes(), decoder).read([66]), whole[[66]])
    assert np.array_equal(whole, open_video(path, "pyav").read(range(90)))
    with pytest.raises(IndexError, match="90 frames"):
        video.read([90])
    content = bytearray(path.read_bytes())
    (tmp_path / "cut.mp4").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"cut\.mp4"):
        open_video(tmp_path / "cut.mp4", decoder)
    middle = len(content) // 2
    content[middle : middle + 3000] = np.random.default_rng(0).bytes(3000)
    (tmp_path / "bad.mp4").write_bytes(content)
    with pytest.raises(ValueError, match=r"bad\.mp4"):
        open_video(tmp_path / "bad.mp4", decoder).read(range(90))


def test_an_explicit_decoder_never_falls_back() -> None:
    assert choose_decoder("pyav", "cpu") == ("pyav", "cpu")
    with pytest.raises(ValueError, match="nothing"):
        choose_decoder("nothing", "cpu")  # type: ignore[arg-type]
    try:
        import torchcodec  # noqa: F401
    except Exception:
        with pytest.raises(ValueError, match="pip install"):
            choose_decoder("torchcodec", "cpu")


@pytest.mark.parametrize("rate", [20, 30, 60])
def test_policies_for_video_of_any_rate_look_back_over_a_whole_number_of_its_frames(rate: int) -> None:
    config = yaml.safe_load((Path(__file__).parents[2] / "configs" / "vpt_video.yaml").read_text())
    _, back = config["model"]["init_args"]["network"]["look_back"]
    shown = resample(np.arange(600) / rate, 50)[:-1]  # at the end the last frame is shown for longer
    assert np.unique(shown[back:] - shown[:-back]).tolist() == [back * rate / 50]
    assert len(np.unique(shown[4:] - shown[:-4])) == 2, "as the other policies look back"


def test_resampling_follows_the_time_stamps() -> None:
    assert resample(np.arange(10) / 50, 50.0).tolist() == list(range(10))
    assert resample(np.arange(10) / 29.97, 30.0).tolist() == list(range(10))
    assert resample(np.arange(10) / 100, 50.0).tolist() == [0, 2, 4, 6, 8]
    assert resample(np.arange(4) / 25, 50.0).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert resample(np.array([0.0]), 50.0).tolist() == [0]
    uneven = np.array([0.0, 0.02, 0.10, 0.12])  # a video that stalls shows its last frame on
    assert resample(uneven, 50.0).tolist()[:6] == [0, 1, 1, 1, 2, 2]


def test_an_empty_meta_file_is_refused(tmp_path: Path, tiny_recordings: Path) -> None:
    video = next(tiny_recordings.glob("*.mp4"))
    (tmp_path / "mine.mp4").write_bytes(video.read_bytes())
    (tmp_path / "mine.jsonl").write_bytes(video.with_suffix(".jsonl").read_bytes())
    (tmp_path / "mine.meta.json").write_text("{}")
    with pytest.raises(ValueError, match=r"mine\.meta\.json has the kind None; .*data/README\.md"):
        find_recordings(tmp_path)


def test_a_table_beside_a_video_is_reported_as_ignored(
    tmp_path: Path, tiny_videos: Path, caplog: pytest.LogCaptureFixture
) -> None:
    video = next(tiny_videos.glob("*.mp4"))
    (tmp_path / "mine.mp4").write_bytes(video.read_bytes())
    (tmp_path / "mine.csv").write_text("frame,steering\n0,0.5\n")
    with caplog.at_level("WARNING"):
        assert [recording.has_actions for recording in find_recordings(tmp_path)] == [False]
    assert "mine.csv is ignored" in caplog.text


def test_a_picture_beside_recordings_is_no_recording(tiny_recordings: Path, tmp_path: Path) -> None:
    for file in tiny_recordings.glob("tiny-10000.*"):
        shutil.copy(file, tmp_path)
    (tmp_path / "notes.png").write_bytes(b"a screenshot")
    assert [one.name for one in find_recordings(tmp_path)] == ["tiny-10000"]


def test_a_folder_of_pictures_is_paired_by_its_own_name(tmp_path: Path) -> None:
    write(tmp_path, "lap", video=False)
    shutil.move(tmp_path / "lap.jsonl", tmp_path / "lap")
    (tmp_path / "lap.meta.json").unlink()
    assert [pair.name for pair in pair_recordings(tmp_path / "lap")] == ["lap"]
