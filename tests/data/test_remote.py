"""Servers that stall, cut, send garbage or lose files: retries, errors and the cache."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import pytest
import torch

from racing_vpt.data.clip_datamodule import ClipDataModule, Loading
from racing_vpt.data.clip_source import Reading
from racing_vpt.data.overview import survey
from racing_vpt.data.remote import AT_A_TERMINAL, RangeCache, Remote, RemoteFiles, is_remote
from racing_vpt.types import FrameSpec
from racing_vpt.verbs.verify import verify
from tests.faults.harness import note, tries

QUICK = Remote(tries=4, seconds=0.5, wait=0.01)


class Unreliable(BaseHTTPRequestHandler):
    """Serves ranges of a folder; the first `bad` requests fail in the given way."""

    folder: Path
    fault: str = ""
    left: int = 0
    served: int = 0
    lock = threading.Lock()

    def do_GET(self) -> None:
        kind = type(self)
        path = self.folder / self.path.lstrip("/")
        if not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        span = self.headers.get("Range")
        if span:
            start, stop = span.removeprefix("bytes=").split("-")
            content = content[int(start) : int(stop) + 1]
        with kind.lock:
            kind.served += 1
            fault = kind.fault if kind.left and span else ""
            kind.left -= bool(fault)
        if fault == "refuses":
            self.send_error(503)
            return
        if fault == "stalls":
            time.sleep(1.5)
        self.send_response(206 if span else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if fault == "cuts":
            content = content[: len(content) // 2]
        if fault == "garbles":
            content = bytes(len(content))
        try:
            self.wfile.write(content)
        except OSError:
            return
        if fault == "cuts":
            self.connection.close()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tiny_shards: Path) -> Iterator[tuple[str, type[Unreliable]]]:
    """The tiny shards on a local server, and the class that determines its failures."""
    kind = type("Here", (Unreliable,), {"folder": tiny_shards})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as http:
        http.daemon_threads = True
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}", kind
        http.shutdown()


def data_of(path: str, remote: Remote = QUICK, workers: int = 0) -> ClipDataModule:
    reading, loading = Reading(frames=FrameSpec(), remote=remote), Loading(num_workers=workers)
    data = ClipDataModule(path, batch_size=2, clip_frames=40, reading=reading, loading=loading)
    data.setup("fit")
    return data


@pytest.mark.parametrize("fault", ["refuses", "stalls", "cuts", "garbles"])
def test_a_server_that_fails_for_a_while_gives_the_same_batches(
    fault: str, server: tuple[str, type[Unreliable]], tiny_shards: Path
) -> None:
    url, kind = server
    kind.fault, kind.left = fault, tries(12, 2)
    count = kind.left
    for one, other in zip(data_of(str(tiny_shards)).train_dataloader(), data_of(url).train_dataloader(), strict=True):
        assert one.ids == other.ids
        assert torch.equal(one.frames, other.frames)
    assert kind.left == 0
    note(f"a server that {fault}", count, count)


@pytest.mark.parametrize("fault", ["refuses", "cuts", "garbles"])
def test_a_server_that_fails_for_good_is_named(fault: str, server: tuple[str, type[Unreliable]]) -> None:
    url, kind = server
    kind.fault, kind.left = fault, 10**6
    with pytest.raises(
        ConnectionError, match=r"http://127\.0\.0\.1:\d+/train-\d+\.tar, bytes \d+ to \d+ .*tried 4 times"
    ):
        next(iter(data_of(url).train_dataloader()))
    assert kind.served < 40


def test_a_missing_file_is_not_requested_again(server: tuple[str, type[Unreliable]]) -> None:
    url, _ = server
    before = time.monotonic()
    with pytest.raises(FileNotFoundError, match=r"nowhere/manifest\.json.*racing-vpt pack"):
        data_of(f"{url}/nowhere", Remote(wait=60))
    assert time.monotonic() - before < 30


def test_a_verb_that_somebody_waits_for_gives_a_silent_server_up_within_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waited = AT_A_TERMINAL.tries * AT_A_TERMINAL.seconds + AT_A_TERMINAL.wait
    assert waited <= 60
    quick = replace(AT_A_TERMINAL, seconds=AT_A_TERMINAL.seconds / 100, wait=0.01)
    monkeypatch.setattr("racing_vpt.data.remote.AT_A_TERMINAL", quick)
    monkeypatch.setattr("racing_vpt.data.overview.AT_A_TERMINAL", quick)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/x"
        for look in (verify, survey):
            with pytest.raises(ConnectionError, match=r"manifest\.json could not be read: .*tried 2 times"):
                look(address)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_a_cache_spares_the_server_the_second_epoch_also_with_workers(
    server: tuple[str, type[Unreliable]], tmp_path: Path
) -> None:
    url, kind = server
    remote = Remote(tries=2, seconds=5, wait=0.01, cache=tmp_path / "cache")
    first = [batch.ids for batch in data_of(url, remote, workers=2).train_dataloader()]
    served = kind.served
    again = [batch.ids for batch in data_of(url, remote).train_dataloader()]
    assert first == again
    assert kind.served == served + 4  # the manifest, to open and to read, for training and for validation
    damaged = next((tmp_path / "cache").iterdir())
    damaged.write_bytes(bytes(damaged.stat().st_size))
    assert [batch.ids for batch in data_of(url, remote).train_dataloader()] == first


def test_a_cache_stays_below_its_size_and_keeps_what_was_used_last(tmp_path: Path) -> None:
    others = {"0" * 32: b"theirs", "0" * 32 + ".range": bytes(200_000), "notes.txt": b"theirs"}
    for name, content in others.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "below").mkdir()
    cache = RangeCache(tmp_path, 100_000)
    for number in range(300):
        cache.put("http://x", number, bytes([number % 256]) * 1000)
        assert cache.get("http://x", 0, 1000) is not None or number > 50
        kept = [file for file in tmp_path.iterdir() if file.name not in (*others, "below")]
        assert sum(file.stat().st_size for file in kept) <= 100_000
    assert cache.get("http://x", 299, 1000) == bytes([299 % 256]) * 1000
    assert cache.get("http://x", 100, 1000) is None
    assert {name: (tmp_path / name).read_bytes() for name in others} == others


def test_a_file_system_in_memory_serves_too(tiny_shards: Path) -> None:
    system = fsspec.filesystem("memory")
    for file in tiny_shards.iterdir():
        system.pipe(f"/here/{file.name}", file.read_bytes())
    assert len(list(data_of("memory://here").train_dataloader())) == len(
        list(data_of(str(tiny_shards)).train_dataloader())
    )


@pytest.mark.parametrize(
    "path", ["pipe:touch trace", "reference://x", "zip://a::http://b", "github://a:b@c/d", "data:,x"]
)
def test_addresses_that_could_run_or_unpack_something_are_refused(path: str, tmp_path: Path) -> None:
    with pytest.raises((ValueError, FileNotFoundError)):
        data_of(path)
    if not path.startswith("data:"):
        with pytest.raises(ValueError, match=r"would run a command|unsupported file system"):
            is_remote(path)
        with pytest.raises(ValueError, match=r"would run a command|unsupported file system"):
            RemoteFiles().read(path)
