"""PPO's advantages and losses against what is worked out by hand."""

from __future__ import annotations

import pytest
import torch

from racing_vpt.nn.heads import ValueHead
from racing_vpt.nn.ppo import advantages, chosen, clipped_loss, divergence, entropy, explained_variance

REWARDS = torch.tensor([[1.0, 2.0, 0.0, 3.0, 4.0]])
VALUES = torch.tensor([[10.0, 20.0, 30.0, 40.0, 50.0, 60.0]])


def found(terminated: int | None = None, invalid: int | None = None, trace: float = 1.0) -> list[float]:
    steps = torch.arange(5)
    ends = (steps == terminated)[None] if terminated is not None else torch.zeros(1, 5, dtype=torch.bool)
    valid = (steps != invalid)[None] if invalid is not None else torch.ones(1, 5, dtype=torch.bool)
    return advantages(REWARDS, ends, valid, VALUES, 0.5, trace)[0].tolist()


def test_without_an_end_all_rewards_and_the_last_value_count() -> None:
    last = 4 + 0.5 * 60
    whole = [1 + 0.5 * (2 + 0.5 * (0 + 0.5 * (3 + 0.5 * last))), last]
    assert found()[0] == pytest.approx(whole[0] - 10)
    assert found()[4] == pytest.approx(whole[1] - 50)
    assert found(trace=0.0) == pytest.approx([1 + 10 - 10, 2 + 15 - 20, 0 + 20 - 30, 3 + 25 - 40, 4 + 30 - 50])


def test_a_terminated_episode_is_worth_nothing_afterwards() -> None:
    """It ends at step 1; step 2 shows its last frame, whose action is ignored; step 3 is another episode."""
    one = found(terminated=1, invalid=2)
    assert one[:3] == pytest.approx([1 + 0.5 * 2 - 10, 2 - 20, 0])
    assert one[3:] == pytest.approx(found()[3:])


def test_a_truncated_episode_is_worth_the_value_of_its_last_frame() -> None:
    assert found(invalid=2)[:3] == pytest.approx([1 + 0.5 * (2 + 0.5 * 30) - 10, 2 + 0.5 * 30 - 20, 0])


def test_a_value_for_the_frame_after_the_last_is_needed() -> None:
    with pytest.raises(ValueError, match="one value more"):
        advantages(REWARDS, REWARDS > 9, REWARDS < 9, VALUES[:, 1:], 0.9, 0.9)


def test_heads_add_up_where_they_have_an_effect() -> None:
    log_probs = {name: torch.randn(4, classes).log_softmax(-1) for name, classes in (("a", 3), ("b", 5))}
    classes = {"a": torch.tensor([0, 1, 2, 0]), "b": torch.tensor([4, 3, 2, 1])}
    both = torch.distributions.Categorical(logits=log_probs["a"]).log_prob(
        classes["a"]
    ) + torch.distributions.Categorical(logits=log_probs["b"]).log_prob(classes["b"])
    assert torch.allclose(chosen(log_probs, classes, {}), both)
    counts = {"b": torch.tensor([True, False, True, False])}
    only_a = log_probs["a"].gather(1, classes["a"][:, None])[:, 0]
    assert torch.allclose(chosen(log_probs, classes, counts), torch.where(counts["b"], both, only_a))


def test_divergence_and_entropy_are_torchs() -> None:
    one, two = ({"a": torch.randn(4, 3).log_softmax(-1)} for _ in range(2))
    given, other = (torch.distributions.Categorical(logits=x["a"]) for x in (one, two))
    assert torch.allclose(divergence(one, two, {}), torch.distributions.kl_divergence(given, other), atol=1e-6)
    assert torch.allclose(entropy(one), given.entropy(), atol=1e-6)
    assert torch.equal(divergence(one, one, {}), torch.zeros(4))


def test_a_ratio_beyond_the_clip_gains_nothing_more() -> None:
    ratio = torch.tensor([1.0, 1.5, 1.5, 0.5, 0.5], requires_grad=True)
    loss = clipped_loss(ratio, torch.tensor([1.0, 1.0, -1.0, 1.0, -1.0]), 0.2)
    assert loss.tolist() == pytest.approx([-1.0, -1.2, 1.5, -0.5, 0.8])
    (slopes,) = torch.autograd.grad(loss.sum(), ratio)
    assert slopes.tolist() == [-1.0, 0.0, 1.0, -1.0, 0.0]


def test_explained_variance_is_one_for_the_truth_and_zero_for_the_mean() -> None:
    returns, valid = torch.randn(4, 6), torch.rand(4, 6) > 0.3
    assert explained_variance(returns, returns + 3, valid) == pytest.approx(1)
    assert explained_variance(returns, torch.zeros(4, 6), valid) == pytest.approx(0, abs=1e-5)


def test_a_rescaled_value_head_says_the_same() -> None:
    head, features = ValueHead(8), torch.randn(3, 2, 8)
    head.rescale(torch.tensor([100.0]), torch.tensor([100.0**2 + 25]))
    assert head.normalizer.moments()[0].item() == pytest.approx(100, rel=1e-4)
    before = head.denormalise(head(features))
    head.rescale(torch.tensor([-40.0]), torch.tensor([40.0**2 + 400]))
    assert head.normalizer.moments()[0].item() == pytest.approx(30, rel=1e-3)
    assert torch.allclose(head.denormalise(head(features)), before, rtol=1e-4)
