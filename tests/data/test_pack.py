"""Shards: complete, in one split, of the requested size, with the source of their controls."""

from __future__ import annotations

import json
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch
import webdataset

from racing_vpt.data import packing
from racing_vpt.data.clip_controls import ClipControls
from racing_vpt.data.clip_datamodule import ClipDataModule, Loading
from racing_vpt.data.clip_source import Reading
from racing_vpt.data.label_files import write_labels
from racing_vpt.data.manifest import read_manifest
from racing_vpt.data.recordings import find_recordings
from racing_vpt.data.shards import ShardStore
from racing_vpt.types import FrameRecord, FrameSpec
from racing_vpt.verbs.inspect import inspect_data
from racing_vpt.verbs.pack import pack
from racing_vpt.verbs.verify import verify
from racing_vpt.video.encode import VideoWriter


def label(videos: Path, labels: Path, checkpoint: str = "abc123") -> None:
    for recording in find_recordings(videos):
        records = [
            FrameRecord(index, index / 50, {"steering": 0.1, "throttle": 0.5}, confidence=index / 100)
            for index in range(recording.num_frames)
        ]
        meta = {"checkpoint": checkpoint, "checkpoint_name": "idm", "video_sha256": recording.sha256}
        write_labels(labels / f"{recording.name}.jsonl", records, meta)


def test_pack_keeps_an_episode_in_one_split(tiny_shards: Path) -> None:
    manifest = read_manifest(str(tiny_shards))
    splits: dict[str, set[str]] = {"train": set(), "val": set()}
    for shard in manifest["shards"]:
        splits[shard["split"]] |= {place[5] for place in shard["samples"]}
    assert len(splits["train"]) == 4
    assert len(splits["val"]) == 2
    assert not splits["train"] & splits["val"]
    assert len(manifest["shards"]) > 2
    assert {counts["frames"] for counts in manifest["splits"].values()} == {
        sum(place[7] for shard in manifest["shards"] if shard["split"] == split for place in shard["samples"])
        for split in splits
    }


def test_shards_are_plain_webdataset(tiny_shards: Path) -> None:
    manifest = read_manifest(str(tiny_shards))
    files = [str(tiny_shards / shard["file"]) for shard in manifest["shards"]]
    samples = list(webdataset.WebDataset(files, shardshuffle=False))
    assert len(samples) == sum(counts["samples"] for counts in manifest["splits"].values())
    for sample in samples:
        assert "." not in sample["__key__"]
        about = json.loads(sample["json"])
        assert len(about["controls"]["steering"]) == about["frames"] <= 32
        assert sample["mp4"][4:8] == b"ftyp"


def test_packing_twice_and_in_parallel_gives_the_same_bytes(tiny_recordings: Path, tmp_path: Path) -> None:
    first = pack(tiny_recordings, tmp_path / "one", shard_mib=0.05)
    assert pack(tiny_recordings, tmp_path / "one", shard_mib=0.05) == first
    assert pack(tiny_recordings, tmp_path / "two", shard_mib=0.05, workers=2) == first
    with pytest.raises(ValueError, match="other shards"):
        pack(tiny_recordings, tmp_path / "one", seed=5)


