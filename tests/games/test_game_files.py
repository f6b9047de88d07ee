"""Game files: shipped ones, games in checkpoints, and mistakes."""

from dataclasses import replace
from pathlib import Path

import pytest

from racing_vpt.games.game import Game, check_same_game
from racing_vpt.games.read import as_game, fields_of, game_from, game_names, load_game

MINE = """
controls:
  left: button
  right: button
  gas: button
  brake: button
frames: {height: 96, width: 96, frames_per_second: 30, hide: [[0.9, 0, 0.1, 0.5]]}
keys: {left: [left, a], right: [right, d], gas: [up], brake: [down]}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", game_names())
def test_a_shipped_game_has_the_fields_that_a_checkpoint_carries(name: str) -> None:
    game = load_game(name)
    assert game.name == name
    assert game_from(fields_of(game), "again") == replace(game, screen=None)  # nothing that a checkpoint brings is run
    assert set(game.scheme().controls) == set(game.control_names)
    for scheme in game.schemes:
        assert set(game.scheme(scheme).controls) <= set(game.control_names)


def test_a_users_game_is_a_few_lines(tmp_path: Path) -> None:
    game = load_game(written(tmp_path, MINE))
    assert game.name == "mine"
    assert game.scheme().num_classes == {"left": 2, "right": 2, "gas": 2, "brake": 2}
    assert game.frames.hide == ((0.9, 0.0, 0.1, 0.5),)
    assert (game.world_frames, game.car, game.env) == (game.frames, None, None)
    assert as_game(fields_of(game)) == game


def test_a_kind_of_model_has_its_scheme() -> None:
    carracing, minecraft = load_game("carracing"), load_game("minecraft")
    assert carracing.scheme(kind="idm").num_classes["steering"] == 31
    assert carracing.scheme(kind="world").num_classes == {"steering": 11, "pedals": 6}
    assert [*minecraft.scheme(kind="policy").heads] == ["buttons", "camera"]
    assert len(minecraft.scheme(kind="idm").heads) == 22
    assert carracing.actions("five").actions[1] == {"steering": 0.6, "throttle": 0.0, "brake": 0.0}
    with pytest.raises(ValueError, match="no table of actions 'few'; it has: five, eleven"):
        carracing.actions("few")
    with pytest.raises(ValueError, match="'many'; it has: controls, few, five, eleven"):
        carracing.scheme("many")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (MINE + "contols: red\n", "unknown key contols; did you mean controls"),
        (MINE + "fps: 30\n", "unknown key fps; expected are name, controls"),
        (MINE.replace("gas: button", "left: button"), "left stands twice, in lines 3 and 5; a control has one head"),
        (
            MINE.replace("gas: button", "both: {joint: [left, right], rows: [[0, 0], [1, 1]]}"),
            "two heads for the control left: left and both",
        ),
        (
            MINE.replace("[0.9, 0, 0.1, 0.5]", "[0.9, 0, 0.2, 0.5]"),
            "not a rectangle within the picture; expected .top, left",
        ),
        (MINE.replace("gas: button", "gas: buton"), "controls.gas is 'buton'; did you mean button"),
        (MINE.replace("gas: button", "gas: {axis: [1, 0]}"), "axis gas needs low < high"),
        (MINE.replace("gas: button", "gas: {axis: [0]}"), "controls.gas.axis is .0.; expected 2 numbers"),
        (MINE.replace("gas: [up]", "nitro: [up]"), "keys names nitro; expected among: left, right, gas, brake"),
        (MINE + "stops: {left: 1}\n", "stops names left"),
        (MINE + "car: {place: [0, 0, 2, 1]}\n", "not a rectangle"),
        (MINE.replace("height: 96", "hight: 96"), "frames has the unknown key hight; did you mean height"),
        ("frames: {}\n", "there are no controls"),
        ("controls: [left]\n", "expected names with values"),
        ("- a\n", "expected names with values"),
        ("controls: {left: button\n", "cannot be read as YAML"),
    ],
)
def test_a_mistake_is_one_line_with_the_file_and_what_is_expected(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ValueError, match=said) as caught:
        load_game(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_game_is_answered_with_the_existing_ones() -> None:
    with pytest.raises(FileNotFoundError, match=r"'carracng'; did you mean carracing\?; games are atari, .*YAML file"):
        load_game("carracng")
    with pytest.raises(FileNotFoundError, match=r"no game 'nowhere.yaml'"):
        load_game("nowhere.yaml")


def test_a_checkpoint_of_another_game_is_refused_with_both_names(tmp_path: Path) -> None:
    carracing = load_game("carracing")
    check_same_game(as_game(fields_of(carracing)), carracing, "zoo:x")
    with pytest.raises(ValueError, match="zoo:x was trained for the game carracing, but --game enduro"):
        check_same_game(carracing, load_game("enduro"), "zoo:x")
    other = written(tmp_path, "name: carracing\ncontrols: {steering: {axis: [-1, 1]}}\n")
    with pytest.raises(ValueError, match=r"steering 31, .*, but the file of the game carracing has steering 11"):
        check_same_game(carracing, load_game(other), "zoo:x")


def test_games_are_compared_by_content() -> None:
    assert load_game("minecraft") != load_game("meadow")
    assert isinstance(load_game("nes"), Game)
