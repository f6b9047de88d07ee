"""Atari's games: joystick control, whole games or lives, and the error without ale-py."""

from __future__ import annotations

import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from racing_vpt.agents.load import load_agent
from racing_vpt.cli.main import main
from racing_vpt.data.recordings import find_recordings
from racing_vpt.envs.make import make_env
from racing_vpt.games.atari import JOYSTICK, POSITIONS, held_in, position_of
from racing_vpt.games.read import load_game
from tests.episodes import run_episode

REST = dict.fromkeys(JOYSTICK, 0.0)
FIRE = {**REST, "fire": 1.0}


def held(*names: str) -> dict[str, float]:
    return {**REST, **dict.fromkeys(names, 1.0)}


def test_a_position_is_a_set_of_held_buttons() -> None:
    assert [position_of(dict(zip(JOYSTICK, row, strict=True))) for row in map(held_in, POSITIONS)] == [*range(18)]
    assert POSITIONS[position_of(held("left", "fire"))] == "LEFTFIRE"
    assert POSITIONS[position_of(held("left", "right", "up"))] == "UP"
    with pytest.raises(ValueError, match=r"up, down, left, right, fire.*steering"):
        position_of({"steering": 0.0})
    for wrong in (np.nan, 2.0):
        with pytest.raises(ValueError, match="from 0 to 1"):
            position_of({**REST, "fire": wrong})


MINIMAL = {  # the minimal action sets of the Arcade Learning Environment
    "enduro": ("NOOP", "FIRE", "RIGHT", "LEFT", "DOWN", "DOWNRIGHT", "DOWNLEFT", "RIGHTFIRE", "LEFTFIRE"),
    "breakout": ("NOOP", "FIRE", "RIGHT", "LEFT"),
}


@pytest.mark.parametrize("name", ["atari", "enduro", "breakout"])
def test_schemes_are_choices_among_positions(name: str) -> None:
    scheme = load_game(name).scheme()
    assert scheme.controls == JOYSTICK
    rows = [held_in(position) for position in MINIMAL.get(name, POSITIONS)]
    assert scheme.num_classes == {"action": len(rows)}
    assert scheme.heads["action"].table.tolist() == [list(row) for row in rows]


def test_without_ale_py_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ale_py", None)
    words = ["--env=ALE/Enduro-v5", f"--out={tmp_path / 'out'}", "--agents=[{agent: random}]"]
    for verb in (["collect", *words], ["drive", "--checkpoint=random", words[0]]):
        assert main(verb) == 2
        assert "pip install '.[atari]'" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


@pytest.fixture
def ale() -> None:
    pytest.importorskip("ale_py", reason="Atari's games come with ale-py: pip install '.[atari]'")


@pytest.mark.usefixtures("ale")
@pytest.mark.parametrize("game", MINIMAL)
def test_the_joystick_plays_as_the_games_own_actions(game: str) -> None:
    ours, plain = make_env(f"ALE/{game.title()}-v5"), gymnasium.make(f"ALE/{game.title()}-v5")
    assert tuple(plain.unwrapped.get_action_meanings()) == MINIMAL[game]  # type: ignore[attr-defined]
    assert tuple(ours.unwrapped.get_action_meanings()) == POSITIONS  # type: ignore[attr-defined]
    assert plain.spec is not None
    assert plain.spec.kwargs["repeat_action_probability"] == 0.25
    assert ours.metadata["render_fps"] == 15
    random, rows = np.random.default_rng(0), [held_in(position) for position in MINIMAL[game]]
    np.testing.assert_array_equal(ours.reset(seed=7)[0], plain.reset(seed=7)[0])
    for _ in range(60):
        number = int(random.integers(len(rows)))
        there = plain.step(number)
        here = ours.step_controls(dict(zip(JOYSTICK, rows[number], strict=True)))  # type: ignore[attr-defined]
        np.testing.assert_array_equal(here[0], there[0])
        assert here[1:4] == there[1:4]
    assert here[0].shape == (210, 160, 3)