def test_an_interrupted_pack_is_continued(
    tiny_recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = pack(tiny_recordings, tmp_path / "whole", shard_mib=0.03, clip_frames=16)
    cut, calls = packing._try_cut, []

    def interrupted(*given: object, **form: object) -> object:
        calls.append(given)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return cut(*given, **form)  # type: ignore[arg-type]

    monkeypatch.setattr(packing, "_try_cut", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pack(tiny_recordings, tmp_path / "parts", shard_mib=0.03, clip_frames=16)
    assert not (tmp_path / "parts" / "manifest.json").exists()
    assert list((tmp_path / "parts").glob("train-*.tar"))
    assert not list((tmp_path / "parts").glob(".tmp-*"))
    again = pack(tiny_recordings, tmp_path / "parts", shard_mib=0.03, clip_frames=16)
    assert len(calls) < 4 + len(find_recordings(tiny_recordings))
    names = [[place[:1] for shard in manifest["shards"] for place in shard["samples"]] for manifest in (whole, again)]
    assert sorted(names[0]) == sorted(names[1])
    verify(str(tmp_path / "parts"))


def test_labels_are_paired_by_the_videos_sha256(tiny_videos: Path, tmp_path: Path) -> None:
    label(tiny_videos, tmp_path / "labels")
    manifest = pack(tiny_videos, tmp_path / "shards", labels=tmp_path / "labels", val_fraction=0.0)
    assert manifest["actions_from"] == [{"kind": "idm", "checkpoint": "abc123", "name": "idm"}]
    store = ShardStore(str(tmp_path / "shards"), "train")
    about = store.about(store.episodes[0].clips[0])
    assert about["actions_from"]["checkpoint"] == "abc123"
    data = ClipDataModule(
        str(tmp_path / "shards"),
        batch_size=2,
        clip_frames=50,
        controls=ClipControls(min_confidence=0.2, confidence_weighting=True),
    )
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    start = torch.tensor([int(name.rsplit(":", 1)[1]) for name in batch.ids])
    confidence = (start[:, None] + torch.arange(50)) / 100
    torch.testing.assert_close(batch.weight, torch.where(confidence < 0.2 - 1e-6, 0.0, confidence))
    assert batch.rewards is None  # an IDM labels controls only
    plain = ClipDataModule(
        str(tiny_videos), controls=ClipControls(labels=tmp_path / "labels"), loading=Loading(val_fraction=0.0)
    )
    plain.setup("fit")
    assert plain.control_names == ("steering", "throttle")


def test_labels_of_other_videos_are_refused(tiny_videos: Path, tiny_recordings: Path, tmp_path: Path) -> None:
    label(tiny_videos, tmp_path / "labels")
    with pytest.raises(FileNotFoundError, match="racing-vpt predict"):
        pack(tiny_recordings, tmp_path / "shards", labels=tmp_path / "labels")


def test_unlabelled_video_packs_without_controls(tiny_videos: Path, tmp_path: Path) -> None:
    manifest = pack(tiny_videos, tmp_path, val_fraction=0.0)
    assert manifest["actions_from"] == [None]
    data = ClipDataModule(str(tmp_path), batch_size=2, clip_frames=8)
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert batch.controls == {}
    assert batch.valid.all()


def test_videos_of_another_rate_size_and_shape_are_resampled(tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    writer = VideoWriter(videos / "wide.mp4", 25.0, 60, 120, crf=4)
    for index in range(50):
        writer.add(np.full((60, 120, 3), 4 * index, np.uint8))
    writer.close()
    pack(videos, tmp_path / "shards", frames_per_second=50.0, height=32, width=32, fit="letterbox", val_fraction=0.0)
    store = ShardStore(str(tmp_path / "shards"), "train")
    (episode,) = store.episodes
    assert (episode.num_frames, episode.frames_per_second) == (100, 50.0)
    video, _ = store.open(episode.clips[0])
    frames = video.read(range(64))
    assert frames[40, :6].max() < 20  # the bars of the letterbox
    shown = frames[:, 10:22].mean((1, 2, 3)) / 4
    assert np.abs(shown - np.arange(64) // 2).max() < 1


@pytest.mark.parametrize("where", ["memory", "http"])
def test_shards_stream_from_a_url(tiny_shards: Path, where: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue(f"{where}_url")
    options = {"batch_size": 2, "clip_frames": 40, "reading": Reading(frames=FrameSpec())}
    local, remote = ClipDataModule(str(tiny_shards), **options), ClipDataModule(url, **options)
    for data in (local, remote):
        data.setup("fit")
    for one, other in zip(local.train_dataloader(), remote.train_dataloader(), strict=True):
        assert one.ids == other.ids
        assert torch.equal(one.frames, other.frames)


@pytest.fixture
def memory_url(tiny_shards: Path) -> str:
    system = fsspec.filesystem("memory")
    for file in tiny_shards.iterdir():
        system.pipe(f"/shards/{file.name}", file.read_bytes())
    return "memory://shards"


@pytest.fixture
def http_url(tiny_shards: Path):
    import threading
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Ranges(BaseHTTPRequestHandler):
        """File server with byte ranges, which the standard library's lacks."""

        def do_GET(self) -> None:
            content = (tiny_shards / self.path.lstrip("/")).read_bytes()
            span = self.headers.get("Range")
            if span:
                start, stop = span.removeprefix("bytes=").split("-")
                content = content[int(start) : int(stop) + 1]
            self.send_response(206 if span else 200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Ranges) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_verify_and_training_name_a_damaged_shard(tiny_recordings: Path, tmp_path: Path) -> None:
    pack(tiny_recordings, tmp_path, val_fraction=0.0)
    verify(str(tmp_path))
    shard = tmp_path / "train-000000.tar"
    content = bytearray(shard.read_bytes())
    place = ShardStore(str(tmp_path), "train").shards[0].samples[0]
    content[place.json_offset + 40] ^= 1
    content[place.json_offset : place.json_offset + 4] = b"????"
    shard.write_bytes(content)
    with pytest.raises(ValueError, match="sha256"):
        verify(str(tmp_path))
    store = ShardStore(str(tmp_path), "train")
    with pytest.raises(ValueError, match=r"train-000000\.tar, sample .*racing-vpt verify"):
        store.columns(store.episodes[0].clips[0])
    shard.write_bytes(content[: len(content) // 2])  # a tar that is cut gives less data, without an error
    with pytest.raises(ValueError, match="bytes, but the manifest says"):
        ClipDataModule(str(tmp_path)).setup("fit")


def test_verify_names_recordings_that_were_changed(tiny_recordings: Path, tmp_path: Path) -> None:
    for file in tiny_recordings.glob("tiny-10000.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    verify(str(tmp_path))
    with (tmp_path / "tiny-10000.mp4").open("ab") as file:
        file.write(b"more")
    with pytest.raises(ValueError, match=r"tiny-10000\.mp4.*sha256"):
        verify(str(tmp_path))


def test_a_bad_recording_is_skipped_only_when_asked(tiny_recordings: Path, tmp_path: Path) -> None:
    for file in [*tiny_recordings.glob("tiny-10000.*"), *tiny_recordings.glob("tiny-10001.*")]:
        (tmp_path / "in" / file.name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / file.name).write_bytes(file.read_bytes())
    lines = tmp_path / "in" / "tiny-10000.jsonl"
    lines.write_text(lines.read_text().replace('"frame": 9,', '"frame": 8,'))
    with pytest.raises(ValueError, match=r"tiny-10000\.jsonl, line 10"):
        pack(tmp_path / "in", tmp_path / "out", val_fraction=0.0)
    manifest = pack(tmp_path / "in", tmp_path / "out", val_fraction=0.0, on_error="skip")
    assert list(manifest["skipped"]) == ["tiny-10000"]
    assert manifest["splits"]["train"]["episodes"] == 1


@pytest.mark.parametrize("kind", ["recordings", "shards", "labels"])
def test_inspect_shows_what_is_there(
    kind: str,
    tiny_recordings: Path,
    tiny_shards: Path,
    tiny_videos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    label(tiny_videos, tmp_path / "labels")
    path = {"recordings": tiny_recordings, "shards": tiny_shards, "labels": tmp_path / "labels"}[kind]
    inspect_data(str(path), out=tmp_path / "inspect.png")
    text = capsys.readouterr().out
    assert "steering" in text
    assert {"recordings": "frames: 393", "shards": "train", "labels": "confidence of the labels"}[kind] in text
    assert (tmp_path / "inspect.png").read_bytes()[:4] == b"\x89PNG"


def test_a_folder_with_nothing_in_it_says_how_to_fill_it(tmp_path: Path) -> None:
    for action in (
        lambda: pack(tmp_path, tmp_path / "out"),
        lambda: inspect_data(str(tmp_path)),
        lambda: verify(str(tmp_path)),
    ):
        with pytest.raises(FileNotFoundError, match="racing-vpt collect"):
            action()


GAME = """
name: racer
controls:
  steering: {axis: [-1, 1], bins: 5}
  throttle: {axis: [0, 1]}
  brake: {axis: [0, 1]}
  gear_change: {choice: [-1, 0, 1]}
frames: {height: 48, width: 40, resize: linear, frames_per_second: 25, hide: [[0.5, 0, 0.5, 1]]}
"""


def test_recordings_are_packed_at_the_size_and_rate_of_a_game(tiny_recordings: Path, tmp_path: Path) -> None:
    (tmp_path / "racer.yaml").write_text(GAME)
    game = str(tmp_path / "racer.yaml")
    form = pack(tiny_recordings, tmp_path / "out", game=game)["clip_format"]
    assert (form["height"], form["width"], form["resize"], form["frames_per_second"]) == (48, 40, "linear", 25)
    verify(str(tmp_path / "out"), game=game)
    form = pack(tiny_recordings, tmp_path / "small", game=game, width=24)["clip_format"]
    assert (form["height"], form["width"]) == (48, 24)


def test_recordings_of_another_game_are_named(
    tiny_recordings: Path, tiny_shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = r"its controls are steering, throttle, brake, gear_change, but those of the game nes are up, down, left"
    with pytest.raises(ValueError, match=rf"cannot be packed with --game nes: {said}"):
        pack(tiny_recordings, tmp_path / "out", game="nes")
    for place in (tiny_recordings, tiny_shards):
        verify(str(place), game="carracing")
        with pytest.raises(ValueError, match=rf"not of the game nes: .*{said}"):
            verify(str(place), game="nes")
    with pytest.raises(ValueError, match="for the game carracing, but --game nes"):
        verify("zoo:dqn-carracing", game="nes")
    (tmp_path / "racer.yaml").write_text(GAME.replace("throttle: {axis: [0, 1]}", "throttle: {axis: [0, 0.01]}"))
    with pytest.raises(ValueError, match=r"throttle of frame \d+ is .*; the game racer allows 0 to 0\.01"):
        verify(str(tiny_recordings), game=str(tmp_path / "racer.yaml"))
    inspect_data(str(tiny_recordings), out=tmp_path / "inspect.png", game="carracing")
    text = capsys.readouterr().out
    assert "game carracing: " in text
    assert "gear_change: 1 of 3 classes used, class 1 in 100.0% of the frames" in text
    inspect_data(str(tiny_recordings), out=tmp_path / "inspect.png", game="nes")
    assert "game nes: 0 of " in capsys.readouterr().out
