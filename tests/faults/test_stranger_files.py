"""Special files and links to elsewhere are refused in one line, before anything blocks on them."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest

from racing_vpt.data.lines import read_lines
from racing_vpt.data.manifest import MANIFEST, read_manifest
from racing_vpt.data.recordings import find_recordings
from racing_vpt.data.shards import ShardStore
from racing_vpt.data.windows import find_videos, windows_of
from racing_vpt.exchange.contractor import read_contractor
from racing_vpt.files import read_json, require_regular, sha256_of
from racing_vpt.types import FrameSpec
from racing_vpt.video.decode import open_video
from racing_vpt.video.decoders import PictureFolder
from racing_vpt.video.encode import count_frames
from racing_vpt.video.examine import examine
from tests.faults.harness import note

READERS: dict[str, Callable[[Path], object]] = {
    "x.meta.json": read_json,
    "x.jsonl": read_lines,
    "c.jsonl": read_contractor,
    "x.mp4": sha256_of,
    "e.mp4": examine,
    "n.mp4": count_frames,
    "d.mp4": lambda path: open_video(path, "decord"),
    "000000.png": lambda path: PictureFolder(path.parent, 50.0),
    MANIFEST: lambda path: read_manifest(str(path.parent)),
}


@pytest.fixture(autouse=True)
def in_time() -> Iterator[None]:
    """A reader that blocks fails after ten seconds."""

    def late(number: int, frame: FrameType | None) -> None:
        raise TimeoutError("it waits")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(10)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("kind", ["FIFO", "device"])
def test_a_fifo_or_a_device_is_refused_wherever_a_file_is_read(kind: str, tmp_path: Path) -> None:
    for name, read in READERS.items():
        path = tmp_path / name
        os.mkfifo(path) if kind == "FIFO" else path.symlink_to("/dev/zero")
        with pytest.raises(ValueError, match=rf"is a {kind}, but a file was expected|is a link to /dev/zero"):
            read(path)
        path.unlink()
    note(f"a {kind} in place of a file", len(READERS), len(READERS))


def test_a_link_out_of_an_untrusted_folder_is_refused(tiny_recordings: Path, tiny_shards: Path, tmp_path: Path) -> None:
    private, shards = tmp_path / "private", Path(shutil.copytree(tiny_shards, tmp_path / "shards"))
    given = tmp_path / "given"
    (given / "pictures").mkdir(parents=True)
    private.mkdir()
    shutil.copy(tiny_recordings / "tiny-10000.mp4", private / "ride.mp4")
    (private / "0.png").write_bytes(b"")
    (given / "ride.mp4").symlink_to(private / "ride.mp4")
    (given / "pictures" / "0.png").symlink_to(private / "0.png")
    tar = next(shards.glob("train-*.tar"))
    shutil.move(tar, private / tar.name)
    tar.symlink_to(private / tar.name)
    readers: list[Callable[[], object]] = [
        lambda: find_recordings(given),
        lambda: PictureFolder(given / "pictures", 50.0),
        lambda: ShardStore(str(shards), "train"),
    ]
    for read in readers:
        with pytest.raises(ValueError, match=rf"is a link to {private}/.*, outside of"):
            read()
    (window,) = windows_of("ride", find_videos(str(given))["ride"], FrameSpec(32, 32))
    assert window.error is not None
    assert "is a link to" in window.error
    note("a link to a video, a picture or a shard elsewhere", len(readers) + 1, len(readers) + 1)
    (given / "ride.mp4").unlink()
    shutil.rmtree(given / "pictures")
    (given / "a.mp4").symlink_to(shutil.copy(private / "ride.mp4", given / "b.mp4"))  # within the folder
    (tmp_path / "link").symlink_to(given)  # whoever gives a link has chosen it
    assert len(find_recordings(tmp_path / "link")) == 2


@pytest.mark.parametrize("text", ["ffconcat version 1.0\nfile ride.mp4\n", "#EXTM3U\n#EXTINF:1,\nride.mp4\n"])
def test_a_list_of_videos_named_mp4_is_refused(text: str, tiny_recordings: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_recordings / "tiny-10000.mp4", tmp_path / "ride.mp4")
    path = tmp_path / "list.mp4"
    path.write_text(text)
    for read in (examine, count_frames, lambda path: open_video(path, "decord"), lambda path: open_video(path, "pyav"),
                 lambda path: open_video(path.read_bytes(), "decord")):  # fmt: skip
        with pytest.raises(ValueError, match=r"in no container of video|cannot be decoded|can be decoded|not a video"):
            read(path)
    require_regular(path)
