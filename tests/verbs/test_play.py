"""`racing-vpt play`: films by key scripts, a window with real events, and errors."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from pathlib import Path

import pygame
import pytest
import torch

import racing_vpt
from racing_vpt.checkpoints.load import save_checkpoint
from racing_vpt.cli.main import main
from racing_vpt.data.recording import Recording
from racing_vpt.games.read import load_game
from racing_vpt.models.controller import Controller
from racing_vpt.play.key_script import parse_keys
from racing_vpt.play.panel import PANEL_WIDTH
from racing_vpt.verbs.drive import drive
from racing_vpt.video.decode import open_video
from racing_vpt.window.window import Keys

torch.set_num_threads(1)
FAST = "--env=racing_vpt/CarRacingFast-v3"


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A controller with random weights whose dreams go on."""
    torch.manual_seed(0)
    frames = asdict(replace(load_game("carracing").world_frames, stride=2))
    module, folder = Controller(frames=frames), tmp_path_factory.mktemp("controller")
    module.starts[:2, :32], module.num_starts[()] = torch.randn(2, 32), 2
    module.controller.data.normal_(0, 0.3)
    assert module.world.memory is not None
    assert module.world.memory.outcome is not None
    module.world.memory.outcome.bias.data[1] = -20
    save_checkpoint(folder, "racing_vpt.models.controller.Controller", {"frames": frames}, module.state_dict())
    return folder


@pytest.fixture
def nothing_to_look_at(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)


