"""World models over tokens: exact sliding window, separate episodes, losses, and no seam."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from racing_vpt.games.controls import ControlScheme
from racing_vpt.games.heads import Choice
from racing_vpt.games.read import load_game
from racing_vpt.nn.frame_world import FrameWorld
from racing_vpt.nn.mixture_world import MixtureWorld, Recurrence
from racing_vpt.nn.outcomes import ActionKind, ValueDistribution, numbers_of
from racing_vpt.nn.seam import roughness, seam
from racing_vpt.nn.token_blocks import Blocks, Positions, WorldSize, turned, turns
from racing_vpt.nn.token_net import TokenState, TokenWorldNet, known_in
from racing_vpt.nn.token_world import GPTWorld

SIZE = WorldSize(layers=3, width=32, heads=2, window=4, dropout=0.0)
K, VOCABULARY = 4, 20
KINDS = [GPTWorld, FrameWorld, MixtureWorld]
torch.set_num_threads(1)


def world(kind: type[TokenWorldNet], actions: ActionKind = "continuous") -> TokenWorldNet:
    """A network whose outputs depend strongly on its inputs."""
    torch.manual_seed(0)
    blocks: nn.Module = Blocks(SIZE, "rotary", K + 1 if kind is GPTWorld else 1)
    blocks = Recurrence(SIZE) if kind is MixtureWorld else blocks
    net = kind(blocks, load_game("carracing:few").scheme(), VOCABULARY, K, actions).eval()  # type: ignore[arg-type]
    for weight in net.parameters():
        if weight.ndim > 1:
            nn.init.normal_(weight, std=0.3)
    return net


def episode(B: int = 3, T: int = 18) -> tuple[Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(1)
    first = torch.zeros(B, T, dtype=torch.bool)
    first[:, 0] = True
    return torch.randint(VOCABULARY, (B, T, K), generator=draw), torch.rand(B, T, 3, generator=draw), first


def led_here(actions: Tensor) -> Tensor:
    return torch.cat([torch.zeros_like(actions[:, :1]), actions[:, :-1]], 1)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_a_window_that_slides_equals_the_same_in_one_piece(kind: type[TokenWorldNet]) -> None:
    net, (tokens, actions, first) = world(kind), episode()
    state = net.observe(tokens[:, :1], actions[:, :1], net.initial(3))
    imagined, rewards, ends = [tokens[:, 0]], [], []
    for step in range(17):  # four windows
        found = net.imagine(actions[:, step], state, tau=0.0)
        state = found.state  # type: ignore[assignment]
        imagined.append(found.observation)
        rewards.append(found.reward)
        ends.append(found.end)
    drawn = torch.stack(imagined, 1)
    whole = net.predict(drawn, actions, first)
    torch.testing.assert_close(torch.stack(ends, 1), whole.end[:, :-1].sigmoid(), atol=1e-4, rtol=0)
    torch.testing.assert_close(torch.stack(rewards, 1), net.reward.mean(whole.reward)[:, :-1], atol=1e-4, rtol=1e-4)
    assert torch.stack(ends, 1).std() > 0.01
    if isinstance(net, MixtureWorld):  # the likeliest frame is not made of the likeliest tokens
        return
    if isinstance(net, FrameWorld):
        assert torch.equal(drawn[:, 1:], net.tokens(whole.tokens, 0.0))
        return
    best = whole.tokens.max(-1).values
    torch.testing.assert_close(whole.tokens.gather(-1, drawn[:, 1:, :, None])[..., 0], best, atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", [GPTWorld, FrameWorld])
@torch.no_grad()
def test_compiled_blocks_dream_the_same_over_several_windows_with_few_programs(kind: type[TokenWorldNet]) -> None:
    def program(graph: Any, inputs: Any) -> Any:
        programs.append(graph)
        return graph.forward

    torch._dynamo.reset()  # type: ignore[no-untyped-call]
    (tokens, actions, _), dreams, programs = episode(), [], list[object]()
    for compiled in (False, True):
        net = world(kind)
        if compiled:
            net.blocks.compile(backend=program)  # type: ignore[attr-defined]
        state, dream = net.observe(tokens[:, :1], actions[:, :1], net.initial(3)), []
        for step in range(12):  # three windows
            found = net.imagine(actions[:, step], state, tau=0.0)
            state = found.state  # type: ignore[assignment]
            dream.append(found.observation)
        dreams.append(torch.stack(dream, 1))
    torch.testing.assert_close(dreams[0], dreams[1])
    assert len(dreams[0].unique(dim=1)) > 1
    assert 2 <= len(programs) <= 10  # of two parts, for one token and for more, however many layers and windows


@pytest.mark.parametrize("kind", [GPTWorld, FrameWorld])
@torch.no_grad()
def test_with_absolute_positions_a_clip_is_a_window_after_the_other(kind: type[TokenWorldNet]) -> None:
    torch.manual_seed(0)
    blocks = Blocks(SIZE, "absolute", K + 1 if kind is GPTWorld else 1)
    net, (tokens, actions, first) = (
        kind(blocks, load_game("carracing:few").scheme(), VOCABULARY, K).eval(),
        episode(T=10),
    )
    first[1, 6] = True
    whole = net.predict(tokens, actions, first).end
    for begin in (0, 4, 8):
        part = slice(begin, begin + SIZE.window)
        torch.testing.assert_close(whole[:, part], net.predict(tokens[:, part], actions[:, part], first[:, part]).end)


@pytest.mark.parametrize("kind", [FrameWorld, MixtureWorld])
def test_in_training_it_goes_on_from_frames_that_it_imagined_from_true_ones(kind: type[TokenWorldNet]) -> None:
    net, (tokens, actions, first) = world(kind).train(), episode(B=40, T=9)
    first[3, 5] = True
    net.unroll = 4
    seen = net.dreamt_in(tokens, actions, first)
    assert net.training
    changed = (seen != tokens).any(-1)  # (B, T)
    assert 10 < int(changed.any(1).sum()) < 36  # of 40 rows
    begin = int(changed.any(0).nonzero()[0])
    assert not changed[:, begin + 4 :].any()
    if begin <= 5 < begin + 4:
        assert not changed[3].any()
    row = int(changed.any(1).nonzero()[0])
    net.eval()
    since = max(0, begin - SIZE.window)
    led = led_here(actions)[[row], since:begin]
    state = net.observe(tokens[[row], since:begin], led, net.initial(1), first[[row], since:begin])
    for step in range(begin, begin + 4):
        imagined = net.imagine(actions[[row], step - 1], state, 0.0)
        state = imagined.state  # type: ignore[assignment]
        assert torch.equal(imagined.observation[0], seen[row, step])
    known = known_in(first, torch.ones_like(first))
    assert net.losses(tokens, actions, first, known)["loss"] == net.losses(tokens, actions, first, known)["loss"]
    torch.manual_seed(0)
    assert (
        net.train().losses(tokens, actions, first, known)["loss"] != net.losses(tokens, actions, first, known)["loss"]
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chunks", [[1] * 15, [5, 1, 9], [2, 13]], ids=str)
@torch.no_grad()
def test_frames_observed_in_parts_equal_those_observed_at_once(kind: type[TokenWorldNet], chunks: list[int]) -> None:
    net, (tokens, actions, first) = world(kind), episode(T=15)
    first[1, 7] = first[2, 13] = True
    at_once, whole = net.observe(tokens, led_here(actions), net.initial(3), first), net.predict(tokens, actions, first)
    state, begin = net.initial(3), 0
    for count in chunks:
        part = slice(begin, begin + count)
        state, begin = net.observe(tokens[:, part], led_here(actions)[:, part], state, first[:, part]), begin + count
    for each in (at_once, state):
        found = net.imagine(actions[:, -1], each, tau=0.0)
        torch.testing.assert_close(found.end, whole.end[:, -1].sigmoid(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", [GPTWorld, FrameWorld])
@torch.no_grad()
def test_only_tokens_within_the_window_have_an_effect(kind: type[TokenWorldNet]) -> None:
    net, (tokens, actions, first) = world(kind), episode()
    before = net.predict(tokens, actions, first).end
    reach = SIZE.layers * (SIZE.window - 1)
    other = tokens.clone()
    other[:, 2] = (tokens[:, 2] + 1) % VOCABULARY
    after = net.predict(other, actions, first).end
    assert torch.equal(before[:, :2], after[:, :2])  # the past
    assert ((before - after)[:, 2 : 2 + SIZE.window].abs() > 1e-6).all()
    torch.testing.assert_close(before[:, 3 + reach :], after[:, 3 + reach :], atol=1e-5, rtol=0)
    first[:, 4] = True
    parted, changed = net.predict(tokens, actions, first).end, net.predict(other, actions, first).end
    torch.testing.assert_close(parted[:, 4:], changed[:, 4:], atol=1e-5, rtol=0)  # another episode


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("actions", ["continuous", "discrete"])
@torch.no_grad()
def test_actions_change_what_comes_next(kind: type[TokenWorldNet], actions: ActionKind) -> None:
    net, (tokens, given, first) = world(kind, actions), episode()
    other = given.clone()
    other[:, 5, 0] = -given[:, 5, 0] - 0.5
    before, after = net.predict(tokens, given, first), net.predict(tokens, other, first)
    assert torch.equal(before.tokens[:, :5], after.tokens[:, :5])
    assert (before.tokens[:, 5] - after.tokens[:, 5]).abs().max() > 1e-3


def test_rotary_positions_are_exact_after_a_million_tokens() -> None:
    q, k = torch.randn(2, 1, 1, 4, 32)

    def products(begin: int) -> Tensor:
        turn = turns(begin + torch.arange(4), 32, q)
        return turned(q, turn) @ turned(k, turn).transpose(-1, -2)

    torch.testing.assert_close(products(0), products(1_000_003), atol=1e-4, rtol=0)
    assert (products(0) - q @ k.transpose(-1, -2)).abs().max() > 0.1


def test_rewards_keep_their_size_and_signs_are_the_papers() -> None:
    symlog, sign = ValueDistribution(8), ValueDistribution(8, "sign")
    rewards = torch.tensor([-100.0, -0.1, 0.0, 3.4, 7.07])
    shares = symlog.scheme.encode_soft({"value": rewards})["value"]
    torch.testing.assert_close(symlog.mean(shares.clamp(min=1e-30).log()), rewards, atol=1e-3, rtol=1e-4)
    assert sign.loss(torch.zeros(5, 3), rewards).exp() == pytest.approx(torch.full((5,), 3.0), abs=1e-4)
    logits = 9 * torch.eye(3)[[0, 0, 1, 2, 2]]
    assert sign.mean(logits).tolist() == [-1, -1, 0, 1, 1]
    assert sign.loss(logits, rewards).max() < 0.01
    with pytest.raises(ValueError, match="symlog or sign"):
        ValueDistribution(8, "other")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_padding_changes_nothing_and_the_loss_falls(kind: type[TokenWorldNet]) -> None:
    net, (tokens, actions, first) = world(kind), episode(T=8)
    for weight in net.parameters():
        weight.data.mul_(0.2)
    valid, rewards, ended = torch.ones(3, 8, dtype=torch.bool), torch.randn(3, 8), torch.zeros(3, 8, dtype=torch.bool)
    valid[1, 5:] = False
    ended[1, 4] = True
    before = net.losses(tokens, actions, first, known_in(first, valid), rewards, ended)
    tokens[1, 5:], rewards[1, 5:] = 3, 1e3
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    losses = []
    for _ in range(25):
        losses.append(net.losses(tokens, actions, first, known_in(first, valid), rewards, ended))
        optimizer.zero_grad()
        losses[-1]["loss"].backward()
        optimizer.step()
    for name, loss in before.items():
        torch.testing.assert_close(losses[0][name], loss)
    assert losses[-1]["loss"] < 0.8 * losses[0]["loss"]


def test_a_mixture_draws_frames_whose_tokens_fit_each_other() -> None:
    """All tokens of the next frame are 0 or all are 1, which nothing before tells."""
    torch.manual_seed(0)
    net = world(MixtureWorld).train()
    for weight in net.parameters():
        weight.data.mul_(0.2)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(150):
        tokens = torch.randint(2, (32, 4, 1)).expand(32, 4, K)
        first = torch.zeros(32, 4, dtype=torch.bool)
        loss = net.losses(tokens, torch.zeros(32, 4, 3), first, known_in(first, ~first))["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 1.3 * torch.tensor(2.0).log() / K  # one coin a frame, where independent tokens cost K of them
    net.eval()
    state = net.observe(torch.zeros(256, 1, K, dtype=torch.int64), torch.zeros(256, 1, 3), net.initial(256))
    drawn = net.imagine(torch.zeros(256, 3), state).observation
    whole = (drawn == drawn[:, :1]).all(1).float().mean()
    assert whole > 0.95
    assert 0.3 < drawn[:, 0].float().mean() < 0.7
    expected = net.predict(tokens, torch.zeros(32, 4, 3), first).tokens.exp()
    torch.testing.assert_close(expected.sum(-1), torch.ones(32, 3, K), atol=1e-4, rtol=0)


def circle(rows: int, frames: int) -> Tensor:
    """A point on a circle of 24 places, moving either way; a single frame does not show which."""
    begin, way = torch.randint(24, (rows, 1)), torch.randint(2, (rows, 1)) * 2 - 1
    return ((begin + way * torch.arange(frames)) % 24).unsqueeze(-1)  # (rows, frames, 1)


def imagined_circle(positions: Positions) -> tuple[Tensor, Tensor]:
    """Jumps [1000] in a thousand imagined frames, and the frames after which the cache was cleared."""
    torch.manual_seed(0)
    size = WorldSize(layers=2, width=32, heads=2, window=8, dropout=0.0)
    net = GPTWorld(Blocks(size, positions, 2), ControlScheme("none", [Choice("none", (0.0, 1.0))]), 24, 1)
    optimizer = torch.optim.Adam(net.parameters(), lr=4e-3)
    T = 8 if positions == "absolute" else 16
    still = torch.zeros(32, T, 1)
    for _ in range(160):
        tokens = circle(32, T)
        first, valid = torch.zeros(32, T, dtype=torch.bool), torch.ones(32, T, dtype=torch.bool)
        optimizer.zero_grad()
        net.losses(tokens, still, first, known_in(first, valid))["loss"].backward()
        optimizer.step()
    seen: list[Tensor] = []
    flushed: list[bool] = []
    with torch.no_grad():
        state: TokenState = net.eval().observe(circle(4, 3), still[:4, :3], net.initial(4))
        for _ in range(1000):
            step = net.imagine(still[:4, 0], state, 0.3)
            flushed.append(step.state.flushes > state.flushes)  # type: ignore[attr-defined]
            state = step.state  # type: ignore[assignment]
            seen.append(step.observation[:, 0])
    angle = torch.stack(seen) * (2 * torch.pi / 24)  # (1000, 4)
    return roughness(torch.cat([angle.cos(), angle.sin()], 1)), torch.tensor(flushed)


def test_a_thousand_imagined_frames_have_no_seam_where_a_flushed_memory_has_many() -> None:
    jumps, flushed = imagined_circle("absolute")
    assert flushed.sum() > 100
    assert seam(jumps, flushed) > 2
    slid, never = imagined_circle("rotary")
    assert not never.any()
    assert 0.7 < seam(slid, flushed) < 1.4  # the same places
    with pytest.raises(ValueError, match="seam"):
        seam(slid, never)


def test_actions_need_all_controls() -> None:
    with pytest.raises(ValueError, match="carracing"):
        numbers_of({"steering": torch.zeros(2)}, load_game("carracing:few").scheme())


@pytest.mark.parametrize("kind", KINDS)
def test_embeddings_start_like_the_codes_at_their_own_scale(kind: type[TokenWorldNet]) -> None:
    net, few = world(kind), torch.randn(VOCABULARY, 3) + 5
    size = net.token.weight.square().mean()
    for codes in (few, few @ torch.randn(3, 500)):  # fewer numbers than an embedding has, and more
        net.take_codes(codes)
        apart, expected = torch.cdist(net.token.weight, net.token.weight), torch.cdist(codes, codes)
        torch.testing.assert_close(apart / apart.max(), expected / expected.max(), atol=1e-3, rtol=0)
        torch.testing.assert_close(net.token.weight.square().mean(), size)


@torch.no_grad()
def test_between_two_futures_the_token_nearest_to_the_mean_is_predicted() -> None:
    net = world(FrameWorld)
    net.token.weight.zero_()[:3, 0] = torch.tensor([-1.0, 0.1, 1.0])  # type: ignore[union-attr]
    net.token.weight[3:, 1] = 9.0  # type: ignore[union-attr]
    logits = torch.tensor([0.4, 0.2, 0.4] + [0.0] * (VOCABULARY - 3)).log()
    assert net.tokens(logits, 0.0) == 1  # type: ignore[operator]
    drawn = net.tokens(logits.expand(500, -1), 1.0)  # type: ignore[operator]
    assert {0, 1, 2} == {*drawn.tolist()}
