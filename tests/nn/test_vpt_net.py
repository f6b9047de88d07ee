"""Sizes, memory and causality; parity with OpenAI's code is tested in tests/models/test_openai.py."""

import pytest
import torch
from torch import Tensor, nn

from racing_vpt.nn.heads import ActionHeads, ValueHead, log_probabilities
from racing_vpt.nn.sizes import IDM_SIZES, POLICY_SIZES, NetSize
from racing_vpt.nn.transformer import NetState
from racing_vpt.nn.vpt_net import VPTNet

MINECRAFT = {"buttons": 8641, "camera": 121}
MINECRAFT_IDM = {"buttons": (20, 2), "camera": (2, 11)}
CAR = {"steering": 11, "throttle": 3}


class Policy(nn.Module):
    """A causal trunk with heads: frames to logits by name, the value, and the memory."""

    def __init__(self, size: NetSize, classes: dict, height: int = 128, width: int = 128) -> None:
        super().__init__()
        self.net = VPTNet(size, height, width)
        self.pi_head = ActionHeads(size.hidsize, classes)
        self.value_head = ValueHead(size.hidsize)

    def forward(self, frames: Tensor, first: Tensor, state: NetState | None = None) -> tuple:
        features, state = self.net(frames, first, state)
        return self.pi_head(features), self.value_head(features), state


class Idm(nn.Module):
    """A trunk that is not causal, with heads: windows of frames to logits by name."""

    def __init__(self, size: NetSize, classes: dict, height: int = 128, width: int = 128) -> None:
        super().__init__()
        self.net = VPTNet(size, height, width, causal=False)
        self.pi_head = ActionHeads(size.hidsize, classes)

    def forward(self, frames: Tensor, valid: Tensor | None = None) -> dict[str, Tensor]:
        first = torch.zeros(frames.shape[:2], dtype=torch.bool)
        return self.pi_head(self.net(frames, first, None, valid)[0])


def drive(policy: Policy, frames: Tensor, first: Tensor, borders: list[int]) -> dict[str, Tensor]:
    """Outputs over (B, T) frames fed in chunks that end at the borders: log-probabilities by name, and the value."""
    state, parts = None, []
    with torch.no_grad():
        for start, end in zip([0, *borders], [*borders, frames.shape[1]], strict=True):
            logits, value, state = policy(frames[:, start:end], first[:, start:end], state)
            parts.append(log_probabilities(logits) | {"value": policy.value_head.denormalise(value)})
    return {name: torch.cat([part[name] for part in parts], dim=1) for name in parts[0]}


