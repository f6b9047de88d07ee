"""Minecraft's controls are OpenAI's, class by class."""

from pathlib import Path

import numpy as np
import pytest
import torch

from racing_vpt.games.controls import ControlScheme
from racing_vpt.games.minecraft import BUTTONS, CAMERA, NULL_CAMERA, JointButtons, camera_class, camera_degrees
from racing_vpt.games.read import _shipped, load_game

TABLES = np.load(Path(__file__).parents[1] / "vpt_parity" / "action_tables.npz")


@pytest.fixture(scope="module")
def scheme() -> ControlScheme:
    return load_game("minecraft").scheme()


def keys(*pressed: str, pitch: float = 0.0, yaw: float = 0.0) -> dict[str, torch.Tensor]:
    values = {name: float(name in pressed) for name in BUTTONS}
    return {name: torch.tensor(value) for name, value in {**values, "camera_pitch": pitch, "camera_yaw": yaw}.items()}


def meant(scheme: ControlScheme, *pressed: str, pitch: float = 0.0, yaw: float = 0.0) -> set[str]:
    """The buttons (and `camera` if it moves) that remain of the pressed ones after encoding and decoding."""
    again = scheme.decode(scheme.encode(keys(*pressed, pitch=pitch, yaw=yaw)))
    moved = {"camera"} if again["camera_pitch"] or again["camera_yaw"] else set()
    return {name for name in BUTTONS if again[name]} | moved


def test_the_classes_are_those_of_the_public_checkpoints(scheme: ControlScheme) -> None:
    assert scheme.num_classes == {"buttons": 8641, "camera": 121}
    assert tuple(TABLES["button_names"]) == BUTTONS
    np.testing.assert_array_equal(scheme.heads["buttons"].table, TABLES["buttons"])
    np.testing.assert_allclose(scheme.heads["camera"].table, TABLES["camera_degrees"], atol=1e-6)


def test_every_joint_class_is_found_again_from_its_buttons(scheme: ControlScheme) -> None:
    head = scheme.heads["buttons"]
    assert isinstance(head, JointButtons)
    controls = {name: torch.from_numpy(TABLES["buttons"][:, column]).float() for column, name in enumerate(BUTTONS)}
    controls |= {"camera_pitch": torch.zeros(8641), "camera_yaw": 3.0 * head.camera_moves}
    classes = scheme.encode(controls)
    assert classes["buttons"].tolist() == list(range(8641))
    decoded = scheme.decode(classes)
    for name in BUTTONS:
        torch.testing.assert_close(decoded[name], controls[name])


def test_every_camera_class_is_found_again_from_its_degrees(scheme: ControlScheme) -> None:
    controls = {name: torch.zeros(121) for name in BUTTONS}
    controls |= {name: torch.from_numpy(TABLES["camera_degrees"][:, column]) for column, name in enumerate(CAMERA)}
    classes = scheme.encode(controls)
    assert classes["camera"].tolist() == list(range(121))
    assert classes["buttons"].tolist() == [int(index != NULL_CAMERA) for index in range(121)]
    factored = load_game("minecraft:factored").scheme().encode(controls)
    for column, name in enumerate(CAMERA):
        assert factored[name].tolist() == TABLES["camera_bins"][:, column].tolist()


def test_the_mouse_is_cut_in_equal_steps_of_the_mu_law() -> None:
    degrees = camera_degrees()
    assert [round(x, 4) for x in degrees[5:].tolist()] == [0.0, 0.6154, 1.6095, 3.2154, 5.8095, 10.0]
    edge = 10 * (11**0.1 - 1) / 10  # half a step of the mu-law, less than half of the first bin's degrees
    said = camera_class(torch.tensor([edge - 1e-4, edge + 1e-4, -edge - 1e-4, 0.3, 99.0, -99.0]))
    assert said.tolist() == [5, 6, 4, 6, 10, 0]


@pytest.mark.parametrize(
    ("pressed", "left"),
    [
        ({"forward", "back", "jump"}, {"jump"}),
        ({"left", "right", "forward"}, {"forward"}),
        ({"sprint", "sneak"}, {"sneak"}),
        ({"hotbar.2", "hotbar.7", "hotbar.5"}, {"hotbar.7"}),
        ({"attack", "use", "drop", "jump", "left", "sprint"}, {"attack", "use", "drop", "jump", "left", "sprint"}),
        ({"inventory", "forward", "hotbar.1"}, {"inventory"}),
    ],
)
def test_conflicting_keys_are_resolved_as_in_vpt(scheme: ControlScheme, pressed: set[str], left: set[str]) -> None:
    assert meant(scheme, *pressed) == left


def test_the_inventory_excludes_the_camera_both_ways(scheme: ControlScheme) -> None:
    classes = scheme.encode(keys("inventory", pitch=5.0))
    assert (classes["buttons"].item(), classes["camera"].item()) == (8640, NULL_CAMERA)
    turned = scheme.decode({"buttons": torch.tensor(8640), "camera": torch.tensor(3)})
    assert turned["camera_yaw"] == 0


def test_the_camera_turns_only_where_the_buttons_say_so(scheme: ControlScheme) -> None:
    assert meant(scheme, "attack", yaw=-2.0) == {"attack", "camera"}
    still = scheme.decode({"buttons": torch.tensor([4, 5]), "camera": torch.tensor([0, 0])})
    assert still["camera_pitch"].tolist() == [0, -10]
    likely = {"buttons": torch.eye(8641)[[4, 5]], "camera": torch.eye(121)[[0, 0]]}
    assert scheme.expect(likely)["camera_pitch"].tolist() == [0, -10]


def test_a_tiny_mouse_movement_is_none(scheme: ControlScheme) -> None:
    assert scheme.encode(keys(pitch=0.2, yaw=-0.2))["buttons"].item() == 0
    assert scheme.encode(keys(pitch=0.2, yaw=-0.3))["buttons"].item() == 1


def test_controls_that_are_missing_are_named(scheme: ControlScheme) -> None:
    with pytest.raises(ValueError, match=r"lack \['attack'\]"):
        scheme.encode({name: value for name, value in keys().items() if name != "attack"})
    with pytest.raises(ValueError, match=r"lack \['camera_pitch', 'camera_yaw'\]"):
        scheme.encode({name: torch.zeros(()) for name in BUTTONS})


def test_the_factored_scheme_has_the_same_controls_and_names_without_dots(scheme: ControlScheme) -> None:
    factored = load_game("minecraft:factored").scheme()
    assert factored.controls == scheme.controls
    assert list(factored.num_classes.values()) == [2] * 20 + [11] * 2
    assert not [name for name in factored.heads if "." in name]


def test_tables_of_a_shipped_game_hold_numbers_whatever_the_default_device_was() -> None:
    _shipped.cache_clear()
    with torch.device("meta"):  # as checkpoints of others are built, to compare shapes before memory is taken
        heads = [head for name in ("minecraft", "carracing") for head in load_game(name).controls]
        tables = [head.table for head in heads]
    assert {table.device.type for table in tables} == {"cpu"}
