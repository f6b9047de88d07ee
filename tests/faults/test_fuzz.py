"""Files with random damage: only our own errors come out, each names its file, in bounded time and memory."""

from __future__ import annotations

import random
import resource
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from racing_vpt.data.label_files import read_labels, write_labels
from racing_vpt.data.lines import read_lines
from racing_vpt.data.manifest import MANIFEST
from racing_vpt.data.recording import Recording
from racing_vpt.data.shards import ShardStore
from racing_vpt.verbs.verify import verify
from racing_vpt.video.decode_process import examined
from tests.faults import videos
from tests.faults.harness import note, tries

LARGE = [b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff", b"NaN ", b"1e99", b"null", b"[[[["]
OURS = {ValueError, FileNotFoundError}  # not what JSON, Unicode or numpy raise, which are kinds of ValueError too


def mutated(content: bytes, dice: random.Random) -> bytes:
    """The content with one to eight changes: flipped bits, cuts, doubled and removed stretches, numbers made large."""
    changed = bytearray(content)
    for _ in range(dice.randint(1, 8)):
        if not changed:
            break
        at = dice.randrange(len(changed))
        kind = dice.randrange(7)
        if kind <= 1:
            changed[at] ^= 1 << dice.randrange(8)
        elif kind == 2:
            del changed[at:]
        elif kind == 3:
            changed[at:at] = changed[at : at + dice.randint(1, 200)]
        elif kind == 4:
            del changed[at : at + dice.randint(1, 200)]
        elif kind == 5:
            changed[at : at + 4] = dice.choice(LARGE)
        else:
            changed[at : at + 1] = bytes([dice.randrange(256)])
    return bytes(changed)


def read_shards(path: Path) -> None:
    """As training does: the manifest, each sample's JSON and each sample's first and last frame."""
    store = ShardStore(str(path.parent), "train")
    for episode in store.episodes:
        for clip in episode.clips:
            store.columns(clip)
            video, _ = store.open(clip)
            video.read([0, clip.frames - 1])


@pytest.fixture
def cases(tiny_recordings: Path, tiny_shards: Path, tmp_path: Path) -> dict[str, tuple[Path, Callable[[Path], object]]]:
    """By name: a file to damage, and what reads it."""
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    for file in tiny_recordings.glob("tiny-10000.*"):
        shutil.copy(file, recordings)
    shards = Path(shutil.copytree(tiny_shards, tmp_path / "shards"))
    records = read_lines(recordings / "tiny-10000.jsonl")
    write_labels(tmp_path / "labels" / "a.jsonl", records, {"checkpoint": "x", "video_sha256": "y"})
    (tmp_path / "videos").mkdir()
    lines, meta = recordings / "tiny-10000.jsonl", recordings / "tiny-10000.meta.json"
    return {
        "mp4": (videos.write(tmp_path / "videos" / "a.mp4", 30), examined),
        "mkv": (videos.write(tmp_path / "videos" / "a.mkv", 30), examined),
        "jsonl": (lines, read_lines),
        "meta": (meta, lambda path: Recording.open(path).records()),
        "labels": (tmp_path / "labels" / "a.meta.json", lambda path: read_labels(path.with_name("a.jsonl"))),
        "manifest": (shards / MANIFEST, read_shards),
        "shard": (next(shards.glob("train-*.tar")), read_shards),
    }


@pytest.mark.parametrize("kind", ["mp4", "mkv", "jsonl", "meta", "labels", "manifest", "shard"])
def test_damaged_files_raise_only_our_own_errors(
    kind: str, cases: dict[str, tuple[Path, Callable[[Path], object]]]
) -> None:
    path, read = cases[kind]
    whole, dice = path.read_bytes(), random.Random(7)
    read(path)
    count, refused, before = tries(120, 12), 0, time.monotonic()
    for number in range(count):
        path.write_bytes(mutated(whole, dice))
        error = None
        try:
            read(path)
        except Exception as raised:
            error = raised
        if error is not None:
            assert type(error) in OURS, f"{kind} {number}: {error!r}"
            assert path.name in str(error) or path.parent.name in str(error), (
                f"{kind} {number}: {error!r} names no file"
            )
            refused += 1
    seconds = time.monotonic() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    note(f"fuzzed {kind}: {refused} refused, the others read", count, count)
    assert refused > count // 4
    assert seconds < 2 * count, f"{seconds:.0f} s"
    assert peak < 4, f"{peak} GiB"


def test_a_tar_cut_at_every_block_is_never_read_as_whole(tiny_shards: Path, tmp_path: Path) -> None:
    shards = Path(shutil.copytree(tiny_shards, tmp_path / "shards"))
    path = sorted(shards.glob("train-*.tar"))[0]
    whole = path.read_bytes()
    step = 512 * tries(1, max(1, len(whole) // 512 // 12))
    cuts = range(0, len(whole), step)
    survived = 0
    for size in cuts:
        path.write_bytes(whole[:size])
        for read in (lambda: read_shards(path), lambda: verify(str(shards))):
            with pytest.raises(ValueError, match=rf"{path.name}|damaged"):
                read()
        survived += 1
    note("a tar cut at every 512 bytes", len(cuts), survived)
    path.write_bytes(whole)
    read_shards(path)
