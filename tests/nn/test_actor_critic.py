"""Actor and critic: returns by hand, losses, burn-in of memories, and learning in dreams."""

import pytest
import torch
from torch import Tensor

from racing_vpt.games.read import load_game
from racing_vpt.nn.actor_critic import AGENT_SIZES, ActorCritic, chosen_log_prob, entropy
from racing_vpt.nn.dreaming import dream, learn
from racing_vpt.nn.imagination import Imagined
from racing_vpt.nn.returns import Spread, TargetCritic, lambda_returns, policy_loss, reached

torch.set_num_threads(1)


def test_lambda_returns_are_those_worked_out_by_hand() -> None:
    rewards, ends = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[0.0, 0.5, 0.0]])
    values = torch.tensor([[9.0, 10.0, 20.0, 30.0]])
    third = 3 + 0.9 * 30
    second = 2 + 0.9 * 0.5 * (0.2 * 20 + 0.8 * third)
    first = 1 + 0.9 * (0.2 * 10 + 0.8 * second)
    torch.testing.assert_close(lambda_returns(rewards, ends, values, 0.9, 0.8), torch.tensor([[first, second, third]]))
    one_step = rewards + 0.9 * (1 - ends) * values[:, 1:]
    torch.testing.assert_close(lambda_returns(rewards, ends, values, 0.9, 0.0), one_step)
    torch.testing.assert_close(reached(ends), torch.tensor([[1.0, 1.0, 0.5]]))
    with pytest.raises(ValueError, match="one value more"):
        lambda_returns(rewards, ends, values[:, :3])


def test_the_policy_loss_favours_what_was_better_than_expected() -> None:
    logits = torch.zeros(1, 2, 3, requires_grad=True)
    log_probs = {"a": logits.log_softmax(-1)}
    classes = {"a": torch.tensor([[0, 1]])}
    loss = policy_loss(
        chosen_log_prob(log_probs, classes), entropy(log_probs), torch.tensor([[1.0, -1.0]]), torch.ones(1, 2), 0.0
    )
    loss.backward()
    assert logits.grad is not None
    assert logits.grad[0, 0, 0] < 0 < logits.grad[0, 1, 1]
    torch.testing.assert_close(entropy(log_probs).detach().exp(), torch.full((1, 2), 3.0))


def test_an_actor_stays_close_to_the_one_that_dreamt() -> None:
    draw = torch.Generator().manual_seed(0)
    chosen = torch.randn(2, 3, generator=draw).requires_grad_(True)
    aims, nothing, everything = torch.randn(2, 3, generator=draw), torch.zeros(2, 3), torch.ones(2, 3)
    gradients = []
    for before in (None, chosen.detach()):  # a dream of its own: as REINFORCE
        gradients.append(torch.autograd.grad(policy_loss(chosen, nothing, aims, everything, 0.0, before), chosen)[0])
    torch.testing.assert_close(gradients[1], gradients[0])
    far = chosen.detach() - torch.log(torch.tensor(1.3)) * aims.sign()  # it went where it was led, by more than a fifth
    led = torch.autograd.grad(policy_loss(chosen, nothing, aims, everything, 0.0, far), chosen)[0]
    assert led.abs().max() == 0


@pytest.mark.parametrize("size", ["paper", "tiny"])
@pytest.mark.parametrize("scheme", ["carracing:few", "carracing:five"])
@torch.no_grad()
def test_steps_with_memory_equal_the_whole_and_first_forgets(size: str, scheme: str) -> None:
    torch.manual_seed(0)
    agent, pictures = ActorCritic(AGENT_SIZES[size], load_game(scheme).scheme()), torch.rand(2, 4, 3, 64, 64)
    for weight in agent.actor.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    first = torch.zeros(2, 4, dtype=torch.bool)
    first[1, 2] = True
    whole, _ = agent(pictures, agent.initial(2), first)
    state, parts = agent.initial(2), []
    for step in range(4):
        judged, state = agent(pictures[:, step : step + 1], state, first[:, step : step + 1])
        parts.append(judged)
    name = next(iter(whole.log_probs))
    torch.testing.assert_close(torch.cat([part.log_probs[name] for part in parts], 1), whole.log_probs[name])
    alone, _ = agent(pictures[1:, 2:], agent.initial(1))
    torch.testing.assert_close(alone.log_probs[name], whole.log_probs[name][1:, 2:], atol=1e-5, rtol=1e-5)
    classes, actions = agent.choose(whole)
    assert actions.shape == (2, 4, 3)
    agent.scheme.check(dict(zip(agent.scheme.controls, actions[0, 0].tolist(), strict=True)))
    assert (chosen_log_prob(whole.log_probs, classes) <= 0).all()


def test_the_paper_has_an_lstm_of_512() -> None:
    agent = ActorCritic(AGENT_SIZES["paper"], load_game("carracing:five").scheme())
    assert (agent.memory.input_size, agent.memory.hidden_size) == (1024, 512)


class Lights:
    """A world with one light: throttle turns it on, and each step that starts with it on earns 1."""

    controls = ("steering", "throttle", "brake")

    def code(self, frames: Tensor) -> Tensor:
        return (frames.float().flatten(1).mean(1, keepdim=True) > 127).long()

    def show(self, observations: Tensor) -> Tensor:
        return observations.float().view(-1, 1, 1, 1).expand(-1, 3, 16, 16)

    def initial(self, batch: int) -> Tensor:
        return torch.zeros(batch, 1, dtype=torch.int64)

    def observe(self, observations: Tensor, actions: Tensor, state: Tensor, first: Tensor | None = None) -> Tensor:
        return observations[:, -1]

    def imagine(
        self, actions: Tensor, state: Tensor, tau: float = 1.0, generator: torch.Generator | None = None
    ) -> Imagined:
        light = (actions[:, 1:2] > 0.4).long()
        return Imagined(light, state[:, 0].float(), torch.zeros(len(state)), light)


def test_an_agent_that_dreams_learns_to_turn_on_the_light() -> None:
    torch.manual_seed(0)
    scheme = load_game("carracing:few").scheme()
    agent, world = ActorCritic(AGENT_SIZES["tiny"], scheme, 16, 16), Lights()
    target, spread = TargetCritic(agent, 0.9), Spread()
    optimizer = torch.optim.Adam(agent.parameters(), lr=3e-3)
    earned = []
    for _ in range(60):
        dreamt = dream(world, agent, torch.randint(2, (16, 3, 1)), torch.zeros(16, 3, 3), 8, target=target)
        found = learn(agent, dreamt, target, spread, gamma=0.9)
        optimizer.zero_grad()
        found["loss"].backward()
        optimizer.step()
        target.follow(agent)
        earned.append(float(dreamt.rewards.mean()))
    assert earned[0] < 0.6
    assert sum(earned[-5:]) / 5 > 0.8
    assert dreamt.pictures.shape == (16, 9, 3, 16, 16)
    assert dreamt.before[0].abs().sum() > 0  # burnt in


def test_a_target_critic_follows_slowly_and_a_spread_never_magnifies() -> None:
    net = torch.nn.Linear(2, 1, bias=False)
    twin = TargetCritic(net, 0.75)
    before = net.weight.detach().clone()
    net.weight.data += 1
    twin.follow(net)
    torch.testing.assert_close(twin.net.weight, before + 0.25)
    assert not any(x.requires_grad for x in twin.parameters())
    assert Spread().update(torch.linspace(0, 0.1, 50)) == 1
    assert Spread().update(torch.linspace(0, 100, 101)) == pytest.approx(90)
