"""Contractors' recordings, as the recorder leaves them, become recordings of ours. They are made here, in a meadow."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from racing_vpt.cli.main import main
from racing_vpt.data.clip_datamodule import ClipDataModule
from racing_vpt.data.clip_source import Reading
from racing_vpt.data.recording import Recording, RecordingWriter
from racing_vpt.data.shards import read_manifest
from racing_vpt.envs.make import MEADOW_ID, make_env
from racing_vpt.envs.minecraft import OTHER_KEYS
from racing_vpt.exchange.contractor import DEGREES, Quirks, draw_pointer, read_contractor
from racing_vpt.exchange.options import ContractorOptions
from racing_vpt.frames import prepare
from racing_vpt.games.minecraft import BUTTONS, CAMERA
from racing_vpt.games.read import load_game
from racing_vpt.types import FrameRecord, FrameSpec
from racing_vpt.verbs.import_data import import_data
from racing_vpt.video.encode import VideoWriter
from tests.cli.answers import said

REST = {**dict.fromkeys(BUTTONS, 0.0), **dict.fromkeys(CAMERA, 0.0)}
NAMES = {
    **{"forward": "w", "back": "s", "left": "a", "right": "d", "jump": "space", "sneak": "left.shift"},
    **{"sprint": "left.control", "drop": "q", "inventory": "e"},
    **{f"hotbar.{slot}": str(slot) for slot in range(1, 10)},
}
NUM_FRAMES = 40


def line(controls: dict[str, float], **fields: Any) -> dict[str, Any]:
    """What the recorder writes for controls by name; fields replace what it says of the mouse or of the game."""
    mouse = {
        "x": 640.0, "y": 360.0, "dx": controls["camera_yaw"] / DEGREES, "dy": controls["camera_pitch"] / DEGREES,
        "dwheel": 0.0, "buttons": [i for i, name in enumerate(("attack", "use")) if controls[name]], "newButtons": [],
    }  # fmt: skip
    keys = [f"key.keyboard.{key}" for name, key in NAMES.items() if controls[name]]
    mouse |= {name: fields.pop(name) for name in list(fields) if name in mouse}
    keys += fields.pop("keys", [])
    game = {"isGuiOpen": False, "isGuiInventory": False, "hotbar": 0, "yaw": 0.0, "pitch": 0.0, "tick": 1, "stats": {}}
    return {"mouse": mouse, "keyboard": {"keys": keys, "newKeys": [], "chars": ""}, **game, **fields}


def save(folder: Path, name: str, lines: list[dict], frames: list[np.ndarray], rate: float = 20.0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.jsonl").write_text("\n".join(json.dumps(one) for one in lines))
    writer = VideoWriter(folder / f"{name}.mp4", rate, *frames[0].shape[:2], crf=10)
    for frame in frames:
        writer.add(frame)
    writer.close()


def play(seed: int) -> tuple[list[dict[str, float]], list[np.ndarray]]:
    """Controls and pictures of a random player in the meadow, who does nothing in every third frame."""
    env: Any = make_env(MEADOW_ID)
    frame, _ = env.reset(seed=seed)
    random, played, frames = np.random.default_rng(seed), [], []
    for index in range(NUM_FRAMES):
        controls = dict(REST)
        if index % 3:
            for name in random.choice([name for name in BUTTONS if name != "inventory"], 3):
                controls[str(name)] = 1.0
            controls["camera_yaw"], controls["camera_pitch"] = (float(turn) for turn in random.normal(0, 3, 2))
        played.append(controls)
        frames.append(frame[::2, ::2].copy())
        frame = env.step_controls(controls)[0]
    return played, frames


@pytest.fixture(scope="module")
def contractors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("contractors")
    for seed in (1, 2):
        controls, frames = play(seed)
        save(folder, f"Player{seed}-1a2b-20220401-120000", [line(one) for one in controls], frames)
    return folder


def import_contractor(folder: Path, out: Path, on_error: Any = "raise", **options: Any) -> dict[str, int]:
    return import_data(folder, format="contractor", out=out, contractor=ContractorOptions(**options), on_error=on_error)


def understood(tmp_path: Path, *lines: dict, quirks: Quirks | None = None) -> list[dict[str, float]]:
    file = tmp_path / "lines.jsonl"
    file.write_text("\n".join(json.dumps(one) for one in lines))
    return [frame.controls for frame in read_contractor(file, quirks or Quirks())]


def pressed(controls: dict[str, float]) -> set[str]:
    return {name for name in BUTTONS if controls[name]}


def test_what_was_played_is_what_is_imported_and_packed(contractors: Path, tmp_path: Path) -> None:
    out = tmp_path / "recordings"
    assert main(["import", str(contractors), "--format", "contractor", "--out", str(out)]) == 0
    for seed in (1, 2):
        played, frames = play(seed)
        recording = Recording.open(out / f"Player{seed}-1a2b-20220401-120000.mp4")
        assert recording.frames_per_second == 20
        for record, controls in zip(recording.records(), played, strict=True):
            assert dict(record.action) == pytest.approx(controls)
        shown = recording.open_video().read(np.arange(NUM_FRAMES))
        assert np.abs(shown.astype(int) - np.stack(frames)).mean() < 3
        assert recording.meta["null_actions"] == 14
    size = ["--height", "128", "--width", "128", "--resize", "linear", "--val_fraction", "0.5"]
    assert main(["pack", "--recordings", str(out), "--out", str(tmp_path / "shards"), *size]) == 0
    assert read_manifest(str(tmp_path / "shards"))["splits"]["train"]["frames"] == NUM_FRAMES


def test_null_actions_can_be_dropped(contractors: Path, tmp_path: Path) -> None:
    counts = import_contractor(contractors, out=tmp_path, null_actions="drop")
    recording = Recording.open(next(tmp_path.glob("Player1*.mp4")))
    assert recording.num_frames == NUM_FRAMES - 14
    assert counts == {"done": 2, "passed_over": 0, "failed": 0, "frames": 2 * (NUM_FRAMES - 14)}
    played, frames = play(1)
    busy = [index for index, controls in enumerate(played) if controls != REST]
    shown = recording.open_video().read(np.arange(len(busy)))
    assert np.abs(shown.astype(int) - np.stack([frames[index] for index in busy])).mean() < 3
    nothing = load_game("minecraft").scheme().encode({name: torch.zeros(()) for name in (*BUTTONS, *CAMERA)})
    for record in recording.records():
        classes = load_game("minecraft").scheme().encode({name: torch.tensor(x) for name, x in record.action.items()})
        assert classes != nothing


def test_pictures_can_be_made_small_as_openai_does(contractors: Path, tmp_path: Path) -> None:
    import_contractor(contractors, out=tmp_path, height=128, width=128, crf=4)
    shown = Recording.open(next(tmp_path.glob("Player2*.mp4"))).open_video().read(np.arange(5))
    frames = prepare(np.stack(play(2)[1][:5]), FrameSpec(128, 128, resize="linear"))
    assert shown.shape == (5, 128, 128, 3)
    assert np.abs(shown.astype(int) - frames).mean() < 4


def test_what_is_done_is_passed_over_unless_the_options_change(contractors: Path, tmp_path: Path) -> None:
    assert import_contractor(contractors, out=tmp_path)["done"] == 2
    assert import_contractor(contractors, out=tmp_path)["passed_over"] == 2
    assert import_contractor(contractors, out=tmp_path, slot_keys=False)["done"] == 2


def test_a_mirrored_player_goes_and_turns_the_other_way(contractors: Path, tmp_path: Path) -> None:
    import_contractor(contractors, out=tmp_path, height=32, width=32)
    spec = FrameSpec(32, 32, frames_per_second=20.0)
    plain, turned = (
        next(
            iter(
                _opened(
                    ClipDataModule(
                        str(tmp_path), batch_size=2, clip_frames=16, mirror=mirror, reading=Reading(frames=spec)
                    )
                )
            )
        )
        for mirror in (0.0, 1.0)
    )
    assert torch.equal(turned.frames, plain.frames.flip(3))
    assert torch.equal(turned.controls["camera_yaw"], -plain.controls["camera_yaw"])
    for name, other in {"left": "right", "right": "left", "forward": "forward", "camera_pitch": "camera_pitch"}.items():
        assert torch.equal(turned.controls[name], plain.controls[other])
    assert not torch.equal(plain.controls["left"], plain.controls["right"])


def _opened(data: ClipDataModule) -> DataLoader:
    data.setup("fit")
    return data.train_dataloader()


def test_attack_that_is_stuck_from_the_start_counts_once_it_is_pressed_anew(tmp_path: Path) -> None:
    down = REST | {"attack": 1.0}
    lines = [line(down, newButtons=[0]), line(down), line(down | {"use": 1.0}, newButtons=[1])]
    lines += [line(down, newButtons=[0]), line(down)]
    assert ["attack" in pressed(one) for one in understood(tmp_path, *lines)] == [False, False, False, True, True]
    assert all(
        "attack" in pressed(one) for one in understood(tmp_path, *lines, quirks=Quirks(release_stuck_attack=False))
    )
    honest = [line(REST), line(down, newButtons=[0]), line(down)]
    assert ["attack" in pressed(one) for one in understood(tmp_path, *honest)] == [False, True, True]


def test_a_slot_chosen_by_the_scroll_wheel_presses_its_key(tmp_path: Path) -> None:
    lines = [line(REST, hotbar=slot) for slot in (3, 3, 5, 5, 0)]
    assert [pressed(one) for one in understood(tmp_path, *lines)] == [set(), set(), {"hotbar.6"}, set(), {"hotbar.1"}]
    assert not any(pressed(one) for one in understood(tmp_path, *lines, quirks=Quirks(slot_keys=False)))


def test_the_mouse_counts_in_other_units_in_the_guis_of_some_versions(tmp_path: Path) -> None:
    lines = [line(REST, dx=10.0, dy=-4.0), line(REST, dx=10.0, dy=-4.0, isGuiOpen=True)]
    for version, factor in ((None, 1.0), ("5.7", 0.5), ("6.8", 2.0), ("7.0", 1.0)):
        outside, inside = understood(tmp_path, *lines, quirks=Quirks(recorder_version=version))
        assert (outside["camera_yaw"], outside["camera_pitch"]) == pytest.approx((1.5, -0.6))  # OpenAI's loader: 1, 0
        assert (inside["camera_yaw"], inside["camera_pitch"]) == pytest.approx((1.5 * factor, -0.6 * factor))


def test_a_jump_of_the_pointer_is_no_turn_of_the_camera(tmp_path: Path) -> None:
    (jumped,) = understood(tmp_path, line(REST, dx=1300.0, dy=20.0))
    assert (jumped["camera_yaw"], jumped["camera_pitch"]) == (0, 0)


def test_escape_closes_a_gui_as_inventory_does(tmp_path: Path) -> None:
    escape = ["key.keyboard.escape", "key.keyboard.f", "key.keyboard.unknown"]
    inside, outside = understood(tmp_path, line(REST, keys=escape, isGuiOpen=True), line(REST, keys=escape))
    assert pressed(inside) == {"inventory"}
    assert pressed(outside) == set()
    assert not set(OTHER_KEYS) & inside.keys()


def test_the_pointer_is_drawn_where_a_gui_is_open(tmp_path: Path) -> None:
    grey = np.full((360, 640, 3), 100, np.uint8)
    lines = [line(REST), line(REST, isGuiOpen=True, x=400.0, y=200.0), line(REST, isGuiOpen=True, x=1275.0, y=716.0)]
    save(tmp_path / "raw", "gui", lines, [grey] * 3)
    import_contractor(tmp_path / "raw", out=tmp_path / "with", crf=1)
    import_contractor(tmp_path / "raw", out=tmp_path / "without", draw_pointer=False, crf=1)
    plain, inside, corner = Recording.open(tmp_path / "with" / "gui.mp4").open_video().read(np.arange(3)).astype(int)
    assert np.abs(plain - 100).max() < 5
    white = np.argwhere((inside > 200).all(-1))
    assert len(white) > 30
    assert (white >= (100, 200)).all()
    assert (white < (117, 212)).all()
    assert (corner[-2:, -3:] != 100).any()  # cut off at the edge, not lost
    left_out = Recording.open(tmp_path / "without" / "gui.mp4").open_video().read(np.arange(3)).astype(int)
    assert np.abs(left_out - 100).max() < 5
    before = grey.copy()
    draw_pointer(grey, (1e6, -5.0))
    np.testing.assert_array_equal(grey, before)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", r"lines\.jsonl, line 2: no line of a contractor's recording"),
        ('{"keyboard": {"keys": []}}', r"line 2: .*KeyError\('mouse'\)"),
        (json.dumps(line(REST, dx=float("inf"))), "line 2: .*finite"),
        (json.dumps(line(REST, hotbar=11)), "a slot of 0 to 8"),
        ('{"frame": 0, "timestamp": 0, "action": {}}', "KeyError"),
    ],
)
def test_lines_that_are_wrong_are_named(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    file.write_text(json.dumps(line(REST)) + "\n" + text + "\n")
    with pytest.raises(ValueError, match=said):
        read_contractor(file)


def test_files_that_do_not_belong_together_are_refused_or_passed_over(contractors: Path, tmp_path: Path) -> None:
    raw, frames = tmp_path / "raw", play(1)[1]
    save(raw, "half", [line(REST)] * 5, frames)
    with pytest.raises(ValueError, match=r"half\.mp4 has 40 frames, .*half\.jsonl has 5 lines"):
        import_contractor(raw, out=tmp_path / "out")
    save(raw, "fast", [line(REST)] * NUM_FRAMES, frames, rate=60.0)
    save(raw, "whole", [line(REST)] * (NUM_FRAMES - 3), frames)
    counts = import_contractor(raw, out=tmp_path / "out", on_error="skip")
    assert counts == {"done": 1, "passed_over": 0, "failed": 2, "frames": NUM_FRAMES - 3}
    assert sorted(path.name for path in (tmp_path / "out").glob("*.mp4")) == ["whole.mp4"]
    (raw / "fast.mp4").unlink()
    with pytest.raises(ValueError, match="nothing is done"):
        import_contractor(raw, out=tmp_path / "out", null_actions="drop", slack=50)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="holds no"):
        import_contractor(tmp_path / "empty", out=tmp_path / "other")
    with pytest.raises(ValueError, match="another"):
        import_contractor(contractors, out=contractors)
    with pytest.raises(ValueError, match="both sides or none"):
        import_contractor(contractors, out=tmp_path, height=128)
    with pytest.raises(ValueError, match=r"no version such as 6\.8"):
        import_contractor(contractors, out=tmp_path, recorder_version="new")


def test_a_damaged_video_is_refused_though_it_can_be_decoded(tmp_path: Path) -> None:
    save(tmp_path / "raw", "damaged", [line(REST)] * NUM_FRAMES, play(1)[1])
    video = tmp_path / "raw" / "damaged.mp4"
    content = bytearray(video.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 40] = bytes(40)
    video.write_bytes(content)
    with pytest.raises(ValueError, match=r"damaged\.mp4 is damaged near frame"):
        import_contractor(tmp_path / "raw", out=tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.mp4"))


def test_what_was_imported_goes_out_again_and_comes_back_with_every_pixel(contractors: Path, tmp_path: Path) -> None:
    one, out, two = tmp_path / "one", tmp_path / "out", tmp_path / "two"
    import_contractor(contractors, one)
    for _ in range(2):
        assert main(["export", str(one), "--format", "contractor", "--out", str(out)]) == 0
    import_contractor(out, two)
    for seed in (1, 2):
        name = f"Player{seed}-1a2b-20220401-120000"
        before, after = Recording.open(one / f"{name}.mp4"), Recording.open(two / f"{name}.mp4")
        assert before.sha256 == after.sha256  # the video is the contractor's own
        assert before.sha256 == hashlib.sha256((contractors / f"{name}.mp4").read_bytes()).hexdigest()
        for control, column in before.controls().items():
            np.testing.assert_array_equal(column, after.controls()[control])


def test_an_attack_from_the_first_frame_on_is_not_taken_for_a_stuck_one(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "in", "fell", frames_per_second=20.0, meta={}) as writer:
        for index in range(4):
            held = REST | {"attack": 1.0, "hotbar.4": float(index == 2), "hotbar.2": float(index == 3)}
            writer.add(np.zeros((16, 16, 3), np.uint8), FrameRecord(index, index / 20, held, reward=1.0))
    assert main(["export", str(tmp_path / "in"), "--format", "contractor", "--out", str(tmp_path / "out")]) == 0
    lines = [json.loads(line) for line in (tmp_path / "out/fell.jsonl").read_text().splitlines()]
    assert [line["hotbar"] for line in lines] == [0, 0, 3, 1]
    back = understood(tmp_path, *lines)
    assert [pressed(one) for one in back] == [{"attack"}, {"attack"}, {"attack", "hotbar.4"}, {"attack", "hotbar.2"}]


def test_recordings_that_are_not_minecrafts_are_refused(
    tiny_recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = said(capsys, "export", str(tiny_recordings), "--format", "contractor", "--out", str(tmp_path / "out"))
    assert "tiny-10000 has no attack: contractor recordings have Minecraft's 22 controls" in answer
    assert not list((tmp_path / "out").glob("*"))


def test_a_pointer_and_an_idle_stretch_are_told(contractors: Path, tmp_path: Path) -> None:
    lines = [line(REST, isGuiOpen=index < 3) for index in range(NUM_FRAMES)]
    save(tmp_path / "in", "idle", lines, play(1)[1])
    import_contractor(tmp_path / "in", tmp_path / "out")
    remarks = Recording.open(tmp_path / "out" / "idle.mp4").meta["remarks"]
    assert remarks == [
        "a pointer is drawn in 3 frames",
        "its video is encoded again, at crf 14",
        "100% of the frames have no control",
    ]
