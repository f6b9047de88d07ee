"""nes-road without the emulator is nes-road: memory, rewards and pictures, bit by bit."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from racing_vpt.agents.load import load_agent
from racing_vpt.envs.make import make_env
from racing_vpt.envs.nes_road.fast import NesRoadFast
from racing_vpt.envs.register import ROAD_ID
from racing_vpt.types import Controls
from tests.faults.harness import FULL

CRASHES, SECONDS = 0x030A, 0x0308
FACTS = range(0x0300, 0x03A0)


def test_it_is_an_environment_of_gymnasium() -> None:
    check_env(make_env(ROAD_ID).unwrapped, skip_render_check=True)


def test_it_is_the_console_bit_by_bit() -> None:
    pytest.importorskip("cynes", reason="the NES's emulator: pip install '.[nes]'")
    real, fast = make_env("nes:nes-road"), make_env(ROAD_ID)
    console, road = real.unwrapped, fast.unwrapped
    assert isinstance(road, NesRoadFast)
    np.testing.assert_array_equal(real.reset(seed=5)[0], fast.reset(seed=5)[0])
    agent = load_agent("road-expert:wild")
    agent.seed(5)  # type: ignore[attr-defined]
    agent.attach(fast)  # type: ignore[attr-defined]
    frame, steps, ended = road.frame, 0, False  # a whole game in `make test-faults`
    while not ended:
        steps += 1
        controls: Controls = agent.act(frame) if FULL else {"left": 1.0, "right": 0.0, "a": 1.0, "b": float(steps > 66)}
        if not FULL and steps == 70:
            console.nes[SECONDS] = 1  # type: ignore[attr-defined]
            road.road.seconds = 1
        expected = real.step_controls(controls)  # type: ignore[attr-defined]
        frame, *rest = fast.step_controls(controls)  # type: ignore[attr-defined]
        np.testing.assert_array_equal(frame, expected[0], err_msg=f"picture {steps}")
        assert tuple(rest[:3]) == expected[1:4]
        assert [road.nes[place] for place in FACTS] == [console.nes[place] for place in FACTS]  # type: ignore[attr-defined]
        ended = bool(rest[1])
    assert road.nes[CRASHES] > 0
