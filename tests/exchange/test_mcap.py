"""OWAMcap files, read back by the mcap package; the real OWAMcap reader judges them in `judge_owamcap.py`."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from racing_vpt.cli.main import main
from racing_vpt.data.columns import Columns
from racing_vpt.data.recording import Recording, RecordingWriter
from racing_vpt.exchange.mcap_export import shown_at
from racing_vpt.exchange.owa_messages import SCHEMAS, TOPICS, devices_of
from racing_vpt.games.minecraft import BUTTONS, CAMERA
from racing_vpt.games.read import load_game
from racing_vpt.types import FrameRecord
from tests.conftest import write_tiny_recording

reader = pytest.importorskip("mcap.reader", reason="the extra [mcap] is not installed")
RATE = 50


def export(source: Path, out: Path, *words: str) -> None:
    assert main(["export", str(source), "--format", "mcap", "--out", str(out), *words]) == 0


def messages(path: Path) -> dict[str, list[tuple[int, dict]]]:
    """Time and content of the messages of a file, by topic."""
    found: dict[str, list[tuple[int, dict]]] = defaultdict(list)
    with path.open("rb") as file:
        for schema, channel, message in reader.make_reader(file).iter_messages():
            assert schema.name == TOPICS[channel.topic]
            assert json.loads(schema.data) == SCHEMAS[schema.name]
            found[channel.topic].append((message.log_time, json.loads(message.data)))
    return found


def test_every_frame_and_control_is_read_back(tmp_path: Path) -> None:
    write_tiny_recording(tmp_path / "in", 0, 24)
    for _ in range(2):
        export(tmp_path / "in", tmp_path / "out")
    before = Recording.open(tmp_path / "in" / "tiny-10000.mp4")
    columns = Columns.of_records(before.records())
    assert (tmp_path / "out/tiny-10000.mp4").read_bytes() == before.video.read_bytes()
    found = messages(tmp_path / "out/tiny-10000.mcap")
    screen = found["screen"]
    assert [now for now, _ in screen] == [round(index * 1e9 / RATE) for index in range(24)]
    assert [each["media_ref"] for _, each in screen] == [
        {"uri": "tiny-10000.mp4", "pts_ns": shown} for shown in shown_at(before.video)
    ]
    assert screen[0][1]["shape"] == [96, 96]
    told = [each for _, each in found["racing_vpt/controls"]]
    for name, column in columns.controls.items():
        np.testing.assert_array_equal(np.array([each["controls"][name] for each in told], np.float32), column)
    np.testing.assert_array_equal(np.array([each["reward"] for each in told], np.float32), columns.reward)
    assert [each["first"] for each in told] == columns.first.tolist()
    pad = [each["axes"] for _, each in found["gamepad/state"]]
    steering = np.array([axes["GAMEPAD_AXIS_LEFT_X"] for axes in pad], np.float32)
    np.testing.assert_array_equal(steering, columns.controls["steering"])
    with (tmp_path / "out/tiny-10000.mcap").open("rb") as file:
        read = reader.make_reader(file)
        assert read.get_header().profile == "owa"
        (about,) = [metadata.metadata for metadata in read.iter_metadata()]
    assert (about["seed"], about["agent"], about["name"]) == ("10000", "sine", "tiny-10000")


def test_a_key_is_pressed_once_and_released_as_the_game_file_says(tmp_path: Path) -> None:
    held = [0, 1, 1, 0, 0, 1]
    with RecordingWriter(tmp_path / "in", "keys", frames_per_second=2.0, meta={}) as writer:
        for index, pressed in enumerate(held):
            controls = {"left": float(pressed), "right": 0.0, "a": 1.0, "b": 0.0}
            writer.add(np.zeros((16, 16, 3), np.uint8), FrameRecord(index, index / 2, controls))
    export(tmp_path / "in", tmp_path / "out", "--game", "nes-road")
    found = messages(tmp_path / "out/keys.mcap")
    left, throttle = 0x25, ord("X")
    events = [(now // 10**6, each["event_type"], each["vk"]) for now, each in found["keyboard"]]
    assert events == [
        (0, "press", throttle),
        (500, "press", left),
        (1500, "release", left),
        (2500, "press", left),
    ]
    states = [(now // 10**9, each["buttons"]) for now, each in found["keyboard/state"]]
    assert states == [(0, [throttle]), (1, [left, throttle]), (2, [throttle])]
    assert "gamepad/state" not in found


def test_minecraft_is_played_by_keys_and_mouse() -> None:
    devices = devices_of([*BUTTONS, *CAMERA], load_game("minecraft"))
    assert (devices.keys["left"], devices.keys["forward"], devices.keys["hotbar.3"]) == (ord("A"), ord("W"), ord("3"))
    assert devices.keys["sneak"] == 0xA0
    assert {*devices.mouse} == {"attack", "use", *CAMERA}
    assert not devices.rest
    assert devices_of(["speed"], None).rest == ("speed",)


def test_the_mouse_turns_in_whole_units_and_its_buttons_change_once(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "in", "mouse", frames_per_second=20.0, meta={}) as writer:
        for index in range(4):
            rest = dict.fromkeys(BUTTONS, 0.0) | {"attack": float(index in (1, 2))}
            controls = rest | {"camera_pitch": -0.3 if index == 3 else 0.0, "camera_yaw": 1.5 if index == 1 else 0.0}
            writer.add(np.zeros((16, 16, 3), np.uint8), FrameRecord(index, index / 20, controls))
    export(tmp_path / "in", tmp_path / "out")
    moves = [each for _, each in messages(tmp_path / "out/mouse.mcap")["mouse/raw"]]
    assert [(each["last_x"], each["last_y"], each["button_flags"]) for each in moves] == [(10, 0, 1), (0, -2, 2)]
