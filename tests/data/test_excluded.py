"""Stretches that a person marked to leave out are not in shards, and no clip or window crosses their gap."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from racing_vpt.cli.main import main
from racing_vpt.data.columns import Columns
from racing_vpt.data.manifest import read_manifest
from racing_vpt.data.pairing import pair_recordings
from racing_vpt.data.shards import ShardStore
from racing_vpt.verbs.pack import pack

OUT = [("tiny-10001", 0, 10, "waiting"), ("tiny-10002", 30, 41, "menu"), ("tiny-10002", 35, 50, "still the menu")]


def marks(folder: Path, out: Path, stretches: list[tuple[str, int, int, str]] = OUT, **changed: object) -> Path:
    recordings = {episode.name: episode.recording for episode in pair_recordings(folder)}
    listed = [
        {
            "episode": name,
            "video_sha256": recordings[name].sha256 if name in recordings else "0" * 64,
            "num_frames": recordings[name].num_frames if name in recordings else 90,
            **{"start": start, "stop": stop, "why": why},
            **changed,
        }
        for name, start, stop, why in stretches
    ]
    out.write_text(json.dumps({"format": 1, "kind": "excluded", "stretches": listed}))
    return out


def packed(shards: Path) -> dict[str, tuple[Columns, np.ndarray]]:
    """Columns and the corner that encodes the frame's number, by episode."""
    found = {}
    for split in read_manifest(str(shards))["splits"]:
        store = ShardStore(str(shards), split)
        for episode in store.episodes:
            numbers = []
            for clip in episode.clips:
                video, offset = store.open(clip)
                numbers.append(video.read(np.arange(offset, offset + clip.frames))[:, 90, 72, 0])
            columns = Columns.join([store.columns(clip) for clip in episode.clips])
            found[episode.name] = columns, np.concatenate(numbers)
    return found


def test_excluded_frames_are_in_no_shard_and_no_clip_crosses_them(tiny_recordings: Path, tmp_path: Path) -> None:
    manifest = pack(tiny_recordings, tmp_path / "o", exclude=marks(tiny_recordings, tmp_path / "m.json"))
    found, whole = packed(tmp_path / "o"), {one.name: one.columns() for one in pair_recordings(tiny_recordings)}
    parts = {"tiny-10001-from0000010": (10, 90), "tiny-10002-from0000000": (0, 30), "tiny-10002-from0000050": (50, 70)}
    assert {*found} == {*whole} - {"tiny-10001", "tiny-10002"} | {*parts}
    for name, (start, stop) in parts.items():
        columns, numbers = found[name]
        source = whole[name.rsplit("-from", 1)[0]]
        assert np.array_equal(columns.controls["steering"], source.controls["steering"][start:stop])
        assert np.array_equal(columns.reward, source.reward[start:stop])  # type: ignore[arg-type, index]
        assert np.abs(numbers.astype(int) - 2 * np.arange(start, stop)).max() <= 4
        assert columns.first[0]
        assert not columns.first[1:].any()
        assert manifest["episodes"][name]["frames"] == [start, stop]
    split = {place[5]: shard["split"] for shard in manifest["shards"] for place in shard["samples"]}
    assert split["tiny-10002-from0000000"] == split["tiny-10002-from0000050"]
    assert [stretch["why"] for stretch in manifest["excluded"]] == ["waiting", "menu", "still the menu"]


def test_excluded_frames_stay_out_at_another_rate(tiny_recordings: Path, tmp_path: Path) -> None:
    file = marks(tiny_recordings, tmp_path / "m.json")
    pack(tiny_recordings, tmp_path / "o", exclude=file, frames_per_second=20)
    _, numbers = packed(tmp_path / "o")["tiny-10002-from0000050"]
    assert len(numbers) == 8
    assert numbers.min() >= 2 * 50 - 4


def test_a_recording_that_is_left_out_whole_is_told(tiny_recordings: Path, tmp_path: Path) -> None:
    file = marks(tiny_recordings, tmp_path / "m.json", [("tiny-10000", 0, 40, "crash")])
    manifest = pack(tiny_recordings, tmp_path / "o", exclude=file)
    assert manifest["skipped"] == {"tiny-10000": "all of its frames are left out by m.json"}
    assert "tiny-10000" not in manifest["episodes"]


@pytest.mark.parametrize(
    ("stretches", "changed", "told"),
    [
        (OUT, {"start": 60, "stop": 50}, "no part of a video"),
        (OUT, {"why": None}, "why is 'None'; a text"),
        (OUT, {"stop": True}, "a number of frames is expected"),
        (OUT, {"num_frames": 1000}, "counts 1000 frames"),
        ([("elsewhere", 0, 5, "")], {}, "none of the 6 recordings"),
    ],
)
def test_wrong_marks_are_one_line(
    stretches: list, changed: dict, told: str, tiny_recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    file = marks(tiny_recordings, tmp_path / "m.json", stretches, **changed)
    words = ["pack", "--recordings", str(tiny_recordings), "--out", str(tmp_path / "o"), "--exclude", str(file)]
    assert main(words) == 2
    error = capsys.readouterr().err.strip()
    assert told in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "o").exists()


def test_a_file_that_is_no_list_of_marks_is_named(tiny_recordings: Path, tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text('{"kind": "recording"}')
    with pytest.raises(ValueError, match="no list of marked stretches"):
        pack(tiny_recordings, tmp_path / "o", exclude=tmp_path / "m.json")
    with pytest.raises(FileNotFoundError, match="--html"):
        pack(tiny_recordings, tmp_path / "o", exclude=tmp_path / "none.json")
