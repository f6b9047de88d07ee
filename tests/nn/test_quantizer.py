"""Quantizers: nearest codes, straight-through gradients, codebook updates and revival."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed, multiprocessing

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


def followed(features: Tensor) -> Tensor:
    """The codebook after three steps [3, N, D]."""
    torch.manual_seed(0)
    quantizer = VectorQuantizer(8, 4, decay=0.5, revive_after=0)
    quantizer.begun.fill_(True)
    for step in features:
        quantizer(step)
    return quantizer.codebook


def follow_half(rank: int, folder: str, features: Tensor) -> None:
    """One of two processes, with its half of each step's features."""
    meeting = f"file://{folder}/meeting"
    distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
    torch.save(followed(features.chunk(2, 1)[rank]), f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


def test_two_processes_follow_the_features_of_both(tmp_path: Path) -> None:
    features = torch.randn(3, 64, 4, generator=torch.Generator().manual_seed(0))
    multiprocessing.spawn(follow_half, (str(tmp_path), features), nprocs=2)
    for rank in range(2):
        torch.testing.assert_close(torch.load(tmp_path / f"{rank}.pt"), followed(features))
    assert not torch.allclose(followed(features), followed(features.chunk(2, 1)[0]), atol=0.01)


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
