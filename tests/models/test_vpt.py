"""The policy: it learns, it is causal, and its memory ends with the episode."""

import numpy as np
import pytest
import torch
from building import build
from lightning.pytorch import LightningDataModule, Trainer
from torch.utils.data import DataLoader

from racing_vpt.checkpoints.load import read_checkpoint
from racing_vpt.models.vpt import VPT
from racing_vpt.models.vpt_config import CloningConfig, PolicyConfig
from racing_vpt.nn.sizes import NetSize
from racing_vpt.types import Batch, FrameSpec

torch.set_num_threads(1)  # such small networks lose by more

SIZE = NetSize(hidsize=32, attention_heads=2, impala_chans=(8, 8), n_recurrence_layers=1, attention_memory_size=24,
               timesteps=16, stem="strided", stem_chans=8)  # fmt: skip
FRAMES = FrameSpec(height=32, width=32)
MODELS = {
    "memory": {"network.memory_frames": 6},
    "stack": {"network.look_back": (0, 3), "network.recurrence_layers": 0},
    "both": {"network.look_back": (0, 1, 2), "network.memory_frames": 4},
}


def model_of(kind: str = "memory", options: dict | None = None) -> VPT:
    torch.manual_seed(0)
    return build(VPT, {"frames": FRAMES, "network.size": SIZE} | MODELS[kind] | (options or {})).eval()


def batch_of(B: int = 4, T: int = 12, seed: int = 0) -> Batch:
    """Pictures whose brightest column gives the steering, on which throttle and brake depend."""
    rng = np.random.default_rng(seed)
    steering = torch.tensor(rng.uniform(-0.4, 0.4, (B, T)), dtype=torch.float32)
    frames = torch.zeros(B, T, 32, 32, 3, dtype=torch.uint8)
    columns = ((steering + 0.4) / 0.8 * 30).long()
    frames.scatter_(3, columns[:, :, None, None, None].expand(B, T, 32, 1, 3), 255)
    controls = {
        "steering": steering,
        "throttle": (steering > 0).float(),
        "brake": (steering < -0.2).float() * 0.5,
        "gear_change": torch.zeros(B, T),
    }
    first = torch.zeros(B, T, dtype=torch.bool)
    first[:, 0] = True
    return Batch(frames, controls, first, torch.ones(B, T, dtype=torch.bool), torch.ones(B, T))


def logits_of(model: VPT, batch: Batch, first: torch.Tensor | None = None) -> torch.Tensor:
    """All heads' logits side by side, float32 (B, T, classes)."""
    first = batch.first if first is None else first
    with torch.no_grad():
        logits, _ = model(batch.frames, first, model.initial_state(len(batch.frames)))
    return torch.cat(list(logits.values()), dim=-1)


@pytest.mark.parametrize("kind", MODELS)
def test_the_loss_falls_on_one_batch(kind: str) -> None:
    model, batch = model_of(kind).train(), batch_of()
    model.log = model.log_dict = lambda *args, **kwargs: None  # type: ignore[method-assign,assignment]
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    losses = []
    for _ in range(40):
        loss, _, _ = model.clone(batch, "train")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)  # or DDP would refuse


@pytest.mark.parametrize("kind", MODELS)
def test_a_frame_changes_nothing_before_it(kind: str) -> None:
    model, batch, changed = model_of(kind), batch_of(), batch_of()
    changed.frames[:, 7] = 255 - changed.frames[:, 7]
    before, after = logits_of(model, batch), logits_of(model, changed)
    assert torch.equal(before[:, :7], after[:, :7])
    assert not torch.allclose(before[:, 7], after[:, 7])
    assert not torch.allclose(before[:, 8:], after[:, 8:])


@pytest.mark.parametrize("kind", MODELS)
def test_nothing_before_an_episode_is_seen(kind: str) -> None:
    model, batch, changed = model_of(kind), batch_of(), batch_of()
    batch.first[:, 5] = True
    changed.frames[:, :5] = 255 - changed.frames[:, :5]
    before, after = logits_of(model, batch), logits_of(model, changed, batch.first)
    assert not torch.allclose(before[:, :5], after[:, :5])
    assert torch.allclose(before[:, 5:], after[:, 5:], atol=1e-5)


