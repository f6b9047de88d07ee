"""Recordings of a window: pictures and keys agree, and nothing is lost whatever becomes of the window."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from racing_vpt.cli.main import main
from racing_vpt.data.recording import Recording
from racing_vpt.play import screen_recorder
from racing_vpt.screen.calibration_window import KEYS, TITLE, keys_shown
from racing_vpt.screen.display import open_display
from racing_vpt.screen.press import Presser
from racing_vpt.screen.windows import ScreenWindow, find_window
from racing_vpt.verbs.record import record

GAME = """
controls: {up: button, down: button, steering: {axis: [-1, 1], bins: 5}}
frames: {height: 24, width: 96, frames_per_second: 10}
keys: {up: [up], down: [down], steering: {less: [left], more: [right], step: 1}}
screen: {window: racing-vpt calib}
"""


@pytest.fixture
def game(tmp_path: Path) -> str:
    path = tmp_path / "mine.yaml"
    path.write_text(GAME)
    return str(path)


def while_recording(display: str, act: Callable[[ScreenWindow, Presser], None]) -> threading.Thread:
    """Act on the calibration window, from another thread, once a recording runs."""

    def run() -> None:
        connection = open_display(display)
        window = find_window(connection, TITLE)
        window.take_focus()
        with Presser(display, [*KEYS, "f9", "f10"]) as presser:
            time.sleep(0.5)
            act(window, presser)
            connection.sync()
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def tap(presser: Presser, *names: str, seconds: float = 0.15) -> None:
    presser.hold(names)
    time.sleep(seconds)
    presser.hold(())
    time.sleep(seconds)


def test_keys_and_pictures_of_a_recording_agree_and_the_keys_start_pause_and_end_it(
    display: str, calibration: subprocess.Popen, game: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setenv("DISPLAY", display)

    def act(_: ScreenWindow, presser: Presser) -> None:
        tap(presser, "f9")
        time.sleep(0.4)
        tap(presser, "up", "left", seconds=0.6)
        tap(presser, "f9")
        tap(presser, "down", seconds=0.4)  # while paused
        tap(presser, "f9")
        time.sleep(0.4)
        tap(presser, "f10")

    acting = while_recording(display, act)
    found = record(game, tmp_path / "out")
    acting.join()
    assert found.ended == "ended by f10"
    assert [path.name for path in found.paths] == ["mine-0001.mp4", "mine-0002.mp4"]
    first = Recording.open(found.paths[0])
    controls, video = first.controls(), first.open_video()
    shown = [keys_shown(frame) for frame in video.read(list(range(first.num_frames)))]
    assert 2 <= controls["up"].sum() < first.num_frames
    assert not controls["down"].any()
    assert not Recording.open(found.paths[1]).controls()["down"].any()
    late = set(first.meta["dropped_frames"])
    agree = [controls["up"][i] == ("up" in shown[i + 1]) for i in range(len(shown) - 1) if i + 1 not in late]
    assert agree.count(False) <= 2, (controls["up"], shown)  # at each of two changes by a frame at most
    assert set(controls["steering"][controls["up"] == 1]) <= {-1.0}
    assert (np.diff([record.timestamp for record in first.records()]) > 0).all()


def test_a_window_that_is_moved_resized_covered_and_closed_costs_no_frame_before(
    display: str, calibration: subprocess.Popen, game: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setenv("DISPLAY", display)

    def act(window: ScreenWindow, presser: Presser) -> None:
        connection, pause = window.display, 0.6
        for change in ({"x": 60}, {"width": 128, "height": 32}):
            window.window.configure(**change)
            connection.sync()
            time.sleep(pause)
        above = window.root.create_window(60, 20, 50, 50, 0, connection.screen().root_depth)
        above.set_wm_name("a clock")
        above.map()
        connection.sync()
        time.sleep(pause)
        above.destroy()
        connection.sync()
        time.sleep(pause)
        calibration.kill()

    acting = while_recording(display, act)
    found = record(game, tmp_path / "out", at_once=True)
    acting.join()
    assert found.ended == "ended because the window was closed"
    for note in ("the window was moved, and is followed", "the window was resized to 128x32",
                 "the window is covered by a clock", "the window is closed"):  # fmt: skip
        assert note in found.notes
    recordings = [Recording.open(path) for path in found.paths]
    assert sum(each.num_frames for each in recordings) == found.frames
    assert [each.meta["width"] for each in recordings] == [96, 128, 128]
    for each in recordings:
        each.check()


def test_a_disk_that_fills_ends_a_recording_that_is_whole(
    display: str, calibration: subprocess.Popen, game: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setenv("DISPLAY", display)
    usage = iter([1 << 40, 1 << 20])
    monkeypatch.setattr(screen_recorder.shutil, "disk_usage", lambda _: type("Usage", (), {"free": next(usage)}))
    found = record(game, tmp_path / "out", region="0,0,64,32", at_once=True, video_only=True)
    assert "is full: 256 MiB are left" in found.ended
    assert Recording.open(found.paths[0]).num_frames == found.frames
    assert not (tmp_path / "out" / "mine-0001.jsonl").exists()


@pytest.mark.parametrize(
    ("words", "environment", "said"),
    [
        ([], {"DISPLAY": "", "WAYLAND_DISPLAY": ""}, "no X display was found"),
        ([], {"DISPLAY": "", "WAYLAND_DISPLAY": "wayland-0"}, "Wayland lets no program"),
        ([], {"DISPLAY": ":9876"}, "the X display :9876 does not answer"),
        (["--window", "calibraton"], {}, "the nearest titles are 'racing-vpt calibration'"),
        (["--stop_key", "f99"], {}, "there is no key 'f99'; did you mean f9"),
        (["--stop_key", "left"], {}, "the key left drives in mine"),
        (["--region", "0,0,640,480"], {}, "leaves the screen, which is 320x240"),
        (["--region", "0,0,6"], {}, "expected LEFT,TOP,WIDTH,HEIGHT"),
    ],
)
def test_mistakes_are_answered_in_one_line(
    words: list[str], environment: dict[str, str], said: str, display: str, calibration: subprocess.Popen, game: str,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    for name, value in {"DISPLAY": display, **environment}.items():
        monkeypatch.setenv(name, value)
    assert main(["record", "--game", game, "--out", str(tmp_path / "out"), *words]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
    assert not list((tmp_path / "out").glob("*"))
