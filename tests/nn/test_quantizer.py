"""Quantizers: nearest codes, straight gradients, codebooks that follow and do not die."""

import pytest
import torch

from racing_vpt.nn.quantizer import ScalarQuantizer, VectorQuantizer, perplexity, usage


def test_each_feature_becomes_the_nearest_code() -> None:
    torch.manual_seed(0)
    quantizer, features = VectorQuantizer(16, 4).eval(), torch.randn(2, 3, 4)
    quantized = quantizer(features)
    distances = torch.cdist(features.view(6, 4), quantizer.codebook)
    assert torch.equal(quantized.tokens.view(-1), distances.argmin(1))
    torch.testing.assert_close(quantized.codes, quantizer.lookup(quantized.tokens))


@pytest.mark.parametrize("quantizer", [VectorQuantizer(16, 4), ScalarQuantizer((4, 4), 4)], ids=["vq", "fsq"])
def test_gradients_go_straight_through(quantizer: torch.nn.Module) -> None:
    features = torch.randn(5, 4, requires_grad=True)
    quantizer(features).codes.square().sum().backward()
    assert features.grad is not None
    assert (features.grad != 0).any(1).all()


def test_a_codebook_follows_its_features() -> None:
    torch.manual_seed(0)
    quantizer = VectorQuantizer(4, 2, decay=0.5)
    centres = torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 3.0], [0.0, -3.0]])
    for _ in range(40):
        quantizer(centres.repeat(16, 1) + 0.05 * torch.randn(64, 2))
    assert torch.cdist(centres, quantizer.codebook).min(1).values.max() < 0.1
    before = quantizer.codebook.clone()
    quantizer.eval()(torch.randn(64, 2))
    assert torch.equal(quantizer.codebook, before)


def use_after_features_moved(revive_after: int) -> float:
    torch.manual_seed(0)
    quantizer = VectorQuantizer(32, 4, decay=0.9, revive_after=revive_after)
    quantizer(torch.randn(256, 4))
    for _ in range(60):
        quantizer(torch.randn(256, 4) + 20)  # the nearest of the old codes would get everything
    return float((usage(quantizer(torch.randn(2048, 4) + 20).tokens, 32) > 0).float().mean())


def test_dead_codes_are_revived() -> None:
    assert use_after_features_moved(10) > 0.9
    assert use_after_features_moved(0) < 0.5


def test_rare_features_get_codes_where_most_are_the_same() -> None:
    torch.manual_seed(0)
    quantizer, rare = VectorQuantizer(16, 4, decay=0.9, revive_after=4), 3 * torch.randn(12, 4)
    for _ in range(60):
        features = torch.zeros(512, 4)
        features[:12] = rare
        quantizer(features)
    assert torch.cdist(rare, quantizer.codebook).min(1).values.max() < 0.1


def test_scalars_reach_every_token_and_tokens_lead_back() -> None:
    quantizer = ScalarQuantizer((3, 4, 5), 6)
    assert quantizer.vocabulary == 60
    tokens = torch.arange(60)
    numbers = quantizer.table[tokens]
    levels = torch.tensor(quantizer.levels) - 1
    assert torch.equal((((numbers + 1) / 2 * levels).round().long() * quantizer.places).sum(-1), tokens)
    quantized = quantizer(3 * torch.randn(500, 6))
    torch.testing.assert_close(quantized.codes, quantizer.lookup(quantized.tokens))


def test_perplexity_counts_codes_that_are_used_alike() -> None:
    assert perplexity(torch.ones(8)) == pytest.approx(8)
    assert perplexity(torch.tensor([5.0, 5.0, 0.0, 0.0])) == pytest.approx(2)
    assert torch.equal(usage(torch.tensor([[0, 1], [1, 3]]), 4), torch.tensor([1.0, 2.0, 0.0, 1.0]))
