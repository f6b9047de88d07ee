"""What is read was verified: content hashes, whatever meta lies beside a video, and numbers that float32 can hold."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from racing_vpt import known_files
from racing_vpt.data.columns import Columns
from racing_vpt.data.lines import read_lines
from racing_vpt.data.manifest import MANIFEST
from racing_vpt.data.recording import Recording
from racing_vpt.data.shards import OPEN_SHARDS, ShardStore
from racing_vpt.files import sha256_of
from racing_vpt.verbs.pack import pack
from tests.faults.harness import note


@pytest.fixture
def recording(tiny_recordings: Path, tmp_path: Path) -> Path:
    """A copy of one recording, by its meta file."""
    for file in tiny_recordings.glob("tiny-10000.*"):
        shutil.copy(file, tmp_path)
    return tmp_path / "tiny-10000.meta.json"


def damage(video: Path) -> None:
    content = bytearray(video.read_bytes())
    for at in np.random.default_rng(0).integers(len(content) // 4, len(content) * 3 // 4, 40):
        content[at] ^= 16
    video.write_bytes(content)


def meta_of(recording: Path, **changed: object) -> None:
    recording.write_text(json.dumps({**json.loads(recording.read_text()), **changed}))


def test_a_damaged_video_is_noticed_whatever_its_meta_file_says(recording: Path, tmp_path: Path) -> None:
    video = recording.with_name("tiny-10000.mp4")
    Recording.open(recording).check()
    damage(video)
    with pytest.raises(ValueError, match="its sha256 is"):
        Recording.open(recording).open_video()
    meta_of(recording, video_sha256=sha256_of(video))  # as a stranger would
    with pytest.raises(ValueError, match="damaged"):
        pack(tmp_path, tmp_path / "shards")
    note("40 flipped bytes in a video with a meta file", 2, 2)


def test_counts_and_rates_of_a_meta_file_take_no_memory(recording: Path, tmp_path: Path) -> None:
    for changed in ({"num_frames": 10**12}, {"frames_per_second": 1e-300}, {"frames_per_second": 10**400}):
        whole = recording.read_text()
        meta_of(recording, **changed)
        with pytest.raises(ValueError, match=r"frames"):
            pack(tmp_path, tmp_path / "shards", frames_per_second=50)
        recording.write_text(whole)


def test_a_video_is_examined_once_and_again_after_it_changed(recording: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []
    monkeypatch.setattr("racing_vpt.video.trust.examined", lambda path: asked.append(path) or (40, 50.0))
    for _ in range(3):
        Recording.open(recording).check()
    known_files._facts.clear()  # as in the next process
    Recording.open(recording).check()
    assert len(asked) == 1
    os.utime(recording.with_name("tiny-10000.mp4"))
    Recording.open(recording).check()
    assert len(asked) == 2


def test_a_cache_that_others_can_write_to_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = known_files.cache_folder()
    assert folder is not None
    folder.chmod(0o777)
    assert known_files.cache_folder() is None


def test_a_shard_of_another_content_is_refused_and_few_stay_open(tiny_shards: Path, tmp_path: Path) -> None:
    shards = Path(shutil.copytree(tiny_shards, tmp_path / "shards"))
    manifest = json.loads((shards / MANIFEST).read_text())
    for shard in manifest["shards"]:
        for sample in shard["samples"]:
            sample[8] = sample[9] = None  # as packed before there were checksums
    (shards / MANIFEST).write_text(json.dumps(manifest))
    store = ShardStore(str(shards), "train")
    clips = [clip for episode in store.episodes for clip in episode.clips]
    for clip in clips * 2:
        store.encoded(clip)
        assert len(store._files) <= OPEN_SHARDS
    store.close()
    shard = store.shards[0]
    content = bytearray((shards / shard.file).read_bytes())
    content[shard.samples[0].mp4_offset + 20] ^= 1
    (shards / shard.file).write_bytes(content)
    with pytest.raises(ValueError, match="its sha256 is not that of the manifest"):
        store.encoded(clips[0])


@pytest.mark.parametrize("field", [{"reward": 1e300}, {"reward": 10**400}, {"confidence": 5}, {"confidence": -1},
                                   {"observation": {"speed": 10**400}}], ids=str)  # fmt: skip
def test_numbers_that_float32_cannot_hold_and_confidences_out_of_range_are_refused(
    field: dict[str, object], tmp_path: Path
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"frame": 0, "timestamp": 0.0, "action": {"steering": 0.0}, **field}))
    with pytest.raises(ValueError, match="line 1"):
        read_lines(path)


def test_rewards_that_are_too_large_once_added_up_are_refused() -> None:
    columns = Columns(np.zeros(4, bool), {}, reward=np.full(4, 3e38, np.float32))
    with pytest.raises(ValueError, match="larger than a number of 32 bits"):
        columns.spans(np.array([0, 2]), 4)
    with pytest.raises(ValueError, match="confidence of frame 0 is 5"):
        Columns.of_json({"first": [1], "controls": {}, "confidence": [5]}).check(1)
