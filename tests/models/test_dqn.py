"""Q-learning: targets worked out by hand, the switches, the tables of actions, and a checkpoint that drives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from building import build

from racing_vpt.agents.checkpoint import CheckpointAgent
from racing_vpt.agents.load import load_agent
from racing_vpt.checkpoints.load import save_checkpoint
from racing_vpt.envs.actions import to_action
from racing_vpt.envs.make import FAST_ID, make_env
from racing_vpt.games.read import load_game
from racing_vpt.models.action_table import action_scheme, mirror_some, mirrored_actions, rows_of
from racing_vpt.models.dqn import DQN
from racing_vpt.models.dqn_config import ExplorationConfig
from racing_vpt.types import Agent, FrameSpec, Transitions

torch.set_num_threads(1)
SMALL = FrameSpec(height=36, width=36, fit="crop", crop_bottom=0.125, grey=True, stride=4)
NET = {"frames": SMALL, "network.channels": (4, 4), "network.hidden": 16}


def batch_of(B: int = 8, demonstration: bool = False) -> Transitions:
    random = torch.Generator().manual_seed(0)
    seen, then = (torch.randint(0, 256, (B, 4, 36, 36), dtype=torch.uint8, generator=random) for _ in range(2))
    return Transitions(
        observation=seen,
        action=torch.randint(0, 5, (B,), generator=random),
        reward=torch.randn(B, generator=random) * 5,
        discount=torch.where(torch.arange(B) % 4 == 3, 0.0, 0.9),
        next_observation=then,
        index=torch.arange(B),
        weight=torch.ones(B),
        demonstration=torch.full((B,), demonstration),
        shown=torch.full((B,), 3 if demonstration else -1),
    )


def module_of(options: dict | None = None) -> DQN:
    torch.manual_seed(0)
    module = build(DQN, NET | (options or {}))
    with torch.no_grad():  # so that the target network is another one
        for parameter in module.target.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return module


@pytest.mark.parametrize("double", [True, False])
def test_targets_are_reward_and_what_the_target_network_expects(double: bool) -> None:
    module, batch = module_of({"learning.double": double, "learning.reward_scale": 0.5}), batch_of()
    ahead = module.target(batch.next_observation)[..., 0]
    judge = module.net(batch.next_observation)[..., 0] if double else ahead
    expected = 0.5 * batch.reward + batch.discount * ahead.gather(1, judge.argmax(1, keepdim=True))[:, 0]
    assert torch.allclose(module.targets(batch)[:, 0], expected, atol=1e-5)
    ended = batch.discount == 0
    assert torch.allclose(module.targets(batch)[ended, 0], 0.5 * batch.reward[ended])  # nothing comes after an end


def test_double_targets_differ_where_the_networks_disagree() -> None:
    assert not torch.allclose(
        module_of().targets(batch_of()), module_of({"learning.double": False}).targets(batch_of())
    )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"network.dueling": False, "network.layer_norm": False, "learning.double": False},
        {"network.quantiles": 8},
        {"network.noisy": True},
        {"learning.rescale_values": True, "learning.reward_scale": 1.0},
        {"network.trunk": "impala", "network.channels": (4,)},
        {"learning.mirror": 0.5},
    ],
)
def test_the_error_on_one_batch_falls(options: dict) -> None:
    module, batch = module_of(options), batch_of()
    optimizer = torch.optim.Adam(module.net.parameters(), lr=3e-3)
    errors = []
    for _ in range(100):
        optimizer.zero_grad()
        found = module.losses(mirror_some(batch, 0.5, module.mirrored) if module.mirrored else batch)
        found["loss"].backward()
        optimizer.step()
        errors.append(found["td_error"].abs().mean().item())
    assert np.mean(errors[-15:]) < 0.6 * errors[0]
    assert found["td_error"].shape == (8,)
    assert all(parameter.grad is None for parameter in module.target.parameters())


def test_weights_of_zero_teach_nothing() -> None:
    module, batch = module_of(), batch_of()
    batch.weight[:4] = 0.0
    before = module.losses(batch)["loss"]
    batch.reward[:4] += 100.0
    assert torch.allclose(module.losses(batch)["loss"], before)


def test_demonstrations_add_their_margin() -> None:
    module = module_of({"margin.size": 50.0, "margin.weight": 2.0})
    own, shown = module.losses(batch_of()), module.losses(batch_of(demonstration=True))
    assert "margin" not in own
    assert shown["loss"].item() == pytest.approx(own["loss"].item() + 2 * shown["margin"].mean().item(), rel=1e-5)
    assert shown["margin"].min() > 40


@pytest.mark.parametrize(("options", "share"), [({"target.rate": 0.25}, 0.25), ({"target.every": 1}, 1.0)])
def test_the_target_network_follows(options: dict, share: float) -> None:
    module = module_of(options)
    before = [parameter.clone() for parameter in module.target.parameters()]
    module.on_train_batch_end(None, None, 0)
    for old, own, followed in zip(before, module.net.parameters(), module.target.parameters(), strict=True):
        assert torch.allclose(followed, old + share * (own - old), atol=1e-6)


def test_a_mirror_turns_pictures_and_actions() -> None:
    module, batch = module_of({"learning.mirror": 1.0}), batch_of()
    turned = mirror_some(batch, module.learning.mirror, module.mirrored)
    assert torch.equal(turned.observation, batch.observation.flip(-1))
    assert turned.action.tolist() == [[0, 2, 1, 3, 4][action] for action in batch.action.tolist()]
    again = mirror_some(turned, module.learning.mirror, module.mirrored)
    assert torch.equal(again.next_observation, batch.next_observation)
    assert torch.equal(again.action, batch.action)


def test_half_a_mirror_turns_half_of_the_rows_any_of_them() -> None:
    module, batch, turned_rows = module_of({"learning.mirror": 0.5}), batch_of(), set()
    for seed in range(12):
        torch.manual_seed(seed)
        turned = mirror_some(batch, module.learning.mirror, module.mirrored)
        rows = [row for row in range(8) if not torch.equal(turned.observation[row], batch.observation[row])]
        assert len(rows) == 4
        assert all(torch.equal(turned.next_observation[row], batch.next_observation[row].flip(-1)) for row in rows)
        turned_rows |= {*rows}
    assert turned_rows == {*range(8)}


def test_epsilon_falls_and_is_spread() -> None:
    module = module_of(
        {"exploration.start": 1.0, "exploration.end": 0.1, "exploration.decisions": 1000, "exploration.spread": 2.0}
    )
    assert module.exploration.epsilon(0, 4) == pytest.approx([1, 1, 1, 1])
    assert module.exploration.epsilon(500, 4)[0] == pytest.approx(0.55)
    assert module.exploration.epsilon(10**6, 3) == pytest.approx([0.1, 0.01, 0.001])


def test_exploring_is_a_function_of_seed_and_decisions() -> None:
    module = module_of({"exploration.start": 0.5, "exploration.end": 0.5}).eval()
    seen = batch_of(64).observation
    first = module.explore(seen, 64 * 7, seed=1)
    assert np.array_equal(first, module.explore(seen, 64 * 7, seed=1))
    assert not np.array_equal(first, module.explore(seen, 64 * 8, seed=1))
    module.exploration = ExplorationConfig(start=0.0, end=0.0)
    assert np.array_equal(module.explore(seen, 64 * 8, seed=1), module.values(seen).argmax(-1).numpy())


def test_a_random_action_is_held() -> None:
    module = module_of({"exploration.start": 0.5, "exploration.end": 0.5, "exploration.hold": 3}).eval()
    seen = batch_of(64).observation
    rounds = [module.explore(seen, 64 * round, seed=1) for round in range(6)]
    assert all(np.array_equal(rounds[0], held) for held in rounds[1:3])
    assert all(np.array_equal(rounds[3], held) for held in rounds[4:])
    assert not np.array_equal(rounds[0], rounds[3])


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ([[0, 0, 0], [1.5, 0, 0]], r"actions\[1\] is \[1.5, 0, 0\].*steering is 1.5"),
        ([[0, 0, 0], [0, -0.1, 0]], "throttle is -0.1"),
        ([[0, 0, 0], [0, 0, float("nan")]], "brake is nan"),
        ([[0, 0], [0, 0, 1]], "expected 3 numbers: steering, throttle, brake"),
        ([[0, 0, 0], [0, 0, 0]], "all different"),
        ([[0, 0, 0]], "two or more rows"),
    ],
)
def test_impossible_actions_are_refused(actions: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DQN(actions=actions)


def test_a_table_without_its_mirror_image_cannot_be_mirrored() -> None:
    assert mirrored_actions(action_scheme(None, load_game("carracing"))) == [0, 2, 1, 3, 4]
    with pytest.raises(ValueError, match="add it, or give mirror 0"):
        build(DQN, {"actions": [[0, 0, 0], [0.3, 0, 0]], "learning.mirror": 0.5})


def test_numbers_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"discount must lie in .* but 1\.5"):
        build(DQN, {"learning.discount": 1.5})
    with pytest.raises(ValueError, match="grey"):
        DQN(frames=FrameSpec())
    with pytest.raises(ValueError, match="every must be at least 1"):
        build(DQN, {"target.every": 0})


def test_the_five_actions_do_what_the_discrete_environment_does() -> None:
    """By names and by table, in the continuous environment: the same rewards and pictures, bit for bit."""
    discrete, continuous, by_table = (make_env(FAST_ID, continuous=kind, frame_skip=4) for kind in (False, True, True))
    module = module_of()
    for env in (discrete, continuous, by_table):
        env.reset(seed=10_000)
    for step in range(40):
        action = (3, 3, 1, 2, 4, 0, 3, 1)[step % 8]
        row = rows_of(module.scheme)[action]
        one = discrete.step(action)
        two = continuous.step(to_action(continuous, row))
        three = by_table.step(module.table[action].numpy())
        assert one[1:4] == two[1:4] == three[1:4]
        assert np.array_equal(one[0], two[0])
        assert np.array_equal(one[0], three[0])


def test_a_checkpoint_drives_and_holds_its_action(tmp_path: Path) -> None:
    module = module_of().eval()
    arguments = {"frames": vars(SMALL), "network": {"channels": [4, 4], "hidden": 16}}
    save_checkpoint(tmp_path, "racing_vpt.models.dqn.DQN", arguments, module.state_dict())
    agent = load_agent(str(tmp_path))
    assert isinstance(agent, Agent)
    assert isinstance(agent, CheckpointAgent)
    assert agent.repeat == 4
    agent.reset()
    frames = np.random.default_rng(0).integers(0, 256, (9, 96, 96, 3), dtype=np.uint8)
    said = [agent.act(frame) for frame in frames]
    assert said[0] == said[3]
    assert said[4] == said[7]
    rows = rows_of(module.scheme)
    assert all(controls in rows for controls in said)  # exactly: the environment takes no other for discrete actions


def test_an_observation_begins_with_its_first_frame_and_forgets_the_oldest() -> None:
    module = module_of()
    frames = torch.arange(1, 7, dtype=torch.uint8).reshape(6, 1, 1, 1).expand(6, 2, 36, 36)
    state = module.initial_state(2)
    for index in range(6):
        first = torch.tensor([index == 0, index in (0, 4)])
        state = module.observe(state, frames[index], first)
    assert state[:, :, 0, 0].tolist() == [[3, 4, 5, 6], [5, 5, 5, 6]]
