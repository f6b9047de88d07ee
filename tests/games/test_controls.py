"""Control schemes: encoding and decoding are inverse."""

import math

import pytest
import torch

from racing_vpt.games.controls import ControlScheme
from racing_vpt.games.heads import Axis, Button, Choice
from racing_vpt.games.read import load_game

PRESETS = ("carracing", "carracing:five", "nes", "minecraft:factored")


def random_controls(scheme: ControlScheme, *shape: int, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        control: low + (high - low) * torch.rand(*shape, generator=generator)
        for control, (low, high) in scheme.limits.items()
    }


@pytest.mark.parametrize("name", PRESETS)
def test_every_class_survives_decoding_and_encoding(name: str) -> None:
    scheme = load_game(name).scheme()
    most = max(scheme.num_classes.values())
    classes = {head: torch.arange(most) % number for head, number in scheme.num_classes.items()}
    again = scheme.encode(scheme.decode(classes))
    assert {head: again[head].tolist() for head in again} == {head: classes[head].tolist() for head in classes}


@pytest.mark.parametrize("name", PRESETS[:3])  # a mouse is cut after the mu-law: tests/test_minecraft.py
def test_encoding_picks_the_nearest_class(name: str) -> None:
    scheme = load_game(name).scheme()
    controls = random_controls(scheme, 50)
    classes = scheme.encode(controls)
    for head_name, head in scheme.heads.items():
        values = torch.stack([controls[control] for control in head.controls], -1)
        distances = (values[:, None] - head.table[None]).abs().sum(-1)  # [50, classes]
        chosen = distances.gather(1, classes[head_name][:, None])[:, 0]
        torch.testing.assert_close(chosen, distances.min(1).values)


def test_the_mean_of_two_hot_targets_is_the_control_itself() -> None:
    scheme = load_game("carracing").scheme()
    controls = random_controls(scheme, 4, 30) | {"gear_change": torch.randint(-1, 2, (4, 30)).float()}
    expected = scheme.expect(scheme.encode_soft(controls))
    for name, value in controls.items():
        torch.testing.assert_close(expected[name], value, atol=1e-6, rtol=0)


def test_two_hot_targets_are_probabilities_and_clamp_what_is_out_of_range() -> None:
    scheme = load_game("carracing").scheme()
    edges = {
        "steering": [-1.0, 1.0, 3.0],
        "throttle": [0.0, 1.0, 7.0],
        "brake": [0.0, 1.0, -2.0],
        "gear_change": [-1, 0, 1],
    }
    targets = scheme.encode_soft({name: torch.tensor(values).float() for name, values in edges.items()})
    for name, target in targets.items():
        assert target.shape == (3, scheme.num_classes[name])
        assert (target >= 0).all()
        torch.testing.assert_close(target.sum(-1), torch.ones(3))
    assert targets["steering"][2].argmax() == scheme.num_classes["steering"] - 1
    assert targets["brake"][2].argmax() == 0


def test_steering_is_finest_around_zero_and_zero_is_a_class() -> None:
    centres = load_game("carracing").scheme().heads["steering"].table[:, 0]
    gaps = centres.diff()
    assert centres[len(centres) // 2] == 0
    assert centres[0] == -1
    assert centres[-1] == 1
    assert gaps[len(gaps) // 2] < gaps[0] / 5
    torch.testing.assert_close(centres, -centres.flip(0))


def test_expect_takes_the_mean_on_an_axis_and_the_likeliest_choice() -> None:
    scheme = ControlScheme("toy", [Axis("throttle", 0.0, 1.0, bins=3), Choice("gear_change", (-1.0, 0.0, 1.0))])
    likely = {"throttle": torch.tensor([0.5, 0.0, 0.5]), "gear_change": torch.tensor([0.4, 0.3, 0.3])}
    assert scheme.expect(likely)["throttle"].item() == pytest.approx(0.5)
    assert scheme.expect(likely)["gear_change"].item() == -1


def test_a_joint_head_keeps_its_controls_together() -> None:
    scheme = load_game("carracing:five").scheme()
    near_brake = {"steering": torch.tensor(0.1), "throttle": torch.tensor(0.0), "brake": torch.tensor(0.7)}
    assert scheme.encode(near_brake)["action"].item() == 4
    decoded = scheme.decode({"action": torch.tensor([1, 2])})
    assert decoded["steering"].tolist() == pytest.approx([0.6, -0.6])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"steering": math.nan}, "steering is nan"),
        ({"throttle": math.inf}, "throttle is inf"),
        ({"brake": -0.2}, "brake is -0.2; carracing allows 0 to 1"),
        ({"gear_change": 0.5}, "one of"),
    ],
)
def test_controls_that_are_not_allowed_are_named_with_their_value(wrong: dict[str, float], said: str) -> None:
    good = {"steering": -1.0, "throttle": 1.0, "brake": 0.0, "gear_change": 1.0}
    load_game("carracing").scheme().check(good)
    with pytest.raises(ValueError, match=said):
        load_game("carracing").scheme().check(good | wrong)


def test_a_missing_control_is_named() -> None:
    with pytest.raises(ValueError, match="lack brake"):
        load_game("carracing").scheme().check({"steering": 0.0, "throttle": 0.0, "gear_change": 0.0})
    with pytest.raises(ValueError, match="lack"):
        load_game("carracing:five").scheme().encode({"steering": torch.zeros(2)})


def test_invalid_schemes_are_refused() -> None:
    with pytest.raises(ValueError, match="two heads for one control"):
        ControlScheme("double", [Button("a"), Button("a")])
    for bins in (1, 4097, 10**12):
        with pytest.raises(ValueError, match="2 to 4096 bins"):
            Axis("steering", -1.0, 1.0, bins=bins)
    with pytest.raises(ValueError, match="rising"):
        Choice("gear", (1.0, 0.0))
