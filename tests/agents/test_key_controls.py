"""Keys from game files: the control of each key, the steps of an axis, and controls that cancel."""

from pathlib import Path

import pytest

from racing_vpt.agents.key_controls import key_controls
from racing_vpt.games.read import load_game

BOAT = """
controls:
  rudder: {axis: [-2, 1]}
  sail: button
  left_oar: button
  right_oar: button
  anchor: button
keys:
  rudder: {less: [j], more: [l], step: 0.5}
  sail: [i, space]
  left_oar: [u]
  right_oar: [o]
opposites: [[left_oar, right_oar]]
"""


@pytest.fixture
def boat(tmp_path: Path) -> Path:
    path = tmp_path / "boat.yaml"
    path.write_text(BOAT)
    return path


def test_keys_of_a_users_game_give_its_controls(boat: Path) -> None:
    game = load_game(boat)
    keys = key_controls(game, game.control_names, frames=2)
    assert keys is not None
    rest = {"rudder": 0.0, "sail": 0.0, "left_oar": 0.0, "right_oar": 0.0, "anchor": 0.0}
    assert keys.controls(set()) == rest
    assert keys.controls({"j", "space", "u"}) == rest | {"rudder": -1.0, "sail": 1.0, "left_oar": 1.0}
    assert keys.controls({"j", "u", "o", "x"}) == rest | {"rudder": -2.0}  # the ends of the axis; oars cancel
    assert keys.controls({"j", "l"})["rudder"] == -1.0  # both: back to the middle
    keys.take_over({"rudder": 0.75})
    assert keys.controls({"l"})["rudder"] == 1.0
    assert keys.names == ("j", "l", "i", "space", "u", "o")
    assert ("j / l", "rudder") in keys.help


def test_a_game_whose_file_names_no_keys_has_none() -> None:
    game = load_game("minecraft")
    assert key_controls(game, game.control_names) is None


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("sail: [i, space]", "sail: {less: [i], more: [o]}", "keys with less and more names sail; .*rudder"),
        ("less: [j]", "hold: [k], less: [j]", "keys.rudder is .*; expected .left, a., {hold"),
    ],
)
def test_impossible_keys_are_refused(boat: Path, before: str, after: str, said: str) -> None:
    boat.write_text(BOAT.replace(before, after))
    with pytest.raises(ValueError, match=said):
        load_game(boat)