@pytest.mark.usefixtures("ale")
def test_a_life_ends_an_episode_of_training_and_the_game_goes_on() -> None:
    whole = make_env("ALE/Breakout-v5")
    lives = make_env("ALE/Breakout-v5", end_on_life_loss=True)
    whole.reset(seed=3)
    lives.reset(seed=3)
    while True:  # the ball is lost over and over
        played = lives.step_controls(FIRE)  # type: ignore[attr-defined]
        same = whole.step_controls(FIRE)  # type: ignore[attr-defined]
        np.testing.assert_array_equal(played[0], same[0])
        if played[2]:
            break
    assert not same[2], "the game is not over"
    assert played[4]["lives"] == 4
    assert lives.reset()[1]["lives"] == 4
    assert not lives.step_controls(FIRE)[2]  # type: ignore[attr-defined]
    assert lives.reset(seed=3)[1]["lives"] == 5


@pytest.mark.usefixtures("ale")
def test_chance_plays_the_same_game_again() -> None:
    env, agent = make_env("ALE/Breakout-v5"), load_agent("random")
    results = [run_episode(env, agent, seed, max_frames=40) for seed in (5, 6, 5)]
    assert results[0] == results[2]
    seen = {tuple(agent.act(np.zeros((210, 160, 3), np.uint8)).values()) for _ in range(100)}
    assert seen == set(map(held_in, MINIMAL["breakout"]))


@pytest.mark.usefixtures("ale")
def test_a_game_is_cut_off_after_so_many_frames() -> None:
    env = make_env("ALE/Enduro-v5", max_episode_steps=3)
    env.reset(seed=1)
    assert [env.step_controls(REST)[3] for _ in range(3)] == [False, False, True]  # type: ignore[attr-defined]


@pytest.mark.usefixtures("ale")
def test_options_that_atari_lacks_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for wrong, said in (
        ({"id": "ALE/Endro-v5"}, "it has ALE/Enduro-v5"),
        ({"id": "ALE/Enduro-v5", "frame_skip": 2}, "no options"),
        ({"id": "ALE/Enduro-v5", "render_mode": "state_pixels"}, "human or rgb_array"),
        ({"id": "CarRacing-v3", "end_on_life_loss": True}, "has no lives"),
    ):
        with pytest.raises(ValueError, match=said):
            make_env(**wrong)  # type: ignore[arg-type]
    out = ["--env=ALE/Enduro-v5", f"--out={tmp_path / 'out'}", "--seeds=10000", "--workers=1"]
    for words, said in (
        (["--agents=[{agent: brownian}]"], "takes those of enduro"),
        ([], "reads the track of CarRacing"),
        (["--agents=[{agent: random}]", "--perturb.probability=0.1"], "a perturbation disturbs a car"),
    ):
        assert main(["collect", *out, *words]) == 2
        assert said in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.mp4"))
    assert main(["drive", "--checkpoint=zoo:vpt-carracing", "--env=ALE/Breakout-v5", "--seeds=1000"]) == 2
    assert "breakout" in capsys.readouterr().err


@pytest.mark.usefixtures("ale")
def test_a_recording_of_a_game_has_the_held_buttons(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--env=ALE/Breakout-v5", "--agents=[{agent: random}]", "--max_frames=30", "--workers=1"]
    assert main(["collect", f"--out={tmp_path}", "--seeds=10000-10001", *words]) == 0
    assert "2 episodes, 0.1 minutes" in capsys.readouterr().out
    first, _ = find_recordings(tmp_path)
    assert first.frames_per_second == 15
    assert set(zip(*first.controls().values(), strict=True)) <= set(map(held_in, MINIMAL["breakout"]))
    assert "ale-py" in first.meta["versions"]
    film, scores = tmp_path / "film.mp4", tmp_path / "scores.json"
    words = ["--checkpoint=random", "--env=ALE/Breakout-v5", "--seeds=1000-1001", "--max_frames=20", "--workers=1"]
    assert main(["drive", *words, f"--video={film}", f"--json={scores}"]) == 0
    assert film.stat().st_size > 1000
