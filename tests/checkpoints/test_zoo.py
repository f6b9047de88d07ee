"""The shipped checkpoints load by name, work, and have complete cards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import racing_vpt
from racing_vpt.agents.load import load_agent
from racing_vpt.checkpoints.load import load_module, zoo_names
from racing_vpt.envs.make import FAST_ID, make_env
from racing_vpt.envs.register import ROAD_ID
from racing_vpt.frames import prepare
from tests.episodes import run_episode

ZOO = Path(racing_vpt.__file__).parent / "zoo"


@pytest.mark.parametrize(
    ("names", "bytes_"),
    [
        (("idm-carracing", "vpt-carracing"), 15e6),
        (("idm-carracing-video",), 4e6),
        (("world-model-carracing",), 20e6),
        (("dqn-carracing",), 3e6),
        (("dqn-carracing-five",), 3e6),
        (("iris-carracing",), 20e6),
        (("iris-world-carracing",), 20e6),
        (("idm-nes-road",), 5e6),
        (("vpt-nes-road",), 5e6),
    ],
)
def test_the_zoo_is_small(names: tuple[str, ...], bytes_: float) -> None:
    assert sum(path.stat().st_size for name in names for path in (ZOO / name).iterdir()) < bytes_


@pytest.mark.parametrize("name", zoo_names())
def test_a_card_tells_data_seeds_command_and_limits(name: str) -> None:
    card = (ZOO / name / "README.md").read_text()
    assert all(word in card.lower() for word in ("data", "seeds", "racing-vpt", "limits"))


@pytest.mark.parametrize(
    "name", ["vpt-carracing", "world-model-carracing", "dqn-carracing", "dqn-carracing-five", "iris-carracing"]
)
def test_a_shipped_driver_pulls_away_and_stays_on_the_road(name: str) -> None:
    result = run_episode(make_env(FAST_ID), load_agent(f"zoo:{name}"), seed=1090, max_frames=200)
    assert result.score > 100  # a hundred frames of expert driving earn more; standing still loses 20


def test_the_shipped_policy_of_nes_road_keeps_to_the_road() -> None:
    result = run_episode(make_env(ROAD_ID), load_agent("zoo:vpt-nes-road"), seed=10_100, max_frames=200)
    assert result.score > 200  # metres; the driver that it watched makes 361, random buttons 6


def test_the_shipped_policy_acts_by_name_on_one_frame() -> None:
    agent = load_agent("zoo:vpt-carracing", device="cpu")
    agent.reset()
    controls = agent.act(np.full((96, 96, 3), 100, np.uint8))
    assert {"steering", "throttle", "brake"} <= set(controls)
    assert all(isinstance(value, float) for value in controls.values())


def test_the_shipped_idm_reads_pedals_from_moving_pictures() -> None:
    idm = load_module("zoo:idm-carracing", expected="IDM")
    probabilities = idm.label_frames(torch.randint(0, 255, (1, 40, 96, 96, 3), dtype=torch.uint8))
    assert probabilities["throttle"].shape == (1, 40, 11)
    torch.testing.assert_close(probabilities["steering"].sum(-1), torch.ones(1, 40))


def test_the_shipped_idm_of_nes_road_reads_the_buttons_of_a_race() -> None:
    idm = load_module("zoo:idm-nes-road", expected="IDM")
    env, driver = make_env(ROAD_ID), load_agent("road-expert:calm")
    driver.seed(0)  # type: ignore[attr-defined]
    frame, frames, held = env.reset(seed=10_100)[0], [], []
    driver.attach(env)  # type: ignore[attr-defined]
    for _ in range(120):
        frames.append(frame)
        held.append(driver.act(frame))
        frame = env.step_controls(held[-1])[0]  # type: ignore[attr-defined]
    seen = torch.from_numpy(prepare(np.stack(frames), idm.frames))[None]
    labels = idm.labels(idm.label_frames(seen))
    for control in ("left", "right"):
        true = torch.tensor([controls[control] for controls in held])
        assert (labels[control][0] == true).float().mean() > 0.8