@pytest.mark.parametrize("kind", MODELS)
def test_driving_frame_by_frame_equals_the_whole_chunk(kind: str) -> None:
    model, batch = model_of(kind), batch_of(B=2)
    batch.first[:, 5] = True
    whole, _ = model.policy(batch.frames, batch.first, model.initial_state(2))
    state, parts = model.initial_state(2), []
    for t in range(batch.frames.shape[1]):
        step, state = model.policy(batch.frames[:, t : t + 1], batch.first[:, t : t + 1], state)
        parts.append(step["steering"])
    assert torch.allclose(torch.cat(parts, dim=1), whole["steering"], atol=1e-5)


def test_lanes_remember_the_batch_before_until_an_episode_starts() -> None:
    model, batch = model_of(options={"cloning.carry_memory": True}), batch_of(B=2, T=16)
    model.log = model.log_dict = lambda *args, **kwargs: None  # type: ignore[method-assign,assignment]
    whole = logits_of(model, batch)
    halves = [
        Batch(batch.frames[:, half], {name: x[:, half] for name, x in batch.controls.items()}, batch.first[:, half],
              batch.valid[:, half], batch.weight[:, half])
        for half in (slice(0, 8), slice(8, 16))
    ]  # fmt: skip
    with torch.no_grad():
        model.clone(halves[0], "train")
        _, second, _ = model.clone(halves[1], "train")
    assert torch.allclose(torch.cat(list(second.values()), dim=-1), whole[:, 8:], atol=1e-5)
    halves[1].first[0, 0] = True
    with torch.no_grad():
        model.memory = None
        model.clone(halves[0], "train")
        _, second, _ = model.clone(halves[1], "train")
    restarted = torch.cat(list(second.values()), dim=-1)
    assert not torch.allclose(restarted[0], whole[0, 8:], atol=1e-5)
    assert torch.allclose(restarted[1], whole[1, 8:], atol=1e-5)
    assert model.memory is not None
    assert not any(x.requires_grad for _, memory in model.memory[1] for x in memory)


def test_padding_low_confidence_and_null_frames_have_no_weight() -> None:
    batch = batch_of(B=1, T=6)
    for control in batch.controls.values():
        control[0, 3] = 0.0
    batch.valid[0, 5] = False
    batch.weight[0, :2] = torch.tensor([0.25, 0.5])
    assert model_of().loss_weight(batch, continued=False)[0].tolist() == [0.25, 0.5, 1, 1, 1, 0]
    assert model_of(options={"cloning.null_filter": True}).loss_weight(batch, continued=False)[0].tolist() == [
        0.25,
        0.5,
        1,
        0,
        1,
        0,
    ]
    model = model_of(options={"cloning.confidence_power": 2.0})
    assert model.loss_weight(batch, continued=False)[0].tolist() == [0.0625, 0.25, 1, 1, 1, 0]


def test_a_clip_is_not_learnt_from_before_its_stack_is_full() -> None:
    batch = batch_of(B=2, T=6)
    batch.first[0, 0] = False
    batch.first[1] = torch.tensor([False, True, False, False, False, False])
    weight = model_of("stack").loss_weight(batch, continued=False)
    assert weight.tolist() == [[0, 0, 0, 1, 1, 1], [0, 1, 1, 1, 1, 1]]
    assert model_of("stack").loss_weight(batch, continued=True).min() == 1


def test_a_forward_pass_of_selected_frames_gives_their_logits() -> None:
    model, batch = model_of("stack"), batch_of()
    batch.first[:, 5] = True
    wanted = torch.rand(4, 12, generator=torch.Generator().manual_seed(0)) < 0.4
    with torch.no_grad():
        all_of_them, _ = model(batch.frames, batch.first, model.initial_state(4))
        some, _ = model.forward_selected(batch.frames, batch.first, model.initial_state(4), wanted)
    for name, logits in some.items():
        assert torch.allclose(logits[wanted], all_of_them[name][wanted], atol=1e-5)
        assert not logits[~wanted].any()


def test_the_loss_depends_on_no_other_frames_than_those_that_are_read() -> None:
    model, batch = model_of("stack"), batch_of(T=5)
    batch.first[1:, 0] = False  # only the first clip starts an episode, and is read as a whole
    seen = model.frames_seen(5)
    assert seen == (0, 1, 3, 4)
    before = [loss.item() for loss in model.losses(batch)[0].values()]
    batch.frames[1:, 2] = 99
    assert [loss.item() for loss in model.losses(batch)[0].values()] == before
    batch.frames[1:, 3] = 99
    assert [loss.item() for loss in model.losses(batch)[0].values()] != before
    assert all(model_of(kind).frames_seen(5) is None for kind in ("memory", "both"))
    assert model_of("stack", {"cloning.forget": 0.1}).frames_seen(5) is None
    with pytest.raises(ValueError, match=r"give --data\.clip_frames 4 or more"):
        model_of("stack").frames_seen(3)


