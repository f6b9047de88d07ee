from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from racing_vpt.agents.checkpoint import CheckpointAgent
from racing_vpt.agents.load import load_agent
from racing_vpt.checkpoints.load import save_checkpoint
from racing_vpt.games.read import load_game
from racing_vpt.models.idm import IDM
from racing_vpt.models.vpt import VPT
from racing_vpt.types import Agent, FrameSpec

SPEC = FrameSpec(height=32, width=32)


@pytest.fixture(scope="module")
def module() -> VPT:
    torch.manual_seed(0)
    return VPT(frames=SPEC).eval()


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    """Frames uint8 [12, 96, 96, 3] of noise."""
    return np.random.default_rng(0).integers(0, 256, (12, 96, 96, 3), dtype=np.uint8)


def save(folder: Path, module: VPT | IDM) -> Path:
    class_path = f"{type(module).__module__}.{type(module).__name__}"
    init_args = {"frames": {"height": 32, "width": 32}}
    save_checkpoint(folder, class_path, init_args, module.state_dict())
    return folder


def test_a_checkpoint_on_disk_drives(tmp_path: Path, module: VPT, frames: np.ndarray) -> None:
    agent = load_agent(str(save(tmp_path / "policy", module)))
    assert isinstance(agent, Agent)
    agent.reset()
    for frame in frames[:3]:
        load_game("carracing").scheme().check(agent.act(frame))


def test_a_model_that_does_not_drive_is_refused(tmp_path: Path) -> None:
    folder = save(tmp_path / "idm", IDM(frames=SPEC))
    with pytest.raises(ValueError, match="does not drive"):
        load_agent(str(folder))


def test_a_reset_agent_repeats_itself(module: VPT, frames: np.ndarray) -> None:
    agent = CheckpointAgent(module)
    said = [agent.act(frame) for frame in frames]
    agent.reset()
    assert [agent.act(frame) for frame in frames] == said


def test_environments_in_a_batch_are_independent(module: VPT, frames: np.ndarray) -> None:
    """Row 1 restarts at frame 5; both rows give the same controls as alone."""
    batched, alone, again = CheckpointAgent(module), CheckpointAgent(module), CheckpointAgent(module)
    for index in range(10):
        first = np.array([index == 0, index in (0, 5)])
        said = batched.act_batch(np.stack([frames[index], frames[(index + 2) % 12]]), first)
        if index == 5:
            again.reset()
        for row, expected in enumerate([alone.act(frames[index]), again.act(frames[(index + 2) % 12])]):
            assert said[row] == pytest.approx(expected, abs=1e-5)


def test_an_agent_with_a_stride_repeats_its_controls_row_by_row(frames: np.ndarray) -> None:
    torch.manual_seed(0)
    module = VPT(frames=FrameSpec(height=32, width=32, frames_per_second=25.0, stride=2))
    agent = CheckpointAgent(module)
    assert agent.repeat == 4
    said = []
    for index in range(9):
        said.append(agent.act_batch(np.stack([frames[index]] * 2), np.array([index == 0, index in (0, 3)])))
    changes = [[index for index in range(1, 9) if said[index][row] != said[index - 1][row]] for row in (0, 1)]
    assert changes == [[4, 8], [3, 7]]


def test_sampled_controls_follow_the_seed_and_differ_from_greedy_ones(module: VPT, frames: np.ndarray) -> None:
    runs = []
    for seed in (1, 1, 2):
        agent = CheckpointAgent(module, greedy=False, seed=seed)
        runs.append([agent.act(frame) for frame in frames])
    assert runs[0] == runs[1] != runs[2]
    greedy = CheckpointAgent(module)
    assert [greedy.act(frame) for frame in frames] != runs[0]


def test_a_policy_with_choice_mode_takes_the_centre_of_the_most_likely_bin(module: VPT, frames: np.ndarray) -> None:
    module.act = "mode"
    try:
        said = CheckpointAgent(module).act(frames[0])
    finally:
        module.act = "mean"
    centres = load_game("carracing").scheme().heads["steering"].table[:, 0]
    assert (centres - said["steering"]).abs().min() < 1e-6


def test_a_policy_over_discrete_actions_returns_their_controls(frames: np.ndarray) -> None:
    module = VPT(frames=SPEC, game="carracing:five")
    said = CheckpointAgent(module).act(frames[0])
    assert any(tuple(said.values()) == pytest.approx(action) for action in load_game("carracing").actions("five").rows)


def test_turns_take_each_class_of_a_choice_as_often_as_it_is_likely() -> None:
    class Driver:
        frames, scheme, act = FrameSpec(), load_game("carracing").scheme("few"), "turns"

        def initial_state(self, n: int, device: object) -> torch.Tensor:
            return torch.zeros(n)

        def policy(self, frames, first, state):  # type: ignore[no-untyped-def]
            count = len(frames)
            pedals = torch.tensor([0.5, 0.0, 0.0, 0.25, 0.0, 0.25]).expand(count, 1, -1)
            steering = torch.ones(count, 1, self.scheme.num_classes["steering"]).softmax(-1)
            return {"steering": steering, "pedals": pedals}, state

    driver = CheckpointAgent(Driver())  # type: ignore[arg-type]
    frames, begins = np.zeros((2, 96, 96, 3), np.uint8), np.array([False, False])
    pedals: list[list[tuple[float, float]]] = [[], []]
    for step in range(12):
        begins[1] = step == 6  # the second row's episode begins anew
        for row, controls in enumerate(driver.act_batch(frames, begins)):
            assert controls["steering"] == pytest.approx(0, abs=1e-6)  # the mean
            pedals[row].append((controls["throttle"], round(controls["brake"], 3)))
    for at in (0, 4, 8):
        assert sorted(pedals[0][at : at + 4]) == [(0, 0), (0, 0.8), (1, 0), (1, 0)]
    assert pedals[1][:6] == pedals[1][6:] == pedals[0][:6]
    driver.reset()
    assert driver.act(frames[0])["throttle"] == 1
