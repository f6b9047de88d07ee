"""SWAG's networks by the values of its documented YAML: their size, their classifier and its figures."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from racing_vpt.checkpoints.structured import structured
from racing_vpt.games.read import load_game
from racing_vpt.models.control_metrics import ControlMetrics
from racing_vpt.models.idm import IDM
from racing_vpt.models.idm_config import IDMConfig
from racing_vpt.models.idm_metrics import measure
from racing_vpt.models.vpt import VPT
from racing_vpt.models.vpt_config import PolicyConfig
from racing_vpt.types import FrameChanges

SWAG = Path(__file__).parents[2] / "configs" / "swag"
SIZES = {"idm": 85_943_948, "vpt": 85_944_936, "idm_small": 609_584, "vpt_small": 609_696}
CLASSES = {"nes": 3 * 3 * 2 * 2, "nes-road": 3 * 2 * 2}


@pytest.mark.parametrize("name", SIZES)
def test_a_network_has_its_parameters_and_one_classifier_over_products(name: str) -> None:
    given = yaml.safe_load((SWAG / f"{name}.yaml").read_text())["model"]["init_args"]
    frames = FrameChanges(**given["frames"])
    with torch.device("meta"):
        model: IDM | VPT
        if name.startswith("idm"):
            model = IDM(given["game"], frames, structured(IDMConfig, given["network"]))  # type: ignore[arg-type]
        else:
            model = VPT(given["game"], frames, structured(PolicyConfig, given["network"]))  # type: ignore[arg-type]
    assert sum(weight.numel() for weight in model.parameters()) == SIZES[name]
    assert model.scheme.num_classes == {"buttons": CLASSES[given["game"]]}


def test_products_of_buttons_leave_out_what_cannot_be_held_together() -> None:
    scheme = load_game("nes").scheme("products")
    rows = scheme.heads["buttons"].table
    held = {control: rows[:, place] for place, control in enumerate(scheme.controls)}
    assert len(rows) == len(rows.unique(dim=0)) == 36
    assert not (held["up"] * held["down"] + held["left"] * held["right"]).any()
    torch.testing.assert_close(scheme.decode(scheme.encode(held)), held)


def test_the_policys_figures_of_a_table_are_those_of_the_inverse_dynamics_model() -> None:
    scheme = load_game("nes-road").scheme("products")
    torch.manual_seed(0)
    classes = torch.randint(0, 9, (1, 200))  # some never occur
    truth = scheme.decode({"buttons": classes})
    logits = torch.randn(1, 200, 12) + 2 * torch.nn.functional.one_hot(classes, 12)
    likely = {"buttons": logits.softmax(-1)}
    metrics = ControlMetrics(scheme)
    for half in (slice(0, 90), slice(90, 200)):
        part = {name: x[:, half] for name, x in truth.items()}
        metrics.update(
            {"buttons": likely["buttons"][:, half]}, part, torch.ones_like(classes[:, half], dtype=torch.bool)
        )
    flat, true = {"buttons": likely["buttons"][0]}, {name: x[0] for name, x in truth.items()}
    wanted, found = measure(scheme, flat, scheme.expect(flat), true), metrics.compute()
    among = (flat["buttons"].argsort(-1)[:, -3:] == classes[0, :, None]).any(-1).float().mean().item()
    assert 0.2 < wanted["buttons_accuracy"] < wanted["buttons_top3"] < 1
    assert wanted["buttons_top3"] == pytest.approx(among)
    for figure in ("buttons_accuracy", "buttons_top3", "buttons_f1"):
        assert found[figure].item() == pytest.approx(wanted[figure], abs=1e-6)