def test_a_policy_made_faster_gives_nearly_the_same_probabilities() -> None:
    model, batch = model_of(), batch_of()
    with torch.no_grad():
        for head in model.pi_head.values():
            head.linear_layer.weight.mul_(100)  # or all would be alike
    exact, _ = model.policy(batch.frames, batch.first, model.initial_state(4))
    rough, state = model.hasten(bf16=True).policy(batch.frames, batch.first, model.initial_state(4))
    assert max(p.std() for p in exact.values()) > 0.05
    for name, likely in exact.items():
        assert rough[name].dtype == torch.float32
        assert 0 < (rough[name] - likely).abs().max() < 0.05
    assert all(keys.dtype == values.dtype == torch.float32 for _, (keys, values) in state[1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"network.size": "huge"}, "no policy size 'huge'; there are mini, tiny, small, 1x"),
        ({"network.memory_frames": 0}, "memory_frames must be at least 1"),
        ({"cloning.forget": 1.5}, r"forget must lie in \[0, 1\), but 1.5"),
        ({"cloning.confidence_power": float("nan")}, "confidence_power must be more than 0, but nan"),
        ({"network.look_back": (1,)}, r"look_back is \[1\]"),
        ({"game": "carracing:tractor"}, "no control scheme 'tractor'"),
    ],
)
def test_bad_options_are_named(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(VPT, {"frames": FRAMES, "network.size": SIZE} | options)


def test_a_policy_for_cars_starts_from_openais_trunk() -> None:
    published = read_checkpoint("tests/vpt_parity/policy.model")
    network = published.init_args["network"]
    model = build(VPT, {"frames": FrameSpec(height=128, width=128), "network": network})
    own = {key for key in published.state_dict if not key.startswith("class_counts_")}
    assert own - set(model.state_dict()) == {
        f"pi_head.{head}.linear_layer.{part}" for head in ("buttons", "camera") for part in ("weight", "bias")
    }
    model.take_weights(published.state_dict, "policy.model")
    for name, weight in published.state_dict.items():
        if name.startswith("net."):
            assert torch.equal(model.state_dict()[name], weight), name


class TinyData(LightningDataModule):
    """The same few clips in training and validation."""

    mode = "random"

    def train_dataloader(self) -> DataLoader:
        return DataLoader([batch_of(seed=i) for i in range(4)], batch_size=None, shuffle=False)

    def val_dataloader(self) -> DataLoader:
        return DataLoader([batch_of(seed=i) for i in range(2)], batch_size=None, shuffle=False)


def test_training_logs_each_control_and_a_carried_memory_needs_lanes(tmp_path) -> None:
    trainer = Trainer(accelerator="cpu", max_epochs=25, logger=False, enable_checkpointing=False,
                      enable_progress_bar=False, enable_model_summary=False, default_root_dir=tmp_path)  # fmt: skip
    torch.manual_seed(0)
    model = VPT(frames=FRAMES, network=PolicyConfig(SIZE), warmup_steps=2,
                cloning=CloningConfig(class_weighting=0.3, forget=0.05),
                optimizer=lambda p: torch.optim.AdamW(p, lr=3e-3))  # fmt: skip
    trainer.fit(model, TinyData())
    assert trainer.callback_metrics["val/steering_r2"] > 0.5
    assert trainer.callback_metrics["val/steering_mae_clipped"] < 0.15
    assert trainer.callback_metrics["val/throttle_accuracy"] > 0.5
    trainer = Trainer(accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False)
    with pytest.raises(ValueError, match=r"give --data\.mode lanes"):
        trainer.fit(model_of(options={"cloning.carry_memory": True}), TinyData())


@pytest.mark.slow
def test_two_processes_train_together(tmp_path) -> None:
    trainer = Trainer(accelerator="cpu", devices=2, strategy="ddp_fork", max_steps=3, logger=False,
                      enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
                      use_distributed_sampler=False, default_root_dir=tmp_path)  # fmt: skip
    torch.manual_seed(0)
    model = VPT(frames=FRAMES, network=PolicyConfig(SIZE), cloning=CloningConfig(class_weighting=0.5))
    before = model.pi_head["steering"].linear_layer.weight.clone()
    trainer.fit(model, TinyData())
    assert not torch.equal(before, model.pi_head["steering"].linear_layer.weight)
