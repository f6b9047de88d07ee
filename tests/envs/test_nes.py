"""The NES and our own race for it: rewards, ends, states, ROMs that cannot be played, the ROM and its source."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from racing_vpt.agents.load import load_agent
from racing_vpt.agents.road_expert import RoadExpert
from racing_vpt.cli.main import main
from racing_vpt.data.recordings import find_recordings
from racing_vpt.envs.make import make_env
from racing_vpt.envs.nes import NesGame, check_rom
from racing_vpt.games.read import SHIPPED, fields_of, game_from, load_game
from tests.episodes import run_episode

ROM = SHIPPED / "nes_road" / "nes-road.nes"
REST = dict.fromkeys(("left", "right", "a", "b"), 0.0)
THROTTLE = {**REST, "a": 1.0}
SECONDS = 0x0308  # on the game's clock

pytest.importorskip("cynes", reason="the NES's emulator: pip install '.[nes]'")


@pytest.fixture(scope="module")
def env() -> NesGame:
    return make_env("nes:nes-road")  # type: ignore[misc]


def core(env: NesGame) -> NesGame:
    return env.unwrapped  # type: ignore[return-value]


def test_the_console_is_an_environment_of_gymnasium(env: NesGame) -> None:
    check_env(core(env), skip_render_check=True)
    assert env.metadata["render_fps"] == load_game("nes-road").frames.frames_per_second


def test_an_episode_is_a_function_of_seed_and_buttons(env: NesGame) -> None:
    def drive(seed: int) -> tuple[np.ndarray, float]:
        env.reset(seed=seed)
        steps = [env.step_controls({**THROTTLE, "left": float(i % 3 == 0)}) for i in range(30)]  # type: ignore[attr-defined]
        return steps[-1][0], sum(step[1] for step in steps)

    (one, metres), (again, same), (other, _) = drive(5), drive(5), drive(6)
    np.testing.assert_array_equal(one, again)
    assert metres == same > 8
    assert (one != other).any()


def test_a_saved_state_goes_on_as_it_would_have(env: NesGame) -> None:
    env.reset(seed=1)
    for _ in range(20):
        env.step_controls(THROTTLE)  # type: ignore[attr-defined]
    state = core(env).save_state()
    env.reset(options={"state": state})
    there = [env.step_controls(THROTTLE)[0] for _ in range(3)]  # type: ignore[attr-defined]
    env.reset(options={"state": state})
    for frame in there:
        np.testing.assert_array_equal(env.step_controls(THROTTLE)[0], frame)  # type: ignore[attr-defined]


def test_the_game_ends_with_its_time(env: NesGame) -> None:
    env.reset(seed=1)
    core(env).nes[SECONDS] = 1
    ends = [env.step_controls(REST)[2] for _ in range(32)]  # type: ignore[attr-defined]
    assert not ends[0]
    assert ends[-1]


def test_sticky_buttons_stay_held() -> None:
    game = load_game("nes-road")
    assert game.console is not None
    sticky = NesGame(replace(game, console=replace(game.console, sticky=0.999)), ROM)
    sticky.reset(seed=1)
    sticky.held = 0
    assert sum(sticky.step(sticky.to_action(THROTTLE))[1] for _ in range(30)) == 0


def test_buttons_of_another_scheme_are_refused(env: NesGame) -> None:
    with pytest.raises(ValueError, match=r"nes-road has the buttons left, right, a, b, but .*steering"):
        core(env).to_action({"steering": 0.0})
    with pytest.raises(ValueError, match="from 0 to 1"):
        core(env).to_action({**REST, "a": np.nan})
    with pytest.raises(ValueError, match="0 or 1 for each of up, down"):
        env.step(np.full(8, 2))


def test_a_rom_of_the_users_own_is_played(tmp_path: Path) -> None:
    mine = tmp_path / "mine.nes"
    shutil.copy(ROM, mine)
    env = make_env(load_game("nes").place(rom=mine))
    frame, _ = env.reset(seed=0)
    assert frame.shape == (240, 256, 3)
    assert env.metadata["render_fps"] == 60.0988
    (tmp_path / "mine.yaml").write_text("controls: {a: button}\nconsole: {rom: mine.nes, frame_skip: 4}\n")
    assert make_env(load_game(tmp_path / "mine.yaml").place()).game.control_names == ("a",)  # type: ignore[attr-defined]


def image(mapper: int, blocks: int = 1) -> bytes:
    return b"NES\x1a" + bytes([blocks, 0, (mapper & 15) << 4, mapper & 0xF0]) + bytes(8 + 16384)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"there is no ROM"),
        (b"hello", r"is no iNES image: it begins with b'hell'"),
        (image(5), r"needs mapper 5, which the emulator cynes lacks; it has 0 \(NROM\), 1"),
        (image(0, blocks=2), r"has 16400 bytes, but its header promises 32784; it is cut off"),
    ],
)
def test_what_is_no_rom_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    rom = tmp_path / "game.nes"
    if content is not None:
        rom.write_bytes(content)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        check_rom(rom)


def test_at_the_command_line_a_missing_rom_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def error(*words: str) -> str:
        assert main([*words, "--checkpoint=random"]) == 2
        return capsys.readouterr().err.splitlines()[-1]

    assert "the game nes comes without a ROM; give your own with --rom FILE.nes" in error("drive", "--game=nes")
    assert "there is no ROM" in error("drive", "--game=nes", f"--rom={tmp_path / 'none.nes'}")
    assert "carracing is none" in error("drive", "--game=carracing", f"--rom={ROM}")
    monkeypatch.setitem(sys.modules, "cynes", None)
    assert "pip install '.[nes]'" in error("drive", "--game=nes-road")


def test_a_console_in_a_game_file_is_checked() -> None:
    controls = {"a": "button"}
    for console, message in (
        ({"boot": [{"hold": ["stert"], "frames": 3}]}, "no button stert; did you mean start"),
        ({"reward": [{"address": 0x2000}]}, "between 0x0000 and 0x07FF"),
        ({"over": [{"address": 0x10}]}, "expected an address and values"),
        ({"frame_skip": 0}, "frame_skip must lie between 1 and 60"),
    ):
        with pytest.raises(ValueError, match=message):
            game_from({"controls": controls, "console": console}, "mine.yaml")
    game = load_game("nes-road")
    assert game_from(fields_of(game), "a checkpoint") == game


def test_the_driver_is_faster_than_chance_and_is_recorded(tmp_path: Path) -> None:
    fast = make_env(load_game("nes-road").place())
    driven = run_episode(fast, load_agent("road-expert"), 20_000, max_frames=110)
    assert driven.score > 80 > 5 * run_episode(fast, load_agent("random"), 20_000, max_frames=60).score
    with pytest.raises(ValueError, match="no style 'slow'; it has limit, calm, watched, varied, wild"):
        RoadExpert("slow")
    words = [
        "--game=nes-road",
        "--env=nes:nes-road",
        "--seeds=20000",
        "--max_frames=12",
        "--workers=1",
        f"--out={tmp_path / 'out'}",
    ]
    assert main(["collect", *words]) == 0
    (recording,) = find_recordings(tmp_path / "out")
    assert recording.meta["agent"] == "road-expert"
    assert recording.meta["environment"] == "nes:nes-road"
    assert recording.controls()["a"][0] == 1


@pytest.mark.skipif(shutil.which("cl65") is None, reason="compiling the game needs cc65: apt-get install cc65")
def test_the_rom_is_what_its_source_compiles_to(tmp_path: Path) -> None:
    folder = tmp_path / "nes_road"
    shutil.copytree(ROM.parent, folder)
    (folder / ROM.name).unlink()
    version = subprocess.run(["cl65", "--version"], capture_output=True, text=True, check=True)
    version = version.stdout + version.stderr
    if "2.19" not in version:  # Debian's says: V2.18 - Debian 2.19-1
        pytest.skip(f"the ROM was compiled with cc65 2.19, and here is {version.strip()}")
    subprocess.run(["make", "-s", "-C", str(folder)], check=True)
    assert (folder / ROM.name).read_bytes() == ROM.read_bytes()
