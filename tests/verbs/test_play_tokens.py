"""`racing-vpt play` with world models over tokens: driving, reconstruction, and refused combinations."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from building import build
from lightning.pytorch import LightningModule

from racing_vpt.checkpoints.load import load_module, save_checkpoint
from racing_vpt.cli.main import main
from racing_vpt.data.recording import Recording
from racing_vpt.games.atari import JOYSTICK
from racing_vpt.games.read import load_game
from racing_vpt.models.token_world import TokenWorld
from racing_vpt.models.tokenizer import Tokenizer
from racing_vpt.play.course import DreamCourse
from racing_vpt.play.models import imagination_of
from racing_vpt.play.player import Player, PlayerOptions
from racing_vpt.video.decode import open_video
from racing_vpt.window.window import Keys

torch.set_num_threads(1)
FAST = "--env=racing_vpt/CarRacingFast-v3"
CAR = asdict(replace(load_game("carracing").world_frames, stride=3))
SCREEN = asdict(replace(load_game("carracing").world_frames, crop_bottom=0.0, frames_per_second=15.0, stride=1))
SMALL = {"layers": 1, "width": 16, "heads": 1, "window": 3, "dropout": 0.0}


def kept(folder: Path, kind: type[LightningModule], words: dict) -> Path:
    """A checkpoint with random weights; its dreams have starts and never end."""
    torch.manual_seed(0)
    module = build(kind, words)
    world = getattr(module, "world", module)
    if isinstance(world, TokenWorld):
        world.start_tokens.random_(0, 512)
        world.num_starts[()] = 2
        world.net.end[-1].bias.data.fill_(-20)
    save_checkpoint(folder, f"{kind.__module__}.{kind.__name__}", words, module.state_dict())
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny checkpoints: a tokenizer and a world of CarRacing, and worlds of two of Atari's games."""
    folder = tmp_path_factory.mktemp("tokens")
    small = {"world": {"size": SMALL}, "tokenizer": {"size": "tiny"}}
    kept(
        folder / "eye",
        Tokenizer,
        {"frames": CAR, "tokenizer": {"size": "tiny"}, "reconstruction": {"perceptual": None}},
    )
    kept(folder / "world", TokenWorld, {"frames": CAR, **small})
    for game in ("enduro", "breakout"):
        words = {"frames": SCREEN, **small, "game": game}
        words["world"] = {"size": SMALL, "actions": "discrete"}
        kept(folder / game, TokenWorld, words)
    return folder


@pytest.fixture(autouse=True)
def nothing_to_look_at(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)


def test_a_world_of_tokens_is_driven_in_by_keys(runs: Path, tmp_path: Path) -> None:
    out, keys = tmp_path / "film.mp4", ["--keys", ", up*4 left*3 up+left*2 ,"]
    words = ["--world_model", "--header", f"--out={out}", f"--recordings={tmp_path}"]
    assert main(["play", str(runs / "world"), *words, *keys]) == 0
    film, seen = open_video(out), Recording.open(tmp_path / "dream-0001.mp4")
    assert film.num_frames == seen.num_frames + 1 == 10
    assert film.frames_per_second == pytest.approx(50 / 3, rel=1e-3)
    assert seen.frames_per_second == pytest.approx(50 / 3)
    assert (seen.meta["height"], seen.meta["width"]) == (64, 64)
    assert seen.meta["by_hand"] == [[0, 9]]
    last = [float(seen.controls()[name][-1]) for name in ("steering", "throttle", "brake")]
    assert last == pytest.approx([-0.9, 1, 0])  # three frames a step


def test_its_cache_slides_and_is_never_cleared(runs: Path, tmp_path: Path) -> None:
    imagination = imagination_of(load_module(str(runs / "world")), "it", 1.0)
    player = Player(DreamCourse(imagination, "it"), "it", tmp_path, PlayerOptions(by_hand=True))
    for _ in range(12):  # four windows
        player.step(Keys(frozenset({"up"})))
    assert imagination.state.flushes == 0
    assert imagination.state.memory.length > 3 * imagination.state.memory.size
    assert player.course.age == 12


