"""Licence and author of data, carried wherever it goes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from racing_vpt import __version__
from racing_vpt.cli.main import main
from racing_vpt.data.label_files import write_labels
from racing_vpt.data.recording import Recording
from racing_vpt.files import read_json, write_json
from racing_vpt.types import FrameRecord
from tests.cli.answers import said
from tests.conftest import write_tiny_recording

STATED = {"license": "CC-BY-4.0", "author": "Ada", "made_with": "racing-vpt 0.1 record"}
NEEDS = {"lerobot": "pyarrow", "minari": "minari", "mcap": "mcap"}


def states(meta_file: Path, **fields: object) -> None:
    write_json(meta_file, read_json(meta_file) | fields)


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Two recordings, of which the first states its origin."""
    for episode in range(2):
        write_tiny_recording(tmp_path / "in", episode, 20)
    states(tmp_path / "in/tiny-10000.meta.json", **STATED)
    return tmp_path / "in"


def origin(meta: dict) -> dict:
    return {name: meta[name] for name in STATED}


@pytest.mark.parametrize("kind", ["table", "arrays", "lerobot"])
def test_an_origin_goes_out_and_comes_back_and_a_stated_one_is_never_replaced(
    kind: str, recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if kind in NEEDS:
        pytest.importorskip(NEEDS[kind], reason=f"the extra [{kind}] is not installed")
    given = ["--license", "MIT", "--author", "Bob"]
    assert main(["export", str(recordings), "--format", kind, "--out", str(tmp_path / "out"), *given]) == 0
    words = ["import", str(tmp_path / "out"), "--format", kind, "--out", str(tmp_path / "back")]
    assert main([*words, "--license", "CC0-1.0"]) == 0
    assert "tiny-10000: it keeps its licence, CC-BY-4.0" in capsys.readouterr().out
    one, other = (read_json(tmp_path / "back" / f"tiny-1000{episode}.meta.json") for episode in range(2))
    assert origin(one) == STATED
    assert origin(other) == {"license": "MIT", "author": "Bob", "made_with": f"racing-vpt {__version__} export"}


@pytest.mark.parametrize("kind", ["lerobot", "minari", "mcap"])
def test_other_formats_state_every_licence(kind: str, recordings: Path, tmp_path: Path) -> None:
    pytest.importorskip(NEEDS[kind], reason=f"the extra [{kind}] is not installed")
    given = ["--license", "MIT", "--out", str(tmp_path / "out")]
    assert main(["export", str(recordings), "--format", kind, *given]) == 0
    about = {"lerobot": "meta/info.json", "minari": "data/metadata.json", "mcap": "tiny-10001.meta.json"}[kind]
    stated = read_json(tmp_path / "out" / about)["license"]
    assert stated == ("MIT" if kind == "mcap" else "CC-BY-4.0 AND MIT")
    if kind == "mcap":
        from mcap.reader import make_reader

        with (tmp_path / "out/tiny-10000.mcap").open("rb") as file:
            (metadata,) = make_reader(file).iter_metadata()
        assert {name: metadata.metadata[name] for name in STATED} == STATED


def test_shards_state_the_licences_of_recordings_and_labels(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = Recording.open(recordings / "tiny-10000.mp4")
    records = [FrameRecord(index, index / 50, {"steering": 0.1}) for index in range(20)]
    about = {"checkpoint": "c", "checkpoint_name": "c", "video": video.video.name, "video_sha256": video.sha256}
    write_labels(tmp_path / "labels/tiny-10000.jsonl", records, {**about, "license": "CC0-1.0"})
    words = ["pack", "--recordings", str(recordings), "--val_fraction", "0", "--license", "MIT"]
    assert main([*words, "--labels", str(tmp_path / "labels"), "--out", str(tmp_path / "labelled")]) == 0
    manifest = read_json(tmp_path / "labelled/manifest.json")
    assert (manifest["license"], manifest["author"]) == ("CC-BY-4.0 AND CC0-1.0", "Ada")
    assert manifest["episodes"]["tiny-10000"]["labels"] == {"license": "CC0-1.0"}
    assert main([*words, "--out", str(tmp_path / "shards")]) == 0
    manifest = read_json(tmp_path / "shards/manifest.json")
    assert manifest["license"] == "CC-BY-4.0 AND MIT"
    assert manifest["made_with"] == f"racing-vpt {__version__} pack"
    assert origin(manifest["episodes"]["tiny-10000"]) == STATED
    assert main(["export", str(tmp_path / "shards"), "--format", "table", "--out", str(tmp_path / "out")]) == 0
    assert read_json(tmp_path / "out/tiny-10001.meta.json")["license"] == "MIT"
    capsys.readouterr()
    assert main(["inspect", str(tmp_path / "shards"), "--out", str(tmp_path / "inspect.png")]) == 0
    assert "licence: CC-BY-4.0 (1), MIT (1)" in capsys.readouterr().out
    answer = said(capsys, *words[:-1], "GPL-3.0-only", "--out", str(tmp_path / "shards"))
    assert "already holds other shards" in answer


def test_recordings_labels_and_renditions_say_who_made_them_and_with_what(tmp_path: Path) -> None:
    given = ["--license", "CC-BY-4.0", "--author", "Ada"]
    words = ["collect", "--seeds", "10000", "--max_frames", "12", "--workers", "1", "--video_only", *given]
    assert main([*words, "--out", str(tmp_path / "videos")]) == 0
    stated = {"license": "CC-BY-4.0", "author": "Ada", "made_with": f"racing-vpt {__version__} collect"}
    for folder in ("videos", "videos-truth"):
        (meta_file,) = (tmp_path / folder).glob("*.meta.json")
        assert origin(read_json(meta_file)) == stated
    words = ["renditions", str(tmp_path / "videos"), "--out", str(tmp_path / "renditions"), "--random", "1"]
    assert main(words) == 0
    assert origin(read_json(next((tmp_path / "renditions").rglob("*.meta.json")))) == stated


def test_a_licence_on_a_lerobot_card_is_read(recordings: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="the extra [lerobot] is not installed")
    assert main(["export", str(recordings), "--format", "lerobot", "--out", str(tmp_path / "set")]) == 0
    info = tmp_path / "set/meta/info.json"
    info.write_text(json.dumps({**read_json(info), "license": None}))
    (tmp_path / "set/README.md").write_text("---\ntags:\n- LeRobot\nlicense: apache-2.0\n---\n# A set\n")
    words = ["import", str(tmp_path / "set"), "--format", "lerobot", "--out", str(tmp_path / "back")]
    assert main(words) == 0
    one, other = (read_json(tmp_path / "back" / f"tiny-1000{episode}.meta.json") for episode in range(2))
    assert (one["license"], other["license"]) == ("CC-BY-4.0", "apache-2.0")


@pytest.mark.parametrize("text", ["", " ", "two\nlines", "x" * 201])
def test_a_licence_is_one_line(text: str, recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = said(capsys, "pack", "--recordings", str(recordings), "--out", str(tmp_path / "out"), f"--license={text}")
    assert "one line of up to 200 characters is expected" in answer
