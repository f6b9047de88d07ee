"""Reinforcement learning of a policy: what is learned from, what waits, and what holds it at its clone."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from building import build

from racing_vpt.agents.load import load_agent
from racing_vpt.checkpoints.load import save_checkpoint
from racing_vpt.models.rl_config import AnchorConfig, PPOConfig, RewardConfig
from racing_vpt.models.vpt_rl import VPTRL
from racing_vpt.nn.ppo import divergence
from racing_vpt.replay.on_policy import Rollout
from racing_vpt.types import PolicyBatch

torch.set_num_threads(1)
SMALL = {
    "hidsize": 16, "attention_heads": 2, "impala_chans": [4], "stem": "strided", "stem_chans": 4, "cnn_outsize": 16,
    "n_recurrence_layers": 0, "timesteps": 4, "attention_memory_size": 8,
}  # fmt: skip
OPTIONS = {"frames": {"height": 24, "width": 24}, "network": {"size": SMALL, "look_back": [0, 1]}}


def module_of(layers: int = 0, **options: object) -> VPTRL:
    torch.manual_seed(0)
    network = {"size": {**SMALL, "n_recurrence_layers": layers}, "look_back": [0, 1]}
    module = build(VPTRL, {**OPTIONS, "network": network, **options})
    for name in module.frozen:
        module.get_parameter(name).requires_grad_(False)
    module._trainer = SimpleNamespace(world_size=1)  # type: ignore[assignment]
    module.log = module.log_dict = lambda *told, **more: None  # type: ignore[method-assign, assignment]
    return module


def rollout_of(module: VPTRL, lanes: int = 4, steps: int = 8, chunk: int = 1) -> Rollout:
    """What a module does on random pictures."""
    torch.manual_seed(1)
    rollout = Rollout.empty(lanes, steps, module.seen_shape, module.scheme.num_classes, True, chunk)
    state, clone = module.initial_state(lanes), module.original["net"].initial_state(lanes)  # type: ignore[operator]
    draws = torch.Generator().manual_seed(0)
    for step in range(steps):
        if chunk > 1 and step % chunk == 0:
            rollout.memories.append(state[1])
        frames = torch.randint(256, (lanes, 24, 24, 3), dtype=torch.uint8)
        first = torch.tensor([step in (0, 3 + lane) for lane in range(lanes)])
        decided = module.decide(frames, first, state, draws)
        state = decided.state
        known, clone = module.clone_log_probs(decided.seen, first[:, None], clone)
        rollout.seen[:, step], rollout.first[:, step] = decided.seen[:, 0], first
        rollout.log_prob[:, step], rollout.values[:, step] = decided.log_prob, decided.value
        for name, classes in decided.classes.items():
            rollout.classes[name][:, step], rollout.anchor[name][:, step] = classes, known[name][:, 0]
    rollout.valid[:] = True
    rollout.advantage = torch.randn(lanes, steps)
    rollout.returns = torch.randn(lanes, steps)
    return rollout


def whole(rollout: Rollout, iteration: int = 9) -> PolicyBatch:
    return rollout.batch(torch.arange(rollout.num_sequences), iteration)


CONVOLUTIONS = ("net.img_process.cnn.stem", "net.img_process.cnn.stacks")


@pytest.mark.parametrize("frozen", [(), CONVOLUTIONS])
@pytest.mark.parametrize(("layers", "chunk"), [(0, 1), (1, 4)])
def test_what_it_did_has_the_same_probability_when_it_is_learned_from(
    layers: int, chunk: int, frozen: tuple[str, ...]
) -> None:
    """In sequences with the memory of their beginnings, and as single frames: every ratio is 1, every KL 0."""
    module = module_of(layers, **{"freezing.freeze": frozen}).eval()
    rollout, told = rollout_of(module, chunk=chunk), {}
    assert rollout.seen.is_floating_point() == bool(frozen)
    module.log_dict = lambda values, **more: told.update(values)  # type: ignore[method-assign, assignment]
    module.training_step(whole(rollout), 0)
    assert abs(float(told["train/kl_step"])) < 1e-5
    assert float(told["train/clipped"]) == 0
    assert abs(float(told["train/kl_clone"])) < 1e-5
    assert float(told["train/policy_loss"]) == pytest.approx(-float(rollout.advantage.mean()), abs=1e-3)


def test_actions_that_earned_more_than_expected_become_likelier() -> None:
    module = module_of(anchor=AnchorConfig(weight=0.0)).train()
    rollout = rollout_of(module)
    rollout.advantage = torch.where(rollout.classes["steering"] > 15, 1.0, -1.0)
    optimizer = torch.optim.Adam(module.net.parameters(), lr=3e-3)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = module.training_step(whole(rollout), 0)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.1


def test_the_anchor_holds_the_policy_at_its_clone() -> None:
    apart = []
    for weight in (0.0, 20.0):
        module = module_of(**{"anchor.weight": weight, "anchor.decay": 1.0, "ppo.clip": 9.0}).train()
        rollout = rollout_of(module)
        rollout.advantage = torch.where(rollout.classes["steering"] > 15, 1.0, -1.0)
        optimizer = torch.optim.Adam([*module.net.parameters(), *module.pi_head.parameters()], lr=3e-3)
        for _ in range(30):
            optimizer.zero_grad()
            module.training_step(whole(rollout), 0).backward()
            optimizer.step()
        features, _ = module.net(whole(rollout).seen, whole(rollout).first)
        apart.append(divergence(whole(rollout).anchor, module.log_probs(features), {}).mean().item())
    assert apart[1] < 0.5 * apart[0]


def test_the_policy_waits_while_the_critic_learns() -> None:
    module = module_of(**{"ppo.critic_iterations": 3}).train()
    rollout = rollout_of(module)
    for iteration, waits in ((2, True), (3, False)):
        module.zero_grad()
        module.training_step(whole(rollout, iteration), 0).backward()
        module.on_before_optimizer_step(None)  # type: ignore[arg-type]
        moved = {name.split(".")[0] for name, x in module.named_parameters() if x.grad is not None}
        assert moved == ({"value_head"} if waits else {"net", "pi_head", "value_head"})


def test_ignored_actions_teach_nothing() -> None:
    module = module_of().train()
    rollout = rollout_of(module)
    rollout.valid[:, 5] = False
    before = module.training_step(whole(rollout), 0)
    rollout.advantage[:, 5], rollout.returns[:, 5] = 100.0, 100.0
    assert torch.allclose(module.training_step(whole(rollout), 0), before)


def test_the_weight_of_the_anchor_falls_to_its_end() -> None:
    anchor = AnchorConfig(weight=0.2, decay=0.5, least=0.04)
    assert [anchor.at(n) for n in range(4)] == pytest.approx([0.2, 0.1, 0.05, 0.04])


def test_an_export_leaves_the_clone_out_and_drives(tmp_path: Path) -> None:
    module = module_of()
    weights = {name: x for name, x in module.state_dict().items() if not name.startswith("original.")}
    save_checkpoint(tmp_path, "racing_vpt.models.vpt_rl.VPTRL", OPTIONS, weights)
    agent = load_agent(str(tmp_path))
    controls = agent.act(np.zeros((96, 96, 3), np.uint8))
    assert list(controls) == ["steering", "throttle", "brake", "gear_change"]


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        (PPOConfig, {"discount": 1.5}, "discount must lie in"),
        (PPOConfig, {"clip": 0.0}, "clip and ppo.critic_rate must be more than 0"),
        (PPOConfig, {"critic_iterations": -1}, "at least 0"),
        (AnchorConfig, {"weight": 0.1, "least": 0.2}, "anchor.least <= anchor.weight"),
        (RewardConfig, {"env": 0.0}, "other than 0"),
    ],
)
def test_numbers_out_of_range_are_refused(config: type, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config(**options)
