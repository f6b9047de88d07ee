"""Every fault of a video is named, nothing hangs, and no frame is repeated in silence."""

from __future__ import annotations

import gc
import multiprocessing
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from racing_vpt.data.windows import PredictWindow, find_videos, windows_of
from racing_vpt.types import FrameSpec
from racing_vpt.video.decode import open_video
from racing_vpt.video.decode_process import DecodeProcess, examined, shared
from tests.faults import videos
from tests.faults.harness import FULL, note

SPEC = FrameSpec(height=24, width=32)

Make = Callable[[Path], Path]


def of(change: Callable[[Path, Path], Path], **options: str) -> Make:
    """What changes a whole video that is written first."""
    return lambda path: change(path, videos.write(path.with_name(f"whole{path.suffix}"), **options))  # type: ignore[arg-type]


def holding(content: bytes) -> Make:
    """A file of just this."""

    def make(path: Path) -> Path:
        path.write_bytes(content)
        return path

    return make


BAD: dict[str, tuple[str, Make, str]] = {
    "truncated mp4": ("mp4", of(lambda p, whole: videos.cut(p, whole, 0.6)), "no video that can be"),
    "truncated mkv": ("mkv", of(lambda p, whole: videos.cut(p, whole, 0.6)), "that it promises|cut"),
    "flipped bytes, mp4": ("mp4", of(videos.flipped), "damaged"),
    "flipped bytes, mkv": ("mkv", of(videos.flipped), "damaged|cut|decoded"),
    "zero length": ("mp4", holding(b""), "is empty"),
    "over-reported frame count": (
        "avi",
        of(lambda p, whole: videos.promising(p, whole, 99_999), codec="mpeg4"),
        "promis",
    ),
    "turned by 30 degrees": ("mp4", of(videos.rotated), "turned by -29 degrees"),
    "no video stream": ("mp4", holding(b"this is no video at all" * 40), "no video that can be"),
    "unknown codec": ("mkv", of(videos.unknown), "has a video stream of a codec that FFmpeg does not know"),
    "audio only": ("mp4", videos.write_sound, "has no video stream; it holds audio"),
}

TIMES = [0, *np.cumsum(np.random.default_rng(1).integers(8, 60, videos.LENGTH - 1)).tolist()]
GOOD: dict[str, tuple[str, Callable[[Path], Path], int]] = {
    "whole mp4": ("mp4", videos.write, videos.LENGTH),
    "whole mkv with sound": ("mkv", lambda p: videos.write(p, audio=True), videos.LENGTH),
    "variable frame rate": ("mkv", lambda p: videos.write(p, rate=1000, times=TIMES), videos.LENGTH),
    "odd sizes": ("mp4", lambda p: videos.write(p, height=37, width=63, pixels="yuv444p"), videos.LENGTH),
    "1 frame": ("mp4", lambda p: videos.write(p, frames=1), 1),
    "4K": ("mp4", lambda p: videos.write(p, frames=3, height=2160, width=3840), 3),
}


def labelled(windows: list[PredictWindow]) -> list[int]:
    """The source frames that windows label, in order."""
    return [int(frame) for window in windows for frame in window.source_frames]


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_video_is_named_with_its_fault(fault: str, tmp_path: Path) -> None:
    suffix, make, expected = BAD[fault]
    path = make(tmp_path / f"stranger.{suffix}")
    before = time.monotonic()
    with pytest.raises(ValueError, match=rf"stranger\.{suffix}.*({expected})"):
        examined(path)
    *_, last = windows_of("stranger", path, SPEC, 16, 8)
    survived = last.error is not None and "stranger" in last.error and time.monotonic() - before < 60
    note(f"video: {fault}", 1, int(survived))
    assert survived


@pytest.mark.parametrize("kind", GOOD)
def test_an_unusual_video_gives_each_of_its_frames_once(kind: str, tmp_path: Path) -> None:
    suffix, make, frames = GOOD[kind]
    path = make(tmp_path / f"unusual.{suffix}")
    assert examined(path)[0] == frames
    windows = list(windows_of("unusual", path, SPEC, 16, 8))
    survived = windows[-1].error is None and labelled(windows) == list(range(frames))
    note(f"video: {kind}", 1, int(survived))
    assert survived, windows[-1].error


def test_times_of_a_variable_rate_are_kept(tmp_path: Path) -> None:
    path = GOOD["variable frame rate"][1](tmp_path / "unusual.mkv")
    times = np.concatenate([window.source_timestamps for window in windows_of("unusual", path, SPEC, 16, 8)])
    assert np.abs(times - np.array(TIMES) / 1000).max() < 0.002


