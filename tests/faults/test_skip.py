"""`--on_error skip` passes over whatever is wrong with one item; where nothing succeeds, that is an error."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from racing_vpt.cli.main import main
from racing_vpt.data.cut import ClipFormat
from racing_vpt.data.packing import Packing, pack_recordings
from racing_vpt.data.windows import find_videos, windows_of
from racing_vpt.types import FrameSpec
from racing_vpt.verbs.verify import verify
from racing_vpt.video.decode_process import DecodeProcess, DecoderStartError
from tests.callbacks.test_labels import predict, write_video
from tests.conftest import write_tiny_recording
from tests.faults.harness import note

LONG = "x" * 251  # a name that leaves no room for `.meta.json`


def changed_meta(folder: Path, **fields: object) -> None:
    write_tiny_recording(folder, 1, 20)
    path = folder / "tiny-10001.meta.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def huge_picture(folder: Path) -> None:
    """A folder of one PNG, whose header claims 40000x40000 pixels."""
    header = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + (40_000).to_bytes(4, "big") * 2 + b"\x08\x02\x00\x00\x00"
    (folder / "p").mkdir()
    (folder / "p" / "000000.png").write_bytes(header + bytes(64))
    (folder / "p" / "000001.png").write_bytes(header + bytes(64))
    write_tiny_recording(folder / "p", 1, 2)
    for name in ("tiny-10001.mp4", "tiny-10001.meta.json"):
        (folder / "p" / name).unlink()


BAD: dict[str, Callable[[Path], object]] = {
    "a meta file that is a FIFO": lambda folder: os.mkfifo(folder / "x.meta.json"),
    "a meta file that is torn": lambda folder: (folder / "x.meta.json").write_text('{"kind": "rec'),
    "a video that is none": lambda folder: (folder / "x.mp4").write_bytes(b"this is no video"),
    "more frames than there are": lambda folder: changed_meta(folder, num_frames=10**9),
    "a tiny frame rate": lambda folder: changed_meta(folder, frames_per_second=1e-300),
    "a picture of 40000x40000": huge_picture,
    "a video that is a folder": lambda folder: (folder / "x.mp4").mkdir() or changed_meta(folder, video="x.mp4"),
    "a name that is no text": lambda folder: (folder / os.fsdecode(b"caf\xe9.mp4")).write_bytes(b"no video"),
}


@pytest.mark.parametrize("kind", BAD)
def test_pack_passes_over_one_bad_recording_and_fails_where_all_are(kind: str, tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.mkdir()
    BAD[kind](given)
    how, form = Packing(val_fraction=0.0, on_error="skip"), ClipFormat(frames_per_second=50.0)
    with pytest.raises((ValueError, FileNotFoundError)):
        pack_recordings(given, tmp_path / "none", form, how)
    write_tiny_recording(given, 0, 20)
    manifest = pack_recordings(given, tmp_path / "out", form, how)
    survived = list(manifest["episodes"]) == ["tiny-10000"] and len(manifest["skipped"]) == 1
    note(f"pack --on_error skip beside {kind}", 1, int(survived))
    assert survived, manifest["skipped"]


def test_verify_goes_on_after_a_file_that_cannot_be_opened(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiny_recording(tmp_path, 0, 20)
    (tmp_path / "a.meta.json").write_text("torn")
    os.mkfifo(tmp_path / "b.meta.json")
    with pytest.raises(ValueError, match="2 of 3 recordings"):
        verify(str(tmp_path))
    assert "a.meta.json is not JSON" in capsys.readouterr().out


def test_predict_passes_over_what_cannot_be_written_or_read(tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    write_video(folder / "good.mp4", 5)
    shutil.copy(folder / "good.mp4", folder / f"{LONG}.mp4")
    (folder / os.fsdecode(b"caf\xe9.mp4")).write_bytes(b"this is no video")
    os.mkfifo(folder / "fifo.mp4")
    (folder / "gone.mp4").symlink_to("nowhere.mp4")
    writer = predict(folder, tmp_path / "labels", on_error="skip")
    assert writer.tally.done == 1
    assert len(writer.tally.failed) == 4
    note("predict --on_error skip beside a bad name, FIFO, dangling link", 4, 4)
    assert sorted(path.name for path in (tmp_path / "labels").iterdir()) == ["good.jsonl", "good.meta.json"]
    (folder / "good.mp4").unlink()
    with pytest.raises(ValueError, match="none of the 4 videos could be labelled"):
        predict(folder, tmp_path / "none", on_error="skip")


def test_a_name_that_is_no_text_can_be_printed(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.mp4")).write_bytes(b"this is no video")
    words = [sys.executable, "-m", "racing_vpt", "verify", str(tmp_path)]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    assert done.returncode == 2, done.stderr
    assert r"caf\udce9.mp4" in done.stderr


def test_a_machine_with_less_address_space_is_no_broken_video(tmp_path: Path) -> None:
    write_video(tmp_path / "good.mp4", 5)
    program = (
        "import resource\nresource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))\n"
        "from racing_vpt.video.decode_process import examined\nfrom pathlib import Path\n"
        f"print(examined(Path({str(tmp_path / 'good.mp4')!r}))[0])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "5\n", done.stderr


def test_a_decoder_that_cannot_start_stops_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "good.mp4", 5)
    monkeypatch.setattr("racing_vpt.data.windows.shared", DecodeProcess)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(DecoderStartError, match="cannot be started"):
        list(windows_of("good", find_videos(str(tmp_path))["good"], FrameSpec(32, 32)))


def test_a_mistake_in_all_is_said_without_skip_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.mp4").write_bytes(b"this is no video")
    words = ["pack", "--recordings", str(tmp_path), "--out", str(tmp_path / "out"), "--on_error", "skip"]
    assert main(words) == 2
    assert "none of the 1 recordings" in capsys.readouterr().err