def test_a_script_gives_the_keys_of_each_frame() -> None:
    up, both = frozenset({"up"}), frozenset({"up", "left"})
    assert parse_keys("up*2 , up+left m", ["up", "left"]) == [
        Keys(up, ("up",)), Keys(up), Keys(both, (",", "up", "left")), Keys(pressed=("m",)),
    ]  # fmt: skip
    assert parse_keys("none*3", []) == [Keys()] * 3
    assert parse_keys("right_shift", ["right shift"]) == [Keys(frozenset({"right shift"}), ("right shift",))]


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("up*5 upp*3", "no key 'upp'.*'upp[*]3'.*up, left, none"),
        ("up*0", "'0' is not a number of frames"),
        ("up*-3", "not a number of frames"),
        (",*3", "stand alone"),
        ("left*999999999", "beyond 100000 frames"),
        ("", "empty"),
    ],
)
def test_a_script_with_unknown_keys_is_refused(script: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_keys(script, ["up", "left"])


@pytest.mark.usefixtures("nothing_to_look_at")
def test_a_film_of_driving_in_the_dream(controller: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, folder = tmp_path / "film.mp4", tmp_path / "kept"
    words = [
        "--world_model",
        "--header",
        f"--out={out}",
        f"--recordings={folder}",
        "--keys",
        "up*4 , left*3 up+left*2 , m none",
    ]
    assert main(["play", str(controller), *words]) == 0
    film, seen = open_video(out), Recording.open(folder / "dream-0001.mp4")
    assert film.num_frames == 10
    assert film.frames_per_second == pytest.approx(25)
    assert seen.num_frames == 5
    assert seen.meta["by_hand"] == [[0, 5]]
    assert seen.meta["dream"] == {"world_model": str(controller), "tau": 1.0}
    last = {name: float(values[-1]) for name, values in seen.controls().items()}
    assert last == pytest.approx({"steering": -0.6, "throttle": 1, "brake": 0, "gear_change": 0})  # two frames a step
    assert f"view {folder / 'dream-0001.mp4'}" in capsys.readouterr().out


@pytest.mark.usefixtures("nothing_to_look_at")
def test_films_of_the_agent(controller: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plain, wide = Path("plain.mp4"), Path("wide.mp4")
    keys = ["--keys", "none*6 m up*2"]
    assert main(["play", str(controller), FAST, f"--out={plain}", *keys]) == 0
    assert main(["play", str(controller), FAST, f"--out={wide}", *keys, "--reconstruction"]) == 0
    one, three = open_video(plain), open_video(wide)
    assert one.num_frames == three.num_frames == 8
    assert one.frames_per_second == pytest.approx(50)
    assert one.width == 600 + PANEL_WIDTH  # the environment's own picture
    assert three.width == 3 * (3 * 96) + 2 * 4 + PANEL_WIDTH  # so that it fits a screen
    dreamt = Path("dreamt.mp4")
    words = ["--agent_in_world_model", "--keys", ", none*3", f"--out={dreamt}"]
    assert main(["play", str(controller), *words]) == 0
    recorded = Path("runs/play") / controller.name / "media" / "recordings" / "dream-0001.mp4"
    assert Recording.open(recorded).meta["by_hand"] == []
    assert Recording.open(recorded).meta["agent"] == str(controller)
    again = Path("again.mp4")
    assert main(["play", str(controller), "--episodes", f"--out={again}"]) == 0
    assert open_video(again).num_frames == 3


@pytest.mark.usefixtures("nothing_to_look_at")
def test_unplayable_checkpoints_are_refused(
    controller: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, keys = f"--out={tmp_path / 'no.mp4'}", ["--keys", "up*3"]
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints" / ".tmp-last.ckpt").write_bytes(b"PK half of it")
    cases = [
        ([str(controller)], "--out FILM.mp4"),
        ([str(tmp_path / "nowhere")], "does not exist"),  # no matter of the display
        (["keyboard", out, "--world_model"], "no checkpoint"),
        ([str(controller), out, "--keys", "up*3 jump"], "no key 'jump'"),
        ([str(controller), *keys], "give --out"),
        ([str(controller), out, "--world_model"], "nobody drives"),
        ([str(controller), out, "--world_model", "--episodes"], "only one of them"),
        ([str(controller), out, *keys, "--world_model", "--reconstruction"], "no true frames"),
        ([str(controller), out, *keys, "--world_model", "--tau=-1"], "--tau must be at least 0"),
        (["zoo:vpt-carracing", out, *keys, "--world_model"], "is a VPT, which has no world model"),
        (["zoo:idm-carracing", out, *keys], "does not drive"),
        ([str(run), out, *keys], "is saving its first: wait"),
        ([str(run), out, "--episodes"], "no recording or film"),
        ([str(tmp_path / "nowhere"), out], "does not exist"),
        (["zoo:vpt-carracing", out, *keys, "--game=enduro"], "for the game carracing, but --game enduro"),
        (["keyboard", out, *keys, "--game=nes"], "the game nes comes without a ROM"),
    ]
    for words, said in cases:
        assert main(["play", *words]) == 2, words
        assert said in capsys.readouterr().err
    assert not (tmp_path / "no.mp4").exists()


def test_a_window_is_played_in(controller: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    pygame.display.init()
    for key in (pygame.K_UP, pygame.K_COMMA, pygame.K_ESCAPE):
        pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=key))
    assert main(["play", str(controller), "--world_model", f"--recordings={tmp_path}"]) == 0
    assert not pygame.display.get_init()
    assert not list(tmp_path.glob("*.mp4"))  # it began in the frame that escape ended
    assert not list(tmp_path.glob(".tmp-*"))
    assert os.environ["SDL_VIDEODRIVER"] == "dummy"


def test_a_person_drives_alone(tmp_path: Path) -> None:
    out = tmp_path / "film.mp4"
    words = [FAST, f"--out={out}", f"--recordings={tmp_path}", "--keys", ", up*4 up+left*2"]
    assert main(["play", "keyboard", *words]) == 0
    recording = Recording.open(tmp_path / "drive-0001.mp4")
    assert (recording.num_frames, recording.meta["agent"]) == (6, "keyboard")


def test_a_person_drives_by_the_keys_of_a_game_file(tmp_path: Path) -> None:
    path, out = tmp_path / "mine.yaml", tmp_path / "film.mp4"
    text = (Path(racing_vpt.__file__).parent / "games" / "carracing.yaml").read_text()
    path.write_text("name: carracing\n" + text.replace("throttle: [up, w]", "throttle: [i]").replace("0.06", "0.2"))
    words = [f"--game={path}", FAST, f"--out={out}", f"--recordings={tmp_path}", "--keys", ", i*2 left*2"]
    assert main(["play", "keyboard", *words]) == 0
    records = Recording.open(tmp_path / "drive-0001.mp4").records()
    assert [record.action["throttle"] for record in records] == [1, 1, 0, 0]
    assert records[-1].action["steering"] == pytest.approx(-0.4)


def test_an_agent_scores_the_same_in_a_window(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    film = tmp_path / "film.mp4"
    options = {"env": FAST.removeprefix("--env="), "seeds": "1000-1001", "max_frames": 12, "workers": 1, "batch": 1}
    shown = drive("brownian", render="human", video=film, **options)  # type: ignore[arg-type]
    assert shown == replace(drive("brownian", **options), frames_per_second=shown.frames_per_second)  # type: ignore
    assert open_video(film).num_frames == 12
    assert f"film {film}" in capsys.readouterr().out
    assert not pygame.display.get_init()