def test_a_game_of_buttons_is_played_by_keys(runs: Path, tmp_path: Path) -> None:
    out, keys = tmp_path / "film.mp4", ["--keys", ", left*2 space right+space up+down*2 ,"]
    assert (
        main(["play", str(runs / "breakout"), "--world_model", f"--out={out}", f"--recordings={tmp_path}", *keys]) == 0
    )
    seen = Recording.open(tmp_path / "dream-0001.mp4")
    held = [[name for name, value in record.action.items() if value] for record in seen.records()]
    assert tuple(seen.controls()) == JOYSTICK
    assert held == [["left"], ["left"], ["fire"], ["right", "fire"], [], []]
    assert open_video(out).frames_per_second == seen.frames_per_second == pytest.approx(15)


@pytest.mark.parametrize("name", ["eye", "world"])
def test_a_model_without_an_agent_reconstructs_while_a_person_drives(runs: Path, name: str, tmp_path: Path) -> None:
    out = tmp_path / "film.mp4"
    words = [FAST, "--reconstruction", f"--out={out}", f"--recordings={tmp_path}", "--keys", ", up*3 m ,"]
    assert main(["play", str(runs / name), *words]) == 0
    assert open_video(out).width > 3 * 3 * 96
    assert Recording.open(tmp_path / "drive-0001.mp4").meta["agent"] == "keyboard"


def test_a_game_is_shown_in_its_own_proportions(runs: Path, tmp_path: Path) -> None:
    pytest.importorskip("ale_py", reason="Atari's games come with ale-py: pip install '.[atari]'")
    out = tmp_path / "film.mp4"
    words = ["--reconstruction", f"--out={out}", f"--recordings={tmp_path}", "--scale=2", "--keys", ", space*3 ,"]
    assert main(["play", str(runs / "breakout"), *words]) == 0  # in the game that it is of
    seen = Recording.open(tmp_path / "drive-0001.mp4").meta
    assert (seen["environment"], seen["height"], seen["width"]) == ("ALE/Breakout-v5", 210, 160)
    film = open_video(out)
    assert film.frames_per_second == pytest.approx(15)
    last = film.read([3])[0]
    below = last[-30:, 330:640]  # captions would stand here, were the pictures lower than the frame
    assert below.std() > 1


def test_what_does_not_fit_is_refused(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, keys = f"--out={tmp_path / 'no.mp4'}", ["--keys", "up*3"]
    writing = tmp_path / "run" / "checkpoints"
    writing.mkdir(parents=True)
    (writing / ".tmp-last.ckpt").write_bytes(b"PK half of it")
    other = kept(
        tmp_path / "other", TokenWorld, {"frames": CAR, "world": {"size": SMALL}, "tokenizer": {"size": "tiny"}}
    )
    (other / "model.safetensors").write_bytes(b"torn")
    cases = [
        (["world", *keys], "does not drive; see what it makes of your driving with --reconstruction"),
        (["eye", *keys, "--world_model"], "is a Tokenizer, which has no world model"),
        (["eye", "--reconstruction"], "nobody drives"),
        (["world", *keys, "--agent_in_world_model"], "without an agent"),
        (["breakout", "--world_model", "--keys", "up*2 fire*3"], "no key 'fire'"),
        (["breakout", *keys, "--reconstruction", FAST], "15 frames/s, but racing_vpt/CarRacingFast-v3 has 50"),
        ([str(writing.parent), *keys, "--world_model"], "is saving its first: wait"),
        ([str(other), *keys, "--world_model"], "other"),
    ]
    if _has_atari():
        cases += [
            (["eye", *keys, "--reconstruction", "--env=ALE/Enduro-v5"], "50 frames/s, but ALE/Enduro-v5 has 15"),
            (["enduro", *keys, "--reconstruction", "--env=ALE/Breakout-v5"], "ALE/Breakout-v5 is another game"),
            (["zoo:vpt-carracing", *keys, "--env=ALE/Breakout-v5"], "takes those of breakout"),
        ]
    for (name, *words), said in cases:
        there = str(runs / name) if (runs / name).is_dir() else name
        assert main(["play", there, out, *words]) == 2, words
        assert said in capsys.readouterr().err
    assert not (tmp_path / "no.mp4").exists()


def _has_atari() -> bool:
    import importlib.util

    return importlib.util.find_spec("ale_py") is not None
