"""Networks and losses of Q-learning, compared with results by hand."""

from __future__ import annotations

import pytest
import torch

from racing_vpt.nn.q_learning import grow, margin_loss, quantile_huber, shrink
from racing_vpt.nn.q_net import NoisyLinear, QNet, factor

torch.set_num_threads(1)
FRAMES = torch.randint(0, 256, (3, 4, 84, 84), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"dueling": True, "quantiles": 7, "layer_norm": True},
        {"noisy": True, "dueling": True},
        {"trunk": "impala", "channels": (4, 4), "layer_norm": True},
        {"channels": (32, 64, 64), "hidden": 512},
    ],
)
def test_every_action_has_a_value_that_depends_on_every_frame(options: dict) -> None:
    torch.manual_seed(0)
    net = QNet(5, 4, 84, 84, **options).eval()
    values = net(FRAMES)
    assert values.shape == (3, 5, options.get("quantiles", 1))
    for frame in range(4):
        changed = FRAMES.clone()
        changed[0, frame] = 255 - changed[0, frame]
        assert not torch.allclose(net(changed)[0], values[0], atol=1e-6)
        assert torch.allclose(net(changed)[1:], values[1:], atol=1e-5)


def test_the_plain_network_has_the_expected_layers() -> None:
    shapes = [tuple(x.shape) for x in QNet(5, 4, 84, 84).parameters() if x.ndim > 1]
    assert shapes == [(16, 4, 8, 8), (32, 16, 4, 4), (256, 32 * 9 * 9), (5, 256)]


def test_dueling_streams_separate_the_state_from_the_actions() -> None:
    net = QNet(5, 4, 84, 84, dueling=True).eval()
    before = net(FRAMES)
    with torch.no_grad():
        net.advantage.bias += 3.0  # all actions alike: it is not what tells them apart
    assert torch.allclose(net(FRAMES), before, atol=1e-5)
    with torch.no_grad():
        net.value.bias += 3.0
    assert torch.allclose(net(FRAMES), before + 3.0, atol=1e-5)


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="even number"):
        QNet(5, 4, 84, 84, hidden=255)
    with pytest.raises(ValueError, match="too small"):
        QNet(5, 4, 32, 32, channels=(8, 8, 8))
    with pytest.raises(ValueError, match="1 to 3 convolutions"):
        QNet(5, 4, 84, 84, channels=(8, 8, 8, 8))


def test_noise_is_drawn_in_training_only_and_is_factorised() -> None:
    layer, x = NoisyLinear(6, 4), torch.randn(2, 6)
    torch.manual_seed(5)
    noisy = layer(x)
    torch.manual_seed(5)
    noise_in, noise_out = factor(torch.randn(6)), factor(torch.randn(4))
    weight = layer.weight + layer.weight_sigma * torch.outer(noise_out, noise_in)
    assert torch.allclose(noisy, x @ weight.T + layer.bias + layer.bias_sigma * noise_out, atol=1e-6)
    assert not torch.allclose(layer(x), noisy)
    layer.eval()
    assert torch.allclose(layer(x), x @ layer.weight.T + layer.bias, atol=1e-6)
    assert torch.equal(layer(x), layer(x))


def test_one_quantile_is_the_huber_loss() -> None:
    taken, target = torch.tensor([[0.0], [0.0]]), torch.tensor([[0.5], [-3.0]])
    assert quantile_huber(taken, target, 1.0).tolist() == pytest.approx([0.125, 2.5])


def test_quantiles_settle_where_the_quantiles_are() -> None:
    samples = torch.linspace(0, 1, 201).square().unsqueeze(0)  # quantile t is at t^2
    quantiles = torch.zeros(1, 4, requires_grad=True)
    optimizer = torch.optim.Adam([quantiles], lr=0.01)
    for _ in range(600):
        optimizer.zero_grad()
        quantile_huber(quantiles, samples, 0.01).sum().backward()
        optimizer.step()
    assert quantiles[0].tolist() == pytest.approx([(2 * i + 1) ** 2 / 64 for i in range(4)], abs=0.02)


def test_a_demonstrators_action_is_to_be_best_by_a_margin() -> None:
    values = torch.tensor([[1.0, 2.0, 0.0], [3.0, 0.0, 0.0], [1.0, 0.5, 0.0]])
    chosen = torch.tensor([1, 1, 0])
    assert margin_loss(values, chosen, 0.8).tolist() == pytest.approx([0.0, 3.8, 0.3])


def test_rescaled_values_come_back() -> None:
    values = torch.tensor([-500.0, -3.0, 0.0, 0.01, 90.0, 400.0], dtype=torch.float64)
    assert torch.allclose(grow(shrink(values)), values, atol=1e-6)
    assert shrink(values).abs().max() < 22