def worst(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    """Largest absolute difference."""
    return max(float((a[name] - b[name]).abs().max()) for name in a)


def small_policy(**options: object) -> Policy:
    size = NetSize(hidsize=32, attention_heads=4, impala_chans=(4, 8), n_recurrence_layers=2,
                   attention_memory_size=14, timesteps=8, **options)  # fmt: skip
    torch.manual_seed(0)
    policy = Policy(size, CAR, 16, 24).eval()
    with torch.no_grad():  # heads start near zero, where nothing could be told apart
        for head in policy.pi_head.values():
            head.linear_layer.weight.mul_(100)
    return policy


def small_idm(**options: object) -> Idm:
    size = NetSize(hidsize=32, attention_heads=4, impala_chans=(4, 8), n_recurrence_layers=2,
                   attention_memory_size=8, timesteps=8, conv3d_outchan=6, **options)  # fmt: skip
    torch.manual_seed(0)
    idm = Idm(size, CAR, 16, 24).eval()
    with torch.no_grad():
        for head in idm.pi_head.values():
            head.linear_layer.weight.mul_(100)
    return idm


def noise(batch: int, length: int) -> Tensor:
    return torch.randint(
        0, 256, (batch, length, 16, 24, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )


@pytest.mark.parametrize(("size", "count"), [("1x", 70_998_654), ("2x", 248_495_294), ("3x", 532_504_318)])
def test_a_published_policy_size_has_the_published_parameter_count(size: str, count: int) -> None:
    with torch.device("meta"):
        policy = Policy(POLICY_SIZES[size], MINECRAFT)
    assert sum(p.numel() for p in policy.parameters()) == count


def test_the_published_idm_size_has_the_released_files_parameter_count() -> None:
    """482,330,046 are in the released file; the 482,332,606 that is also quoted has b_nd [10, 128] in both blocks."""
    with torch.device("meta"):
        idm = Idm(IDM_SIZES["4x"], MINECRAFT_IDM)
    count = sum(p.numel() for p in idm.parameters())
    assert count == 482_330_046
    assert count + 2 * 10 * 128 == 482_332_606


@pytest.mark.parametrize("stem", ["impala", "strided"])
def test_one_step_at_a_time_with_memory_equals_the_whole_sequence(stem: str) -> None:
    policy = small_policy(stem=stem)
    frames, first = noise(2, 20), torch.zeros(2, 20, dtype=torch.bool)
    first[0, [0, 5, 6]] = True
    first[1, [0, 13]] = True
    whole = drive(policy, frames, first, [])
    assert worst(whole, drive(policy, frames, first, list(range(1, 20)))) < 1e-4
    assert worst(whole, drive(policy, frames, first, [3, 4, 11])) < 1e-4


def test_a_new_episode_sees_nothing_of_the_one_before() -> None:
    policy = small_policy()
    frames, first = noise(1, 12), torch.zeros(1, 12, dtype=torch.bool)
    first[0, [0, 5]] = True
    joined = drive(policy, frames, first, [])
    alone = drive(policy, frames[:, 5:], first[:, 5:], [])
    assert worst({name: x[:, 5:] for name, x in joined.items()}, alone) < 1e-4
    flagless = drive(policy, frames, torch.zeros_like(first), [])
    assert worst({name: x[:, 5:] for name, x in flagless.items()}, alone) > 1e-2, "the flag must matter here"


def test_changing_a_frame_leaves_earlier_outputs_of_a_policy_alone() -> None:
    policy = small_policy()
    frames, first = noise(1, 12), torch.zeros(1, 12, dtype=torch.bool)
    changed = frames.clone()
    changed[:, 7] = 255 - changed[:, 7]
    before, after = drive(policy, frames, first, []), drive(policy, changed, first, [])
    for name in before:
        assert torch.equal(before[name][:, :7], after[name][:, :7])
        assert not torch.allclose(before[name][:, 7:], after[name][:, 7:], atol=1e-3)


def test_memory_reaches_exactly_as_far_back_as_it_says() -> None:
    size = NetSize(hidsize=32, attention_heads=4, impala_chans=(4, 8), n_recurrence_layers=1,
                   attention_memory_size=14, timesteps=8)  # fmt: skip
    torch.manual_seed(0)
    policy = Policy(size, CAR, 16, 24).eval()
    frames, first = noise(1, 12), torch.zeros(1, 12, dtype=torch.bool)
    changed = frames.clone()
    changed[:, 2] = 255 - changed[:, 2]
    with torch.no_grad():
        difference = (policy.net(frames, first)[0] - policy.net(changed, first)[0]).abs().amax(2)[0]
    assert size.memory == 6
    assert difference[[2, 7]].min() > 1e-5, "a query reaches 6 keys, itself included"
    assert difference[8:].max() < 1e-6


@pytest.mark.parametrize("options", [{}, {"relative_window": 3, "conv3d_kernel": (9, 3, 3), "conv3d_stride": 2}])
def test_invalid_frames_have_no_effect(options: dict[str, object]) -> None:
    idm = small_idm(**options)
    frames, valid = noise(2, 10), torch.ones(2, 10, dtype=torch.bool)
    valid[1, 6:] = False
    with torch.no_grad():
        padded = idm(frames, valid)
        alone = idm(frames[1:, :6])
    assert worst({name: x[1:, :6] for name, x in padded.items()}, alone) < 1e-4


def test_only_relative_positions_give_an_idms_attention_the_order() -> None:
    """With a kernel of one frame, reversing time reverses the outputs unless there are relative positions."""
    frames = noise(1, 10)
    for window, ordered in ((0, False), (4, True)):
        idm = small_idm(conv3d_kernel=(1, 3, 3), relative_window=window)
        with torch.no_grad():
            forward, backward = idm(frames), idm(frames.flip(1))
        difference = worst(forward, {name: x.flip(1) for name, x in backward.items()})
        assert (difference > 1e-3) == ordered


@pytest.mark.parametrize("model", ["policy", "idm"])
def test_every_parameter_that_wants_a_gradient_gets_one(model: str) -> None:
    """DDP waits forever, or raises, if one does not."""
    frames, first = noise(1, 10), torch.zeros(1, 10, dtype=torch.bool)
    if model == "policy":
        policy = small_policy().train()
        logits, value, _ = policy(frames, first)
        (sum(x.square().sum() for x in logits.values()) + value.square().sum()).backward()
        parameters = dict(policy.named_parameters())
    else:
        idm = small_idm().train()
        sum(x.square().sum() for x in idm(frames).values()).backward()
        parameters = dict(idm.named_parameters())
    assert [name for name, p in parameters.items() if p.requires_grad and p.grad is None] == []


def test_a_bf16_autocast_step_gives_float32_logits_near_the_float32_ones() -> None:
    policy = small_policy()
    frames, first = noise(2, 6), torch.zeros(2, 6, dtype=torch.bool)
    exact = drive(policy, frames, first, [3])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = drive(policy, frames, first, [3])
    assert all(x.dtype == torch.float32 for x in rough.values())
    assert worst(exact, rough) < 0.2


def test_frames_of_another_size_are_an_error_that_names_both() -> None:
    first = torch.zeros(1, 2, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"\(1, 2, 8, 8, 3\), expected torch.uint8 \(B, T, 16, 24, 3\)"):
        small_policy().net(torch.zeros(1, 2, 8, 8, 3, dtype=torch.uint8), first)


def test_a_causal_net_without_memory_is_refused() -> None:
    with pytest.raises(ValueError, match="attention_memory_size 8 and timesteps 8"):
        Policy(NetSize(hidsize=32, attention_heads=4, attention_memory_size=8, timesteps=8), CAR, 16, 16)


def test_the_whole_step_compiles_into_one_graph() -> None:
    policy = small_policy(stem="strided")
    compiled = torch.compile(policy, backend="aot_eager", fullgraph=True)
    frames, first = noise(2, 6), torch.zeros(2, 6, dtype=torch.bool)
    first[:, 3] = True
    with torch.no_grad():
        eager, graph = policy(frames, first)[0], compiled(frames, first)[0]
    assert worst(eager, graph) < 1e-4


def test_a_net_without_blocks_looks_at_each_frame_alone() -> None:
    size = NetSize(hidsize=32, attention_heads=4, impala_chans=(4, 8), n_recurrence_layers=0)
    policy = Policy(size, CAR, 16, 24).eval()
    frames, first = noise(1, 4), torch.zeros(1, 4, dtype=torch.bool)
    assert worst(drive(policy, frames, first, []), drive(policy, frames, first, [1, 2, 3])) < 1e-5