def test_a_decoder_that_dies_is_named_and_replaced(tmp_path: Path) -> None:
    path, process = videos.write(tmp_path / "evil.mp4"), DecodeProcess()
    try:
        list(process.ask("examine", path, decoder="pyav"))
        assert process._process is not None
        pid = process._process.pid
        os.kill(pid, signal.SIGSTOP)  # so that it dies with the question open: before it, another one would just answer
        threading.Timer(0.5, lambda: [os.kill(pid, each) for each in (signal.SIGSEGV, signal.SIGCONT)]).start()
        with pytest.raises(ValueError, match=r"evil\.mp4.*SIGSEGV"):
            list(process.ask("examine", path, decoder="pyav"))
        assert len(list(process.ask("examine", path, decoder="pyav"))) == 1
    finally:
        process.close()
    note("a decoder that crashes", 1, 1)


def test_a_decoder_that_was_stopped_for_a_while_has_not_hung(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, process = videos.write(tmp_path / "good.mp4"), DecodeProcess(seconds=0.5)
    try:
        list(process.ask("examine", path, decoder="pyav"))
        assert process._process is not None
        pid = process._process.pid
        os.kill(pid, signal.SIGSTOP)
        threading.Timer(1.5, os.kill, (pid, signal.SIGCONT)).start()
        assert len(list(process.ask("examine", path, decoder="pyav"))) == 1
        os.kill(pid, signal.SIGSTOP)  # for good: that, too, has an end
        monkeypatch.setattr("racing_vpt.video.silence.PATIENCE", 3)
        with pytest.raises(ValueError, match="kept the decoder busy"):
            list(process.ask("examine", path, decoder="pyav"))
    finally:
        process.close()
    note("a decoder that is stopped and continued; one that is not", 2, 2)


@pytest.mark.parametrize("hangs", ["while :; do :; done", "exec sleep 1000"])
def test_a_decoder_that_hangs_is_ended(hangs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header = b'{"kind": "ready", "arrays": []}\n'
    (tmp_path / "ready").write_bytes(len(header).to_bytes(4, "little") + header)
    program = tmp_path / "decoder"
    program.write_text(f"#!/bin/sh\ncat {tmp_path / 'ready'}\n{hangs}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    process = DecodeProcess(seconds=0.4)
    with pytest.raises(ValueError, match=r"evil\.mp4 kept the decoder busy for 0.4 s"):
        list(process.ask("examine", tmp_path / "evil.mp4", decoder="pyav"))
    assert process._process is None
    note("a decoder that hangs", 1, 1)


def test_a_caller_who_stops_half_way_does_not_get_the_rest_next_time(tmp_path: Path) -> None:
    path = videos.write(tmp_path / "a.mp4")
    next(iter(shared().ask("windows", path, spec=vars(SPEC), window=8, stride=4, decoder="pyav")))
    assert examined(path)[0] == videos.LENGTH


def test_a_pipe_that_is_called_a_video_is_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "endless.mp4")
    (window,) = windows_of("endless", find_videos(str(tmp_path))["endless"], FrameSpec(32, 32))
    assert window.error is not None
    assert "is a FIFO, but a file was expected" in window.error


@pytest.mark.skipif(not FULL, reason="three hours of video take a minute; make test-faults")
def test_three_hours_of_video_need_no_more_memory_than_three_minutes(tmp_path: Path) -> None:
    frames = 3 * 3600 * 10
    path = videos.write(tmp_path / "long.mp4", frames=frames, rate=10, height=32, width=32)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    spec = FrameSpec(height=16, width=16, frames_per_second=10.0)
    count = sum(len(window.source_frames) for window in windows_of("long", path, spec, 128, 64, "pyav"))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    note("video: 3 hours", 1, int(count == frames and grown < 200))
    assert count == frames
    assert grown < 200, f"{grown} MiB"


def read_in_a_forked_process(reader: Path) -> None:
    """Collect the parent's garbage, a decord reader among it, and end."""
    gc.collect()
    os._exit(0 if open_video(reader, "decord").num_frames else 1)


def test_a_forked_process_does_not_wait_for_threads_that_it_lacks(tiny_videos: Path) -> None:
    path = sorted(tiny_videos.glob("*.mp4"))[0]
    garbage: list[object] = [open_video(path, "decord")]
    time.sleep(0.3)  # until its thread waits
    garbage.append(garbage)
    gc.disable()
    try:
        del garbage
        child = multiprocessing.get_context("fork").Process(target=read_in_a_forked_process, args=(path,))
        child.start()
        child.join(20)
    finally:
        gc.enable()
    if child.is_alive():
        child.kill()
    assert child.exitcode == 0
