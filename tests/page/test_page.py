"""The page of `racing-vpt view --html`: what is in it, of which data, and what it refuses."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path

import av
import numpy as np
import pytest

from racing_vpt.cli.main import main
from racing_vpt.data.agreement import agreement, wrongness
from racing_vpt.data.label_files import write_labels
from racing_vpt.data.recording import Recording, RecordingWriter
from racing_vpt.exchange.footage import VideoFootage
from racing_vpt.page.document import json_for_script, page_text
from racing_vpt.page.films import write_browser_film
from racing_vpt.page.moments import highest
from racing_vpt.types import FrameRecord
from racing_vpt.verbs.view import view


def data_of(page: Path) -> dict:
    found = re.search(r'id="data">(.*?)</script>', page.read_text(), re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def rows_of(episode: dict) -> dict[str, np.ndarray]:
    numbers = np.frombuffer(gzip.decompress(base64.b64decode(episode["packed"])), "<f4")
    return dict(zip(episode["rows"], numbers.reshape(-1, episode["frames"]), strict=True))


@pytest.fixture
def two(tiny_recordings: Path, tmp_path: Path) -> Path:
    """A folder of two short recordings with a name that is HTML, and labels of one of them in `labels`."""
    for number, name in enumerate(("plain", "a<b>&'c")):
        with RecordingWriter(tmp_path / "r", name, frames_per_second=25, meta={"agent": "<i>me</i>"}) as writer:
            for index in range(30):
                action = {"steering": index / 30, "throttle": 0.5, "brake": 0.0, "gear_change": 0}
                frame = np.full((64, 90, 3), 8 * index + 2 * number, np.uint8)
                writer.add(frame, FrameRecord(index, index / 25, action, reward=float(number)))
    return tmp_path / "r"


def labelled(two: Path) -> Path:
    recording = Recording.open(two / "plain.mp4")
    off = [
        {"steering": 0.0 if 10 <= i < 15 else i / 30, "throttle": 0.5, "brake": 0.0, "gear_change": 0}
        for i in range(30)
    ]
    records = [FrameRecord(i, i / 25, row, confidence=0.2 if i == 20 else 0.9) for i, row in enumerate(off)]
    write_labels(two.parent / "labels" / "plain.jsonl", records, {"checkpoint": "c", "video_sha256": recording.sha256})
    return two.parent / "labels"


def test_a_page_holds_every_column_and_every_film_once(two: Path, tmp_path: Path) -> None:
    out = tmp_path / "view.html"
    assert view(two, html=out) == out
    data = data_of(out)
    assert [episode["frames"] for episode in data["episodes"]] == [30, 30]
    rows = rows_of(data["episodes"][1])
    assert np.allclose(rows["said steering"], np.arange(30) / 30)
    assert np.allclose(rows["time"], np.arange(30) / 25)
    assert "said gear_change" not in rows  # it never changes
    assert [control["low"] for control in data["episodes"][0]["controls"]] == [-1, 0, 0]
    text = out.read_text()
    assert text.count('<script type="text/plain" id="film-') == 2
    assert "<i>me</i>" not in text
    assert "<b>" not in re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r'(?:src|href)="(?!data:|#)', text)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r", "view.html"]


def test_labels_stand_beside_the_truth_and_their_worst_moments_are_listed(two: Path, tmp_path: Path) -> None:
    view(two, labels=labelled(two), html=tmp_path / "view.html")
    data = data_of(tmp_path / "view.html")
    (episode,) = data["episodes"]
    rows = rows_of(episode)
    assert np.flatnonzero(rows["wrong"]).tolist() == [10, 11, 12, 13, 14]
    assert np.allclose(rows["true steering"], np.arange(30) / 30)
    assert not rows["reward"].any()  # of the recording, as labels have none
    assert episode["heading"] == "labelled"
    assert 10 <= data["moments"]["wrong"][0][1] < 15
    assert 17 <= data["moments"]["unsure"][0][1] < 24


def test_films_beside_the_page_are_made_once(two: Path, tmp_path: Path) -> None:
    out, folder = tmp_path / "view.html", tmp_path / "view-films"
    view(two, html=out, films="beside")
    made = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert {f"view-films/{path.name}" for path in made} == {one["film"] for one in data_of(out)["episodes"]}
    view(two, html=out, films="beside")
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == made


def test_films_are_what_every_browser_plays_and_keep_small_pictures_colours(two: Path, tmp_path: Path) -> None:
    recording = Recording.open(two / "plain.mp4")
    write_browser_film(VideoFootage(recording.video, 0, 30), tmp_path / "film.mp4", 25)
    with av.open(str(tmp_path / "film.mp4")) as film:
        stream = film.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(stream)]
        assert [round(float(frame.mean())) // 8 for frame in frames[1:]] == pytest.approx(range(1, 30), abs=1)
    assert frames[0].shape == (128, 180, 3)


def test_a_page_of_shards_and_a_single_video(tiny_shards: Path, two: Path, tmp_path: Path) -> None:
    view(tiny_shards, html=tmp_path / "shards.html")
    assert sum(one["frames"] for one in data_of(tmp_path / "shards.html")["episodes"]) == 393
    view(two / "plain.mp4", html=tmp_path / "one.html")
    assert [one["name"] for one in data_of(tmp_path / "one.html")["episodes"]] == ["plain"]


def test_a_page_of_a_lerobot_dataset(two: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="needs the extra [lerobot]")
    from racing_vpt.verbs.export_data import export_data

    export_data(two, format="lerobot", out=tmp_path / "dataset")
    view(tmp_path / "dataset", html=tmp_path / "view.html")
    episodes = data_of(tmp_path / "view.html")["episodes"]
    assert [one["frames"] for one in episodes] == [30, 30]
    assert np.allclose(rows_of(episodes[1])["said steering"], np.arange(30) / 30)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["{two}"], "is a folder; name one of its videos"),
        (["{two}", "--html", "{two}/plain.jsonl"], "is not replaced"),
        (["{two}", "--html", "v.html", "--out", "v.mp4"], "one at a time"),
        (["{two}", "--html", "v.html", "--camera", "front"], "LeRobot dataset"),
        (["{labels}", "--html", "v.html"], "labels without video"),
        (["{two}/none", "--html", "v.html"], "there is no"),
    ],
)
def test_what_cannot_be_shown_is_one_line(
    words: list[str], told: str, two: Path, capsys: pytest.CaptureFixture
) -> None:
    named = {"two": two, "labels": labelled(two)}
    assert main(["view", *(word.format(**named) for word in words)]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert told in error[-1]
    assert not Path("v.html").exists()


def test_a_script_in_a_name_stays_a_text() -> None:
    assert json.loads(json_for_script({"name": "</script><!--&"})) == {"name": "</script><!--&"}
    assert "<" not in json_for_script({"name": "</script>"})
    text = page_text("viewer.html", {"title": "<script>", "version": "", "episodes": [], "films": []},
                     styles=("page.css",), scripts=("columns.js",), data={})  # fmt: skip
    assert "<title>&lt;script&gt;</title>" in text


def test_moments_are_apart_and_highest_first() -> None:
    score = np.zeros(500)
    score[100:110], score[120:130], score[499] = 1.0, 0.9, 5.0
    found = highest(score, 50, 10)
    assert found[0].frame >= 490
    assert 95 <= found[1].frame <= 115
    assert len(found) == 2  # the second bump is less than two seconds from the first


def test_wrongness_counts_only_what_disagrees() -> None:
    said = {"steering": np.array([0.0, 0.05, 1.0]), "throttle": np.array([0.0, 0.0, 1.0])}
    true = {"steering": np.array([0.0, 0.0, 0.0]), "throttle": np.array([0.0, 0.5, 1.0])}
    assert wrongness(said, true, agreement(said, true, 0.1)).tolist() == [0.0, 0.5, 0.5]
